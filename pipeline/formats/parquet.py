"""Parquet: the packed rows of the shards with all of their columns, a file a part.

The schema is that of `pipeline.shards`, so nothing is lost: a key that erasure took is null, and a
row that is learned as a whole has a null `loss_mask`. That column alone is a list of any length, as
Arrow's reader cannot take nulls among Parquet's lists of one size.
`datasets.load_dataset("parquet", ...)` reads the files as they are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.formats.rows import part_batches

COMPRESSION = "zstd"
MASK = pa.field("loss_mask", pa.list_(pa.field("item", pa.uint8(), nullable=False)))
# In a file's metadata: its part had no loss mask, the column is there for the others' sake.
WAS_UNMASKED = b"headwater.unmasked"


def read_schema(path: Path) -> pa.Schema:
    """The schema of somebody's file. Raises `SourceError` for what is no Parquet file."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as exc:
        raise _unreadable(path, exc) from exc


def count_rows(path: Path) -> int:
    """As the footer has them. Raises `SourceError`."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as exc:
        raise _unreadable(path, exc) from exc


def read_batches(path: Path, num_rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of somebody's file. Raises `SourceError` where its pages are damaged."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(num_rows, columns=list(columns))
    except (OSError, pa.ArrowException) as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, error: Exception) -> SourceError:
    hint = ""
    if "Expected all lists to be of size" in str(error):
        hint = "; Arrow reads no nulls among lists of one size: write them as lists of any size"
    return SourceError(
        f"{path}: not a Parquet file that can be read ({error}){hint or '; copy or write it anew'}"
    )


def write_parquet(part: Path, path: Path, *, masked: bool) -> None:
    """Write a part of the shards as a Parquet file, a row group for each of its record batches.

    With `masked` the file has a column `loss_mask`, so that all files of an export agree.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    batches = part_batches(part)
    with pa.memory_map(str(part)) as source:
        schema = pa.ipc.open_file(source).schema
    metadata = None
    if masked and "loss_mask" not in schema.names:
        metadata = {WAS_UNMASKED: b"true"}
        schema = schema.append(MASK)
    elif masked:
        schema = schema.set(schema.get_field_index("loss_mask"), MASK)
    schema = schema.with_metadata(metadata)
    # With a dictionary of token ids: 10 % more bytes and time.
    with pq.ParquetWriter(path, schema, compression=COMPRESSION, use_dictionary=False) as writer:
        for batch in batches:
            writer.write_batch(_fitted(batch, schema))


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with a mask as the file has it; no other column is copied."""
    columns = [
        batch[field.name].cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
