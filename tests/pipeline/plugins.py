"""Filters for tests, registered as those of another distribution, and a runner in this process."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from filters import registry
from filters.parameters import threshold
from filters.protocol import Bound, Signal, first_failure, signals, within
from filters.statistics import TextStatistics
from pipeline.graph.runner import run_in_memory
from pipeline.progress import Advance

MEASURED: Counter[str] = Counter()  # documents, by the letter that was counted
FITTED: list[pa.RecordBatch] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """Keep documents with at least `minimum` times a letter; expensive.

    Without `minimum` it is fitted: the mean of all documents, rounded down. Null where there are
    only spaces.
    """

    SIGNALS: ClassVar = (
        Signal("num", pa.int64(), "how often; null of a blank text"),
        Signal("name", pa.string(), "the letter; null of a blank text"),
    )
    PAPERS: ClassVar = ("Somebody et al. 1999",)

    letter: str
    minimum: int | None = threshold(None)

    @property
    def needs_fit(self) -> bool:
        return self.minimum is None

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        MEASURED[self.letter] += batch.num_rows
        blank = pc.equal(pc.utf8_trim_whitespace(batch["text"]), "")
        num = pc.count_substring(batch["text"], self.letter).cast(pa.int64())
        name = pa.repeat(self.letter, batch.num_rows)
        return signals(
            num=pc.if_else(blank, pa.scalar(None, pa.int64()), num),
            name=pc.if_else(blank, pa.scalar(None, pa.string()), name),
        )

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return within(measured, self._bounds())

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        return first_failure(measured, self._bounds())

    def fit(self, measured: pa.RecordBatch) -> dict[str, Any]:
        FITTED.append(measured)
        return {"minimum": int(pc.mean(measured["num"]).as_py())}

    def _bounds(self) -> tuple[Bound, ...]:
        return (Bound("num", self.minimum),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """Keep documents with at most `maximum` of all letters counted before; cheap, and a reader."""

    SIGNALS: ClassVar = (Signal("sum", pa.float64(), "null where a letter was not counted"),)
    IS_EXPENSIVE: ClassVar = False

    maximum: float = threshold(1e9)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        total: Any = 0.0
        for name in batch.schema.names:
            if name.startswith("letter") and name.endswith(".num"):
                total = pc.add(total, batch[name].cast(pa.float64()))
        if isinstance(total, float):
            total = pa.repeat(total, batch.num_rows)
        return signals(sum=total)

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.fill_null(pc.less_equal(measured["sum"], self.maximum), False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Remove a letter from all texts; keep those that had at most `maximum` of it."""

    IS_EXPENSIVE: ClassVar = False

    letter: str
    maximum: int = threshold(1_000_000)

    def edit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index("text")
        num_cut = pc.count_substring(batch["text"], self.letter).cast(pa.int32())
        texts = pc.replace_substring(batch["text"], self.letter, "")
        edited = batch.set_column(place, batch.schema.field("text"), texts)
        return edited.append_column("edited.cut.num_letters", num_cut)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        return signals(num_cut=batch["edited.cut.num_letters"])

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.less_equal(measured["num_cut"], self.maximum)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add `letter`, `sum` and `cut` to the filters that are installed, for this process."""
    own = [
        EntryPoint(name, f"tests.pipeline.plugins:{name.title()}", registry.GROUP)
        for name in ("letter", "sum", "cut")
    ]
    for point in own:
        vars(point)["dist"] = None
    every = [*entry_points(group=registry.GROUP), *own]
    monkeypatch.setattr(registry, "entry_points", lambda group: every)
    MEASURED.clear()
    FITTED.clear()


class HereRunner:
    """Runs the graph in this process, where the filters above are registered."""

    num_workers = 1

    def start(self) -> None:
        """There is nothing to start."""

    def run(self, transform: Any, items: Sequence[Any], done: Advance) -> None:
        done(run_in_memory((transform, items)))


class NoReporter:
    """Shows nothing, and remembers the names of the stages, and the notes."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: object = None
    ) -> Iterator[Advance]:
        self.stages.append(name)
        yield lambda _: None

    def skip(self, name: str, num_items: int, watch: object) -> None:
        """Shows nothing of what was done before."""
