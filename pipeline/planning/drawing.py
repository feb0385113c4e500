"""Reading the pieces of one source, and drawing documents of them for the sample.

Everything that is read is counted; a part of it is kept. How large that part may be shows only as
the reading goes on, so it begins as all, and is made smaller whenever too much is held: a document
stays if its key is below the share, whenever it came. Documents are drawn by classes of size, for
a few large ones hold most of the text.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.arrow import num_value_bytes
from pipeline.files import arrow_writer
from pipeline.plan import Plan
from pipeline.planning.keys import sample_keys
from pipeline.planning.pieces import Piece, head_of
from pipeline.sources.coalesce import coalesce
from pipeline.sources.protocol import Reader
from pipeline.sources.schema import document_schema

CLASSES = np.array([1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18])  # bytes of text
NUM_CLASSES = len(CLASSES) + 1
LEAST_ROWS = 8  # of a class in the sample; else it is one with the next
CUT = frozenset({"truncated", "corrupt"})  # how the copy of a beginning ends
NUM_EXAMPLES = 3  # of each reason


@dataclass(frozen=True, slots=True)
class Stratum:
    """Documents of one source and of about one size: those drawn, and all that there are.

    `scale_rows` and `scale_bytes` are how many of all there are for one that was drawn.
    """

    source: str
    name: str
    path: Path
    num_rows: int
    num_bytes: int
    scale_rows: float
    scale_bytes: float


@dataclass(frozen=True, slots=True)
class Example:
    """A row that would be quarantined, and where it is."""

    path: str
    row: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was read of one source. Numbers of rows and bytes are of what was read, not of all."""

    source: str
    strata: tuple[Stratum, ...]
    share: float  # of the documents that were read, that is in the sample
    coverage: float  # of the stored bytes, that was read
    num_files: int
    stored_bytes: int
    num_rows: int
    num_bytes: int  # of text
    quarantined: Counter[str]
    skipped: Counter[str]
    examples: tuple[Example, ...]
    read_seconds: float

    @property
    def all_bytes(self) -> float:
        """Of text, in the whole source."""
        return self.num_bytes / self.coverage


@dataclass(slots=True)
class _Held:
    """Documents that are drawn so far, and counts of all that were read."""

    plan: Plan
    target_bytes: int
    share: float = 1.0
    batches: list[tuple[pa.RecordBatch, np.ndarray, np.ndarray]] = field(default_factory=list)
    num_bytes: int = 0
    rows: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CLASSES, np.int64))
    bytes: np.ndarray = field(default_factory=lambda: np.zeros(NUM_CLASSES, np.int64))

    def add(self, documents: pa.RecordBatch) -> None:
        sizes = num_value_bytes(documents["text"])
        classes = np.searchsorted(CLASSES, sizes, side="right")
        self.rows += np.bincount(classes, minlength=NUM_CLASSES)
        self.bytes += np.bincount(classes, sizes, NUM_CLASSES).astype(np.int64)
        keys = sample_keys(documents["text"], self.plan.manifest.dedup)
        self._hold(documents, keys, sizes)
        if self.num_bytes > 2 * self.target_bytes:
            self.lower()

    def _hold(self, documents: pa.RecordBatch, keys: np.ndarray, sizes: np.ndarray) -> None:
        drawn = keys < self.share
        if not drawn.all():
            documents = documents.filter(pa.array(drawn))
            keys, sizes = keys[drawn], sizes[drawn]
        if documents.num_rows:
            self.batches.append((documents, keys, sizes))
            self.num_bytes += int(sizes.sum())

    def lower(self) -> None:
        """Draw fewer, of what is held and of what is to come."""
        if self.num_bytes <= self.target_bytes:
            return
        self.share *= self.target_bytes / self.num_bytes
        held, self.batches, self.num_bytes = self.batches, [], 0
        for documents, keys, sizes in held:
            self._hold(documents, keys, sizes)


