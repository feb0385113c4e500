"""One live line per stage on a terminal, one plain line per stage elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_SECONDS = 30.0
Advance = Callable[[int], None]


class TerminalProgress:
    """A `rich` bar per stage; plain lines when stderr is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)

    @contextmanager
    def stage(self, name: str, num_items: int, num_done: int) -> Iterator[Advance]:
        """Show one stage; yields a function to call with the number of items newly done."""
        if self._console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(name, total=num_items, completed=num_done)
                yield lambda count: bar.advance(task, count)
            return
        lines = _PlainLines(self._console, name, num_items, num_done)
        yield lines.advance
        lines.finish()

    def note(self, text: str) -> None:
        """A line between the stages."""
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("items"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )


class _PlainLines:
    """A line when a stage is done, and one every half minute while it is not."""

    def __init__(self, console: Console, name: str, num_items: int, num_done: int) -> None:
        self._console, self._name = console, name
        self._num_items, self._num_done, self._num_before = num_items, num_done, num_done
        self._started = self._printed = time.monotonic()

    def advance(self, count: int) -> None:
        self._num_done += count
        if time.monotonic() - self._printed > PLAIN_SECONDS:
            self._printed = time.monotonic()
            self._print(f"{self._num_done:,} of {self._num_items:,} items")

    def finish(self) -> None:
        again = f", {self._num_before:,} of them done before" if self._num_before else ""
        self._print(f"{self._num_items:,} items{again}")

    def _print(self, text: str) -> None:
        seconds = time.monotonic() - self._started
        line = f"{self._name:<12} {seconds:7.1f} s  {text}"
        self._console.print(line, soft_wrap=True, highlight=False)
