"""Rows, sizes and places of the row groups of a Parquet file, from its footer.

pyarrow 25 knows them, too, but where a footer is damaged it does not raise: an exception of the C++
library ends the process. So the few numbers are read here. Fields:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from typing import NamedTuple

import pyarrow as pa

from pipeline.sources.thrift import Compact, Fields

MAGIC = b"PAR1"
TAIL_BYTES = 8  # length of the footer, magic
BYTE_ARRAYS = (6, 7)  # of the physical types: of any length, of a fixed one
FIXED = 7


class Column(NamedTuple):
    """A column chunk. `name` is that of the column of the table, `path` goes on to the leaf."""

    name: str
    path: str
    physical_type: int
    codec: int
    start: int  # of its first page in the file
    num_values: int  # nulls among them
    num_bytes: int  # decompressed
    num_stored_bytes: int

    @property
    def is_string(self) -> bool:
        return self.physical_type in BYTE_ARRAYS


class Group(NamedTuple):
    """A row group."""

    num_rows: int
    columns: tuple[Column, ...]


def row_groups(handle: pa.NativeFile) -> list[Group]:
    """The row groups in order. Raises `ValueError` where the footer is damaged."""
    size = handle.size()
    handle.seek(max(0, size - TAIL_BYTES))
    tail = bytes(handle.read(TAIL_BYTES))
    num_bytes = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or num_bytes > size - TAIL_BYTES:
        raise ValueError("there is no footer")
    handle.seek(size - TAIL_BYTES - num_bytes)
    try:
        footer = Compact(bytes(handle.read(num_bytes))).fields()
        return [_group(group) for group in footer.get(4, [])]
    except (IndexError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"the footer is damaged: {exc!r}") from exc
    except ValueError as exc:
        raise ValueError(f"the footer is damaged: {exc}") from exc


def _group(fields: Fields) -> Group:
    return Group(_count(fields[3]), tuple(_column(chunk[3]) for chunk in fields[1]))


def _column(fields: Fields) -> Column:
    path = [name.decode("utf-8") for name in fields[3]]
    start = _count(fields[9])
    dictionary = _count(fields.get(11, 0))  # some writers give 0 where there is none
    return Column(
        name=path[0],
        path=".".join(path),
        physical_type=_count(fields[1]),
        codec=_count(fields[4]),
        start=dictionary if 0 < dictionary < start else start,
        num_values=_count(fields[5]),
        num_bytes=_count(fields[6]),
        num_stored_bytes=_count(fields[7]),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"got {value!r}, want a count")
    return value
