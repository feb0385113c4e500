"""The first rows of a file as Python values, and how many rows the file may have."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.initialising.heads import Head, count_lines
from pipeline.initialising.listing import File
from pipeline.initialising.sniffing import table_rows
from pipeline.sources.arrow import MAGIC
from pipeline.sources.delimited import DELIMITERS
from pipeline.sources.files import ARROW_ERRORS

NUM_ROWS = 100
COUNTED_BYTES = 32 << 20  # in which lines are counted: 20 ms, or 0.1 s compressed
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FirstRows:
    """`rows` are the first ones; `num_rows` is of the whole file, None where nothing tells it."""

    rows: Sequence[Row]
    num_rows: float | None
    num_broken: int = 0  # lines among the first ones that are no rows
    is_exact: bool = False


def first_rows(file: File, kind: str, head: Head) -> FirstRows:
    """Of a file of rows. Raises `DAMAGE` for a damaged one."""
    if kind == "parquet":
        return _parquet(file)
    if kind == "arrow":
        return _arrow(file)
    if kind == "jsonl":
        return _json_lines(file, head)
    return _table(file, kind, head)


def rows_of(table: pa.Table | pa.RecordBatch) -> list[Row]:
    """The first rows of a table. Raises `ValueError` where two columns have one name."""
    names, first = table.schema.names, table.slice(0, NUM_ROWS)
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(f"more than one column is called {twice[0]!r}")
    columns = [_values(column) for column in first.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """As Python has them; a time that Python has not, as Arrow writes it."""
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):  # the year 300,000; nanoseconds without pandas
        values = column.cast(pa.string()).to_pylist()
    return values


def _parquet(file: File) -> FirstRows:
    opened = pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20)
    batch = next(opened.iter_batches(NUM_ROWS, use_threads=False), None)
    rows = [] if batch is None else rows_of(batch)
    return FirstRows(rows, opened.metadata.num_rows, is_exact=True)


def _arrow(file: File) -> FirstRows:
    with pa.memory_map(str(file.path)) as handle:
        if handle.read(len(MAGIC)) == MAGIC:
            handle.seek(0)
            reader = pa.ipc.open_file(handle)
            if not reader.num_record_batches:
                return FirstRows([], 0, is_exact=True)
            batch = reader.get_batch(0)
            return FirstRows(rows_of(batch), batch.num_rows * reader.num_record_batches)
        handle.seek(0)
        batch = pa.ipc.open_stream(handle).read_next_batch()
        share = max(1, handle.tell()) / max(1, file.size_bytes)
        return FirstRows(rows_of(batch), batch.num_rows / share)


def _json_lines(file: File, head: Head) -> FirstRows:
    lines = [line for line in head.data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    whole = lines if head.is_whole or len(lines) == 1 else lines[:-1]
    rows, num_broken = [], 0
    for line in whole[:NUM_ROWS]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # the first one: not UTF-8, or no JSON
            num_broken += head.is_whole or len(lines) > 1
            continue
        if isinstance(value, dict):
            rows.append(value)
        else:
            num_broken += 1
    lines_of_all = count_lines(file, COUNTED_BYTES)
    return FirstRows(rows, lines_of_all.num_lines, num_broken, lines_of_all.is_exact)


def _table(file: File, kind: str, head: Head) -> FirstRows:
    text = head.data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    names, *cells = table_rows(text, DELIMITERS[kind], is_whole=head.is_whole)
    fits = [row for row in cells if len(row) == len(names)]
    rows = [dict(zip(names, row, strict=True)) for row in fits[:NUM_ROWS]]
    return FirstRows(rows, len(cells) / head.share(file), len(cells) - len(fits), head.is_whole)


DAMAGE = (*ARROW_ERRORS, ValueError, OverflowError, StopIteration)
