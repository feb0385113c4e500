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
        started = time.monotonic()
        again = f" ({num_done} of them done before)" if num_done else ""
        self._console.print(f"{name}: {num_items} items{again}", soft_wrap=True, highlight=False)
        yield lambda count: None
        seconds = time.monotonic() - started
        self._console.print(f"{name}: done in {seconds:.1f} s", soft_wrap=True, highlight=False)

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("items"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
