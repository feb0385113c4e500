"""The files that `refine` writes for one work item, and how later stages read them.

    OUT/refined/<source>/<fingerprint>.kept.arrow         documents, keys, signals
                                      .signatures.arrow   rank and band hashes, row by row as kept
                                      .dropped.arrow      as kept, and rule, value, threshold
                                      .quarantined.arrow  file, row, reason, raw bytes

All are uncompressed Arrow IPC files, so that a row is read back without reading the rest. Their
bytes depend on the rows and on how these came in batches, and on nothing else: a record batch holds
those rows of one batch as it was read that belong into the file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.protocol import FAILURES
from pipeline.arrow import num_value_bytes
from pipeline.errors import PrepareError
from pipeline.files import arrow_writer
from pipeline.refining import DATE, ITEM_ROW, Refined, Refinery
from pipeline.sources.schema import QUARANTINE, Rows
from pipeline.text.pii.samples import Samples
from pipeline.text.pii.stored import COLUMN as PII_SPANS
from pipeline.text.pii.stored import compared

CHANGES = ("clean.", "pii.", "edited.")  # columns that count what was done to a text
KINDS = ("kept", "signatures", "dropped", "quarantined")
COMPARED = "compared_text"  # not stored: the text with tags, whatever stands in place of PII


def refined_paths(out: Path, source: str, fingerprint: str) -> dict[str, Path]:
    """The four files of an item."""
    folder = out / "refined" / source
    return {kind: folder / f"{fingerprint}.{kind}.arrow" for kind in KINDS}


class RefinedWriter:
    """Writes one item's files and counts; all files appear together when the `with` block ends."""

    def __init__(
        self, paths: dict[str, Path], refinery: Refinery, read: Mapping[str, Any] | None = None
    ) -> None:
        """`read` holds the counts of an item that the rows are taken from instead of being read."""
        empty = refinery(pa.RecordBatch.from_pylist([], schema=refinery.read_schema))
        self._schemas = {
            "kept": empty.kept.schema,
            "signatures": empty.signatures.schema,
            "dropped": empty.dropped.schema,
            "quarantined": QUARANTINE,
        }
        self._paths = paths
        self._stack = ExitStack()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._quarantined_files: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._pii = refinery.pii
        self._samples = Samples(refinery.pii.num_samples)
        self.batch_rows: list[int] = []  # documents of each batch as it was read, if it had any
        if read is not None:
            self._counts.update({name: read[name] for name in ("num_read", "num_read_bytes")})
            self._quarantined.update(read["quarantined"])
            self._quarantined_files.update(read["quarantined_files"])
            self._skipped.update(read["skipped"])

    def __enter__(self) -> Self:
        self._writers = {
            kind: self._stack.enter_context(arrow_writer(self._paths[kind], schema))
            for kind, schema in self._schemas.items()
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, rows: Rows, refined: Refined) -> None:
        """Add one batch as read and as refined."""
        self._count_read(rows)
        for quarantined in (rows.quarantined, refined.quarantined):
            self._count_quarantined(quarantined)
            self.write_quarantined(quarantined)
        self.write_refined(refined)

    def write_quarantined(self, rows: pa.RecordBatch) -> None:
        """Add rows of QUARANTINE that are counted already."""
        self._write("quarantined", rows)

    def write_refined(self, refined: Refined) -> None:
        """Add the documents of one batch, which are counted as read already."""
        if num_rows := refined.kept.num_rows + refined.dropped.num_rows:
            self.batch_rows.append(num_rows)
        for kind in ("kept", "signatures", "dropped"):
            self._write(kind, getattr(refined, kind))
        self._dropped.update(_value_counts(refined.dropped["rule"]))
        self._counts["num_kept"] += refined.kept.num_rows
        self._counts["num_kept_bytes"] += int(num_value_bytes(refined.kept["text"]).sum())
        for batch in (refined.kept, refined.dropped):
            self._count_changes(batch)
            self._samples.add(batch, self._pii.active_kinds)

    def _count_read(self, rows: Rows) -> None:
        self._counts["num_read"] += rows.documents.num_rows + rows.quarantined.num_rows
        self._counts["num_read_bytes"] += int(num_value_bytes(rows.documents["text"]).sum())
        columns = (rows.skipped["reason"].to_pylist(), rows.skipped["num_records"].to_pylist())
        for reason, num_records in zip(*columns, strict=True):  # a few a batch
            self._skipped[reason] += num_records

    def _count_quarantined(self, rows: pa.RecordBatch) -> None:
        self._quarantined.update(_value_counts(rows["reason"]))
        self._quarantined_files.update(_value_counts(rows["source_path"]))

    def _count_changes(self, batch: pa.RecordBatch) -> None:
        if DATE in batch.schema.names:
            self._counts["num_undated"] += batch[DATE].null_count
        for name in batch.schema.names:
            if name.startswith(CHANGES):
                self._changes[name] += pc.sum(batch[name]).as_py() or 0

    def _write(self, kind: str, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._writers[kind].write_batch(_canonical(batch.cast(self._schemas[kind])))

    def counts(self) -> dict[str, Any]:
        """Rows read, kept, dropped by rule and quarantined by reason and file; bytes; changes.

        Beside them, records that are no rows, by reason.
        """
        return {
            "num_read": 0,
            "num_read_bytes": 0,
            "num_kept": 0,
            "num_kept_bytes": 0,
            "num_undated": 0,  # of kept and dropped, where the source has a `date_field`
            **self._counts,
            "dropped": dict(self._dropped),
            "quarantined": dict(self._quarantined),
            "quarantined_files": dict(self._quarantined_files),
            "skipped": dict(self._skipped),
            "changes": dict(self._changes),
            "pii": {
                f"{kind}:{self._pii.mode_of(kind)}": num
                for kind in self._pii.active_kinds
                if (num := self._changes[f"pii.num_pii_{kind}"])
            },
            "pii_samples": self._samples.chosen(),
        }


def _canonical(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Equal rows as equal buffers.

    Arrow leaves what it likes under a null and behind the end of a slice, and would write it.
    """
    return batch.take(pa.array(np.arange(batch.num_rows)))


def _value_counts(values: pa.Array) -> dict[str, int]:
    counted = pc.value_counts(values)
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))


def documents_as_read(out: Path, record: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """All documents of an item of `refine`, kept and dropped, in the batches they were read in.

    The columns are those of the kept ones. Raises `PrepareError` where rows are missing.
    """
    paths = [out / record["outputs"][kind]["path"] for kind in ("kept", "dropped")]
    files = [_Ahead(RowReader(path).batches()) for path in paths]
    end = 0
    for num_rows in record["batch_rows"]:
        end += num_rows
        parts = [batch for file in files if (batch := file.before(end)) is not None]
        found = sum(batch.num_rows for batch in parts)
        if found != num_rows:
            raise PrepareError(
                f"{paths[0]} and {paths[1].name}: {found:,} documents before number {end:,}, want "
                f"{num_rows:,}; the files are damaged: remove them and use `prepare run`"
            )
        names = parts[0].schema.names  # the kept ones come first, and a batch of only dropped ones
        names = [name for name in names if name not in FAILURES.names]  # has three columns more
        joined = pa.concat_batches([batch.select(names) for batch in parts])
        yield joined.take(pc.sort_indices(joined[ITEM_ROW]))


class _Ahead:
    """Record batches, the next of which can be left for later."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._next = next(batches, None)

    def before(self, row: int) -> pa.RecordBatch | None:
        """The next batch, if it begins before this row of the item."""
        found = self._next
        if found is None or found[ITEM_ROW][0].as_py() >= row:
            return None
        self._next = next(self._batches, None)
        return found


class RowReader:
    """Reads rows of one Arrow file back by number, in order, a record batch at a time.

    With `columns` the others are not even decoded: a file of 30 columns opens ten times as fast.
    The column COMPARED is made of others.
    """

    def __init__(self, path: Path, *columns: str) -> None:
        source = pa.memory_map(str(path))
        self._file = pa.ipc.open_file(source)
        if columns:
            names = self._file.schema.names
            if COMPARED in columns:
                columns = tuple({*columns, "text", PII_SPANS}.intersection(names))
            fields = sorted(self._file.schema.get_field_index(column) for column in columns)
            options = pa.ipc.IpcReadOptions(included_fields=fields)
            self._file = pa.ipc.open_file(source, options=options)

    @property
    def schema(self) -> pa.Schema:
        """Of the columns that are read."""
        return self._file.schema

    def take(self, rows: np.ndarray, column: str) -> pa.Array:
        """Values of one column at ascending row numbers; each record batch is touched once."""
        pieces, first, done = [], 0, 0
        for batch in self.batches():
            end = int(np.searchsorted(rows, first + batch.num_rows))
            if end > done:
                pieces.append(self._taken(batch, pa.array(rows[done:end] - first), column))
            first, done = first + batch.num_rows, end
            if done == len(rows):
                break
        return pa.concat_arrays(pieces) if pieces else self._empty(column)

    def _taken(self, batch: pa.RecordBatch, rows: pa.Array, column: str) -> pa.Array:
        if column != COMPARED:
            return batch[column].take(rows)
        wanted = [name for name in ("text", PII_SPANS) if name in batch.schema.names]
        return compared(batch.select(wanted).take(rows))

    def _empty(self, column: str) -> pa.Array:
        column = "text" if column == COMPARED else column
        return pa.array([], self._file.schema.field(column).type)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All record batches in order."""
        for number in range(self._file.num_record_batches):
            yield self._file.get_batch(number)