def draw(
    plan: Plan,
    source: str,
    pieces: Sequence[Piece],
    read_bytes: int,
    target_bytes: int,
    folder: Path,
) -> Drawn:
    """Read pieces until `read_bytes` of text, and write a sample of about `target_bytes`.

    The sample is an Arrow file of documents for each stratum in `folder`.
    """
    reader, held = plan.reader(source), _Held(plan, target_bytes)
    quarantined: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    examples: list[Example] = []
    stored, seconds = 0.0, 0.0
    for number, piece in enumerate(pieces):
        if number and int(held.bytes.sum()) >= read_bytes:
            break
        stored += piece.stored_bytes
        started = time.perf_counter()
        for documents, bad, left_out in _read(reader, piece, folder):
            seconds += time.perf_counter() - started
            quarantined.update(str(row["reason"]) for row in bad)
            skipped.update(left_out)
            examples += _new_examples(bad, examples)
            held.add(documents)
            started = time.perf_counter()
        seconds += time.perf_counter() - started
    held.lower()
    total = sum(piece.slice.input.size_bytes or 0 for piece in _files(pieces))
    coverage = min(1.0, stored / total) if total else 1.0
    if len(pieces) and number == len(pieces) - 1 and all(p.head_bytes is None for p in pieces):
        coverage = 1.0
    return Drawn(
        source=source,
        strata=tuple(_strata(plan, source, held, coverage, folder)),
        share=held.share,
        coverage=coverage,
        num_files=len(_files(pieces)),
        stored_bytes=total,
        num_rows=int(held.rows.sum()),
        num_bytes=int(held.bytes.sum()),
        quarantined=quarantined,
        skipped=skipped,
        examples=tuple(examples),
        read_seconds=seconds,
    )


def _files(pieces: Sequence[Piece]) -> list[Piece]:
    """One piece of each file."""
    return list({piece.slice.input.relative: piece for piece in pieces}.values())


def _read(
    reader: Reader, piece: Piece, folder: Path
) -> Iterator[tuple[pa.RecordBatch, list[dict[str, object]], Counter[str]]]:
    """Documents, quarantined rows and skipped records of a piece."""
    whole = piece.slice if piece.head_bytes is None else head_of(piece, folder)
    for rows in coalesce(reader.read(whole)):
        bad = rows.quarantined.select(["source_path", "source_row", "reason", "detail"]).to_pylist()
        if piece.head_bytes is not None:
            bad = [row for row in bad if row["reason"] not in CUT]
        left_out: Counter[str] = Counter()
        for one in rows.skipped.to_pylist():
            left_out[one["reason"]] += one["num_records"]
        yield rows.documents, bad, left_out
    if piece.head_bytes is not None:
        Path(whole.input.path).unlink()


def _new_examples(bad: Sequence[dict[str, object]], known: Sequence[Example]) -> list[Example]:
    """The first few of each reason."""
    seen = Counter(one.reason for one in known)
    found = []
    for row in bad:
        reason = str(row["reason"])
        seen[reason] += 1
        if seen[reason] <= NUM_EXAMPLES:
            place = int(str(row["source_row"]))
            found.append(Example(str(row["source_path"]), place, reason, str(row["detail"])))
    return found


def _strata(
    plan: Plan, source: str, held: _Held, coverage: float, folder: Path
) -> Iterator[Stratum]:
    """The sample as files, one for each class of sizes that has enough documents."""
    documents = [batch for batch, _, _ in held.batches]
    schema = document_schema(segmented=plan.source(source).is_segmented)
    table = pa.Table.from_batches([batch.cast(schema) for batch in documents], schema)
    sizes = np.concatenate([np.zeros(0, np.int64), *(sizes for *_, sizes in held.batches)])
    classes = np.searchsorted(CLASSES, sizes, side="right")
    groups = _groups(np.bincount(classes, minlength=NUM_CLASSES), held.rows)
    for number, group in enumerate(groups):
        drawn = np.isin(classes, group)
        num_rows, num_bytes = int(held.rows[group].sum()), int(held.bytes[group].sum())
        drawn_bytes = int(sizes[drawn].sum())
        if not drawn.any():
            continue
        path = folder / f"{source}-{number}.arrow"
        with arrow_writer(path, schema) as writer:
            writer.write_table(table.filter(pa.array(drawn)), 1000)
        yield Stratum(
            source=source,
            name=f"{source}/{number}",
            path=path,
            num_rows=int(drawn.sum()),
            num_bytes=drawn_bytes,
            scale_rows=num_rows / int(drawn.sum()) / coverage,
            scale_bytes=num_bytes / max(1, drawn_bytes) / coverage,
        )


def _groups(drawn: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """Classes put together, the small ones first, until each group has documents enough."""
    groups: list[list[int]] = []
    waiting: list[int] = []
    for number in range(NUM_CLASSES):
        waiting.append(number)
        if drawn[waiting].sum() >= min(LEAST_ROWS, max(1, rows[waiting].sum())):
            groups.append(waiting)
            waiting = []
    if waiting and groups:
        groups[-1] += waiting
    elif waiting:
        groups.append(waiting)
    return groups
