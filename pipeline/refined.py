"""The files that `refine` writes for one work item, and how later stages read them.

    OUT/refined/<source>/<fingerprint>.kept.arrow         documents, keys, signals
                                      .signatures.arrow   rank and band hashes, row by row as kept
                                      .dropped.arrow      as kept, and rule, value, threshold
                                      .quarantined.arrow  file, row, reason, raw bytes

All are uncompressed Arrow IPC files, so that a row is read back without reading the rest.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.protocol import FAILURES
from pipeline.arrow import num_value_bytes
from pipeline.files import arrow_writer
from pipeline.refining import Refined, Refinery
from pipeline.sources.schema import DOCUMENT, QUARANTINE, Rows

KINDS = ("kept", "signatures", "dropped", "quarantined")


def refined_paths(out: Path, source: str, fingerprint: str) -> dict[str, Path]:
    """The four files of an item."""
    folder = out / "refined" / source
    return {kind: folder / f"{fingerprint}.{kind}.arrow" for kind in KINDS}


class RefinedWriter:
    """Writes one item's files and counts; all files appear together when the `with` block ends."""

    def __init__(self, paths: dict[str, Path], refinery: Refinery) -> None:
        empty = refinery(pa.RecordBatch.from_pylist([], schema=DOCUMENT))
        self._schemas = {
            "kept": empty.kept.schema,
            "signatures": empty.signatures.schema,
            "dropped": pa.schema([*empty.kept.schema, *FAILURES]),
            "quarantined": QUARANTINE,
        }
        self._paths = paths
        self._stack = ExitStack()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._quarantined_files: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()

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
        self._write("quarantined", rows.quarantined)
        self._write("kept", refined.kept)
        self._write("signatures", refined.signatures)
        for batch in refined.dropped:
            self._write("dropped", _padded(batch, self._schemas["dropped"]))
            self._dropped.update(_value_counts(batch["rule"]))
        self._counts["num_kept"] += refined.kept.num_rows
        self._counts["num_kept_bytes"] += int(num_value_bytes(refined.kept["text"]).sum())
        for batch in (refined.kept, *refined.dropped):
            self._count_changes(batch)

    def _count_read(self, rows: Rows) -> None:
        self._counts["num_read"] += rows.documents.num_rows + rows.quarantined.num_rows
        self._counts["num_read_bytes"] += int(num_value_bytes(rows.documents["text"]).sum())
        self._quarantined.update(_value_counts(rows.quarantined["reason"]))
        self._quarantined_files.update(_value_counts(rows.quarantined["source_path"]))

    def _count_changes(self, batch: pa.RecordBatch) -> None:
        for name in batch.schema.names:
            if name.startswith(("clean.", "pii.")):
                self._changes[name] += pc.sum(batch[name]).as_py() or 0

    def _write(self, kind: str, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._writers[kind].write_batch(batch.cast(self._schemas[kind]))

    def counts(self) -> dict[str, Any]:
        """Rows read, kept, dropped by rule and quarantined by reason and file; bytes; changes."""
        return {
            "num_read": 0,
            "num_read_bytes": 0,
            "num_kept": 0,
            "num_kept_bytes": 0,
            **self._counts,
            "dropped": dict(self._dropped),
            "quarantined": dict(self._quarantined),
            "quarantined_files": dict(self._quarantined_files),
            "changes": dict(self._changes),
        }


def _padded(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the schema's order, with nulls for signals that were never reached."""
    have = set(batch.schema.names)
    columns = [
        batch[field.name] if field.name in have else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _value_counts(values: pa.Array) -> dict[str, int]:
    counted = pc.value_counts(values)
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))


class RowReader:
    """Reads rows of one Arrow file back by number, in order, a record batch at a time.

    With `column` the others are not even decoded: a file of 30 columns opens ten times as fast.
    """

    def __init__(self, path: Path, column: str | None = None) -> None:
        source = pa.memory_map(str(path))
        self._file = pa.ipc.open_file(source)
        if column is not None:
            field = self._file.schema.get_field_index(column)
            options = pa.ipc.IpcReadOptions(included_fields=[field])
            self._file = pa.ipc.open_file(source, options=options)

    def take(self, rows: np.ndarray, column: str) -> pa.Array:
        """Values of one column at ascending row numbers; each record batch is touched once."""
        pieces, first, done = [], 0, 0
        for batch in self.batches():
            end = int(np.searchsorted(rows, first + batch.num_rows))
            if end > done:
                pieces.append(batch[column].take(pa.array(rows[done:end] - first)))
            first, done = first + batch.num_rows, end
            if done == len(rows):
                break
        return pa.concat_arrays(pieces) if pieces else self._empty(column)

    def _empty(self, column: str) -> pa.Array:
        return pa.array([], self._file.schema.field(column).type)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All record batches in order."""
        for number in range(self._file.num_record_batches):
            yield self._file.get_batch(number)
