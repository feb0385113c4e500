"""How far a run is: its stages, their rates, and when they will be done. Knows no screen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.progress.figures import Figures

if TYPE_CHECKING:
    from pipeline.progress.watch import Watch

MEASURED_ROUNDS = 2  # of all workers, after which the clock knows more than the records


@dataclass(slots=True)
class StageProgress:
    """One stage. `now` is always seconds of a clock that does not go back."""

    name: str
    num_items: int
    num_before: int  # items that were done when it began
    started: float
    num_workers: int = 1
    watch: "Watch | None" = None
    seconds_before: float = 0.0  # that earlier rounds of it took
    num_advanced: int = 0  # items that the runner said are done
    ended: float | None = None
    last_done: float = field(init=False)  # when the number of finished items last changed
    _num_known: int = field(init=False)  # of them, at that time

    def __post_init__(self) -> None:
        self.last_done, self._num_known = self.started, self.num_done

    @property
    def row(self) -> str:
        """What all its rounds have in common: `verify 2` is a round of `verify`."""
        return row_of(self.name)

    @property
    def num_done(self) -> int:
        """Items that are done: the records tell it sooner than the runner."""
        seen = 0 if self.watch is None else self.watch.num_done
        return min(self.num_items, self.num_before + max(self.num_advanced, seen))

    @property
    def figures(self) -> Figures:
        """Sums of all finished items; zeros where the stage keeps no records."""
        return Figures() if self.watch is None else self.watch.figures

    @property
    def here(self) -> Figures:
        """Sums of the items that were finished since the stage began."""
        return Figures() if self.watch is None else self.watch.here

    def poll(self, now: float, *, at_once: bool = False) -> None:
        """Read the records that have come."""
        if self.watch is not None:
            self.watch.poll(now=at_once)
        self._look(now)

    def advance(self, count: int, now: float) -> None:
        """That many more items are done."""
        self.num_advanced += count
        self._look(now)

    def seconds(self, now: float) -> float:
        """Time since it began."""
        return max(0.0, (now if self.ended is None else self.ended) - self.started)

    def total_seconds(self, now: float) -> float:
        """With that of its earlier rounds."""
        return self.seconds_before + self.seconds(now)

    def documents_per_second(self, now: float) -> float | None:
        """Of the items finished here; None before the first one, or without documents."""
        return _rate(self.here.num_documents, self.seconds(now))

    def bytes_per_second(self, now: float) -> float | None:
        """Of text, as `documents_per_second`."""
        return _rate(self.here.num_bytes, self.seconds(now))

    def eta_seconds(self, now: float) -> float | None:
        """Time until its last item is done, or None where nothing tells it yet.

        At first by the seconds of work in the records, those of earlier runs among them, so that a
        run that goes on knows at once. Later by the clock, which also saw what no record counts.
        """
        num_left = self.num_items - self.num_done
        if num_left == 0 or self.ended is not None:
            return 0.0
        num_here, idle = self.num_done - self.num_before, now - self.last_done
        if not self.num_done:
            return None
        if num_here >= MEASURED_ROUNDS * self.num_workers or not self.figures.seconds:
            return max(0.0, self._pace() * num_left - idle) if num_here else None
        per_item = self.figures.seconds / self.num_done
        return max(0.0, per_item * max(1.0, num_left / self.num_workers) - idle)

    def _look(self, now: float) -> None:
        if self.num_done != self._num_known:
            self.last_done, self._num_known = now, self.num_done

    def _pace(self) -> float:
        """Seconds between two items, by the clock."""
        return (self.last_done - self.started) / (self.num_done - self.num_before)


@dataclass(slots=True)
class RunProgress:
    """All stages of a run that were seen, in their order, and those that may come."""

    started: float
    num_workers: int = 1
    expected: Sequence[str] = ()
    rows: dict[str, StageProgress] = field(default_factory=dict)
    current: StageProgress | None = None
    documents: Figures = field(default_factory=Figures)  # of the last round of `refine`
    memory_bytes: int | None = None
    peak_bytes: int = 0

    def begin(
        self, name: str, num_items: int, num_done: int, now: float, watch: "Watch | None"
    ) -> StageProgress:
        """A stage begins, or another round of it."""
        before = self.rows.get(row_of(name))
        stage = StageProgress(
            name=name,
            num_items=num_items,
            num_before=num_done,
            started=now,
            num_workers=self.num_workers,
            watch=watch,
            seconds_before=0.0 if before is None else before.total_seconds(now),
        )
        self.rows[stage.row] = self.current = stage
        return stage

    def refresh(self, now: float, memory_bytes: int | None, *, at_once: bool = False) -> None:
        """Take in the records that have come, and the memory as it is."""
        if self.current is not None:
            self.current.poll(now, at_once=at_once)
            if self.current.figures.is_refined:
                self.documents = self.current.figures
        self.memory_bytes = memory_bytes
        self.peak_bytes = max(self.peak_bytes, memory_bytes or 0)

    def end(self, now: float) -> None:
        """The current stage is done."""
        if self.current is not None:
            self.current.ended = now
            self.current = None

    def to_come(self) -> list[str]:
        """Expected stages behind the last one that was seen."""
        seen = [place for place, name in enumerate(self.expected) if name in self.rows]
        return list(self.expected[max(seen, default=-1) + 1 :])


def row_of(name: str) -> str:
    """The row that shows a stage: without the number of its round, and `refilter` as `refine`."""
    return re.sub(r" \d+$", "", "refine" if name == "refilter" else name)


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if count and seconds > 0 else None
