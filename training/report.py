"""What a person sees: a progress bar or plain lines while it runs, the table at the end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from training.evaluate import Evaluation
from training.metrics import json_line
from training.state import TrainState

PLAIN_SECONDS = 30.0  # a log is read afterwards: a line now and then


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLine:
    """The figures of the line that follows the run."""

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    tokens_per_second: float

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.4f} · lr {self.learning_rate:.2e} · "
            f"{self.tokens_per_second:,.0f} tokens/s"
        )


class Screen:
    """Progress on a terminal, lines elsewhere, silence on all ranks but the main one."""

    def __init__(self, *, enabled: bool) -> None:
        self.console = Console(quiet=not enabled, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._printed = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False)

    @contextmanager
    def bars(self) -> Iterator["Screen"]:
        """Show bars inside, where there is a terminal for them."""
        if not self.console.is_terminal:
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with Progress(*columns, console=self.console) as self._progress:
            yield self
        self._progress = None

    def add(self, name: str, total: int, completed: int = 0) -> "Bar":
        """A bar of `total` things, such as steps or validation rows."""
        task = None
        if self._progress is not None:
            task = self._progress.add_task(name, total=total, completed=completed, figures="")
        return Bar(self, self._progress, task, name, total)

    def say_sometimes(self, text: str, *, now: bool) -> None:
        """A line where there is no terminal, if the last one is `PLAIN_SECONDS` ago or `now`."""
        if self._progress is None and (now or time.monotonic() - self._printed >= PLAIN_SECONDS):
            self._printed = time.monotonic()
            self.say(text)


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
        """Put the figures of a step beside the bar."""
        self.completed = line.step
        if self.progress is not None:
            self.progress.update(self.task, completed=line.step, figures=str(line))
        text = f"step {line.step}/{line.num_steps} · {line}"
        self.screen.say_sometimes(text, now=line.step == line.num_steps)

    def remove(self) -> None:
        """Take the bar off the screen."""
        if self.progress is not None:
            self.progress.remove_task(self.task)


def forgetting(state: TrainState) -> dict[str, Any]:
    """Before, after and change of each source, as written to `forgetting.json`."""
    return {
        "step": state.step,
        "num_skipped": state.num_skipped,
        "best_step": state.best_step,
        "sources": {
            name: _compare(state.baseline, state.latest, name) for name in sorted(state.latest)
        },
    }


def write_forgetting(path: Path, state: TrainState) -> None:
    """Write `forgetting.json`, atomically."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text(json_line(forgetting(state), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def forgetting_table(state: TrainState) -> Table:
    """Perplexity and bits per byte of each source before and after the run."""
    table = Table(title=f"Validation after {state.step} steps, against step 0")
    table.add_column("source")
    for heading in (
        "perplexity before",
        "after",
        "change",
        "bits per byte before",
        "after",
        "change",
    ):
        table.add_column(heading, justify="right")
    for name, source in forgetting(state)["sources"].items():
        table.add_row(name, *_cells(source["perplexity"]), *_cells(source["bits_per_byte"]))
    return table


def _compare(before: Evaluation, after: Evaluation, name: str) -> dict[str, Any]:
    measures = {}
    for key in ("loss", "perplexity", "bits_per_byte"):
        old, new = getattr(before[name], key), getattr(after[name], key)
        change = 100 * (new / old - 1) if old else 0.0
        measures[key] = {"before": old, "after": new, "change_percent": change}
    score = after[name]
    return {**measures, "num_targets": score.num_targets, "num_bytes": score.num_bytes}


def _cells(measure: dict[str, float]) -> list[str]:
    change = measure["change_percent"]
    colour = "green" if change <= 0 else "red"
    return [
        f"{measure['before']:.3f}",
        f"{measure['after']:.3f}",
        f"[{colour}]{change:+.2f} %[/{colour}]",
    ]
