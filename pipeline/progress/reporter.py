"""What the stages tell of themselves, and the one who looks at them now and then."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.interrupts import uninterrupted
from pipeline.progress.memory import resident_bytes
from pipeline.progress.stages import RunProgress, StageProgress, row_of

if TYPE_CHECKING:  # it reads records, and so imports pyarrow: `prepare --help` must not wait
    from pipeline.progress.watch import Watch

Advance = Callable[[int], None]
Clock = Callable[[], float]


class Style(Enum):
    """How progress is shown."""

    AUTO = "auto"  # a panel on a terminal, else lines
    JSON = "json"  # an object a line, on stdout
    QUIET = "quiet"  # nothing


class View(Protocol):
    """One way to show a run; its methods are called one at a time."""

    tick_seconds: float  # between two calls of `tick`

    def open(self, run: RunProgress, now: float) -> None: ...

    def close(self, run: RunProgress, now: float) -> None: ...

    def started(self, run: RunProgress, stage: StageProgress, now: float) -> None: ...

    def tick(self, run: RunProgress, now: float) -> None: ...

    def finished(self, run: RunProgress, stage: StageProgress, now: float) -> None: ...

    def note(self, text: str) -> None: ...


class Progress:
    """Keeps what is known of a run, and shows it in a view; use it as a context manager.

    Outside of one it tells of stages that begin and end, and nothing between.
    """

    def __init__(
        self,
        view: View,
        *,
        num_workers: int = 1,
        expected: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._view = view
        self._clock = clock or time.monotonic
        self.run = RunProgress(self._clock(), num_workers, expected)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.push(self)  # Ctrl-C at the first frame leaves no panel either
            with uninterrupted():
                self._view.open(self.run, self._clock())
            self._ticker.start()
            opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._ticker.is_alive():
            self._ticker.join()
        with uninterrupted(), self._lock:
            self._view.close(self.run, self._clock())

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: "Watch | None" = None
    ) -> Iterator[Advance]:
        """Show one stage; yields a function to call with the number of items newly done."""
        with uninterrupted(), self._lock:
            now = self._clock()
            stage = self.run.begin(name, num_items, num_done, now, watch)
            self._view.started(self.run, stage, now)
        yield self._advance
        self._finish(stage)

    def skip(self, name: str, num_items: int, watch: "Watch") -> None:
        """A stage of which all items were done before: its sums are shown, and no time."""
        with self._lock:
            now = self._clock()
            self.run.begin(row_of(name), num_items, num_items, now, watch)
            self.run.refresh(now, self.run.memory_bytes)
            self.run.end(now)

    def note(self, text: str) -> None:
        """A line between the stages."""
        with uninterrupted(), self._lock:
            self._view.note(text)

    def _advance(self, count: int) -> None:
        with self._lock:
            if self.run.current is not None:
                self.run.current.advance(count, self._clock())

    def _finish(self, stage: StageProgress) -> None:
        with uninterrupted(), self._lock:
            now = self._clock()
            self.run.refresh(now, resident_bytes(), at_once=True)
            self.run.end(now)
            self._view.finished(self.run, stage, now)

    def _tick(self) -> None:
        """Look again and again; in a thread, because the stages wait for their runner."""
        while not self._closing.wait(self._view.tick_seconds):
            memory = resident_bytes()
            with self._lock:
                now = self._clock()
                self.run.refresh(now, memory)
                try:
                    self._view.tick(self.run, now)
                except OSError:
                    return  # nobody reads any more; the run itself will meet it and say so
