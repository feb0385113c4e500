"""The quarantined rows of an output: how many of what, and the rows themselves."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.quarantine.latest import Latest
from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.sources.schema import READ, REASONS
from pipeline.suggest import did_you_mean

COLUMNS = ("source", "source_path", "source_row", "stage", "reason", "detail")


class Kind(NamedTuple):
    """What rows are counted by."""

    source: str
    file: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One row. `raw` is its bytes, at most 1 MB; None where there are none, or not asked for."""

    source: str
    file: str
    row: int
    stage: str  # read or clean
    reason: str
    detail: str
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of some sources and reasons; all where there are none."""

    sources: Collection[str] = ()
    reasons: Collection[str] = ()

    def check(self, latest: Latest) -> None:
        """Raises `UsageError` for a name that nothing can have."""
        known = [source.name for source in latest.plan.manifest.sources]
        _check_known("--source", self.sources, known)
        _check_known("--reason", self.reasons, list(REASONS))

    def records(self, latest: Latest) -> list[Record]:
        """The items that hold such rows, by their counts alone."""
        return [
            record
            for record in latest.records
            if (not self.sources or record["source"] in self.sources)
            and any(
                number and (not self.reasons or reason in self.reasons)
                for reason, number in record["counts"]["quarantined"].items()
            )
        ]

    def batches(
        self, latest: Latest, records: Sequence[Record], *more: str
    ) -> Iterator[pa.RecordBatch]:
        """COLUMNS and `more` of the rows, in the order of the items."""
        for record in records:
            path = latest.plan.out / record["outputs"]["quarantined"]["path"]
            for batch in RowReader(path, *COLUMNS, *more).batches():
                if "stage" not in batch.schema.names:  # of a version that did not store it
                    batch = batch.append_column("stage", pa.repeat(READ, batch.num_rows))  # noqa: PLW2901
                is_left = pc.greater_equal(batch["source_row"], 0)  # the others were erased
                batch = batch.filter(is_left)  # noqa: PLW2901
                if self.reasons:
                    chosen = pc.is_in(batch["reason"], pa.array(list(self.reasons), pa.string()))
                    batch = batch.filter(chosen)  # noqa: PLW2901
                if batch.num_rows:
                    yield batch


def _check_known(option: str, names: Collection[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            meant = did_you_mean(name, known)
            raise UsageError(f"{option}: got {name!r}{meant}, want one of {', '.join(known)}")


def count_rows(latest: Latest, selection: Selection) -> Counter[Kind]:
    """Rows by source, file, stage and reason."""
    counts: Counter[Kind] = Counter()
    names = ["source", "source_path", "stage", "reason"]
    for batch in selection.batches(latest, selection.records(latest)):
        table = pa.Table.from_batches([batch.select(names)])
        grouped = table.group_by(names).aggregate([([], "count_all")])
        columns = [grouped[name].to_pylist() for name in (*names, "count_all")]
        for *kind, number in zip(*columns, strict=True):  # a few a batch
            counts[Kind(*kind)] += number
    return counts


def rows(
    latest: Latest, selection: Selection, limit: int | None = None, *, with_raw: bool = False
) -> Iterator[QuarantinedRow]:
    """The rows, in the order they were read; the first `limit`."""
    left = limit
    for batch in selection.batches(latest, selection.records(latest), *(["raw"] * with_raw)):
        part = batch if left is None else batch.slice(0, left)
        for values in part.to_pylist():
            values["file"], values["row"] = values.pop("source_path"), values.pop("source_row")
            yield QuarantinedRow(**values)
        left = None if left is None else left - part.num_rows
        if left == 0:
            return


def escaped(raw: bytes, num_bytes: int) -> str:
    r"""The first bytes as text that acts on no terminal and can be undone.

    UTF-8 that can be seen stands as it is; every other byte is \xNN, a backslash two of them.
    """
    parts = []
    for char in raw[:num_bytes].decode("utf-8", "surrogateescape"):
        if char == "\\":
            parts.append("\\\\")
        elif char.isprintable():
            parts.append(char)
        else:
            data = char.encode("utf-8", "surrogateescape")
            parts.append("".join(f"\\x{byte:02x}" for byte in data))
    return "".join(parts)
