"""What a person sees while a run goes on: live lines on a terminal, plain lines in a log.

Or JSON lines for machines, or nothing. `docs/progress.md` has the schema of the events.
"""

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.report.visible import visible, visible_lines
from training.measures.metrics import json_line

Style = Literal["auto", "json", "quiet"]

BAR_COLUMNS = 60  # a narrower terminal has room for the numbers alone
REDRAWS_PER_SECOND = 4
PLAIN_SECONDS = 30.0  # a log is read afterwards: a line now and then
EVENT_SECONDS = 1.0
MAX_SOURCES = 8  # of a mix that are named


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLine:
    """The figures of the line that follows the run."""

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    mfu: float | None = None  # where the peak of the device is known
    data_fraction: float = 0.0  # of the step's time, spent waiting for data
    num_targets: Mapping[str, float] = field(default_factory=dict)  # learned tokens, by source

    def __str__(self) -> str:
        mfu = "" if self.mfu is None else f" · MFU {100 * self.mfu:.0f} %"
        return (
            f"loss {self.loss:.4f} · lr {self.learning_rate:.2e} · "
            f"{self.tokens_per_second:,.0f} tokens/s{mfu} · "
            f"waiting for data {100 * self.data_fraction:.0f} %"
        )


class Screen:
    """Progress in one of the styles, and silence on all ranks but the main one."""

    def __init__(self, *, enabled: bool, style: Style = "auto") -> None:
        self._enabled, self.style = enabled, style
        # `FORCE_COLOR`, which build servers set, makes rich take a log for a terminal.
        is_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.console = Console(
            quiet=not enabled or style != "auto",
            highlight=False,
            soft_wrap=True,
            force_interactive=is_screen,
        )
        self._progress: Progress | None = None
        self._printed = self._told = time.monotonic()
        self._line: StepLine | None = None
        self._first: tuple[int, float] | None = None  # step and time of the first line
        self._learned: Counter[str] = Counter()

    def say(self, text: str) -> None:
        """One line."""
        self.event("note", text=text)
        self.console.print(shown(text), markup=False)

    def tell(self, result: RenderableType) -> None:
        """What the run came to: also for who wants no progress. Events have their own."""
        if self._enabled and self.style != "json":
            console = self.console if self.style == "auto" else Console(highlight=False)
            console.print(
                escape(shown(result)) if isinstance(result, str) else result, soft_wrap=True
            )

    def say_next(self, out: Path) -> None:
        """What one does with a finished run; on stderr, apart from what it came to."""
        if self._enabled and self.style == "auto":
            print(f"next: train report {shlex.quote(str(out))}", file=sys.stderr)

    def event(self, name: str, **values: Any) -> None:
        """A line for machines, where they are who reads."""
        if self._enabled and self.style == "json":
            print(json_line({"event": name, **values}), flush=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say what takes seconds inside, such as `loading the model`: a spinner, or a line."""
        if not self.console.is_interactive:
            self.say(f"{text} ...")
            yield
            return
        with self.console.status(escape(shown(text)), spinner="dots"):
            yield

    @contextmanager
    def bars(self) -> Iterator["Screen"]:
        """Show bars and figures inside, where there is a terminal for them."""
        if not self.console.is_interactive:
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=None)] if self.console.width >= BAR_COLUMNS else []),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=self.console, expand=True)
        with Live(
            console=self.console,
            get_renderable=self._frame,
            refresh_per_second=REDRAWS_PER_SECOND,
        ) as live:
            yield self
            live.refresh()
        self._progress = None

    def add(self, name: str, total: int, completed: int = 0) -> "Bar":
        """A bar of `total` things, such as steps or validation rows."""
        task = None
        if self._progress is not None:
            task = self._progress.add_task(name, total=total, completed=completed)
        return Bar(self, self._progress, task, name, total)

    def show(self, line: StepLine) -> None:
        """Put the figures of a step below the bars, or in a line if it is time for one."""
        now, is_last = time.monotonic(), line.step == line.num_steps
        if self._line is not None and line.step <= self._line.step:
            self._first = None  # the run went back
        self._line, self._first = line, self._first or (line.step, now)
        self._learned.update(line.num_targets)
        if now - self._told >= EVENT_SECONDS or is_last:
            self._told = now
            self.event("step", **step_values(line), mix=self.mix(), eta_seconds=self.eta_seconds())
        left = self.eta_seconds()
        eta = "" if left is None or is_last else f" · ETA {_clock(left)}"
        mix = f" · {_mix(self.mix())}" if len(self._learned) > 1 else ""
        text = f"step {line.step}/{line.num_steps} · {line}{mix}{eta}"
        self.say_sometimes(text, now=is_last)

    def mix(self) -> dict[str, float]:
        """The share of each source in the tokens learned since the run began, or went on."""
        total = sum(self._learned.values())
        return {name: count / total for name, count in self._learned.items()} if total else {}

    def eta_seconds(self) -> float | None:
        """By the time of the steps since the first one, what happens between them counted."""
        if self._line is None or self._first is None or self._line.step == self._first[0]:
            return None
        seconds = time.monotonic() - self._first[1]
        num_steps = self._line.step - self._first[0]
        return seconds / num_steps * (self._line.num_steps - self._line.step)

    def say_sometimes(self, text: str, *, now: bool) -> None:
        """A line in a log, if the last one is `PLAIN_SECONDS` ago or `now`."""
        is_log = self._progress is None and self.style == "auto"
        if is_log and (now or time.monotonic() - self._printed >= PLAIN_SECONDS):
            self._printed = time.monotonic()
            self.say(text)

    def _frame(self) -> RenderableType:
        lines: list[RenderableType] = [] if self._progress is None else [self._progress]
        if self._line is not None:
            lines.append(Text(str(self._line), no_wrap=True, overflow="ellipsis"))
        if len(self._learned) > 1:
            lines.append(Text(_mix(self.mix()), no_wrap=True, overflow="ellipsis"))
        return Group(*lines)


@dataclass(slots=True)
class Bar:
    """One bar of the screen."""

    screen: Screen
    progress: Progress | None
    task: Any
    name: str
    total: int
    completed: int = 0

    def advance(self, count: int) -> None:
        """That many more are done."""
        self.completed += count
        if self.progress is not None:
            self.progress.advance(self.task, count)
        self.screen.say_sometimes(f"{self.name} {self.completed}/{self.total}", now=False)

    def show(self, line: StepLine) -> None:
        """A step is done."""
        self.completed = line.step
        if self.progress is not None:
            self.progress.update(self.task, completed=line.step)
        self.screen.show(line)

    def remove(self) -> None:
        """Take the bar off the screen."""
        if self.progress is not None:
            self.progress.remove_task(self.task)


def step_values(line: StepLine) -> dict[str, Any]:
    """The figures of a step as an event has them."""
    names = ("step", "num_steps", "loss", "learning_rate", "tokens_per_second", "mfu")
    return {name: getattr(line, name) for name in (*names, "data_fraction")}


def shown(text: str) -> str:
    """Lines in which names of others, such as of sources and paths, do nothing to a terminal."""
    return "\n".join(visible_lines(text))


def _mix(shares: Mapping[str, float]) -> str:
    """`mix domain 62.1 % · general 37.9 %`, the largest first."""
    largest = sorted(shares.items(), key=lambda share: -share[1])
    more = f" · {len(largest) - MAX_SOURCES} more" if len(largest) > MAX_SOURCES else ""
    named = " · ".join(
        f"{visible(name)} {100 * share:.1f} %" for name, share in largest[:MAX_SOURCES]
    )
    return f"mix {named}{more}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
