"""What the pass over all texts leaves, and `refine` reads: sorted columns, mapped into memory.

    lines.key, lines.text             uint64   a line too frequent, and the text that keeps it
    paragraphs.key, paragraphs.text   uint64   the same of paragraphs
    substrings.key, .low              uint64   halves of the hash of a text
    substrings.start, .stop           int64    bytes of it to cut

One .npy file for each, because a search wants a column in one piece, and mapped, so that all
processes of a machine share it.
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.edits.substrings import CutRows, Cuts
from pipeline.edits.units import Keepers, UnitRows
from pipeline.files import atomic

KINDS = ("lines", "paragraphs", "substrings")
# Columns of the rows that are shuffled.
ROWS = {kind: (CutRows if kind == "substrings" else UnitRows)._fields for kind in KINDS}
COLUMNS = {kind: (Cuts if kind == "substrings" else Keepers)._fields for kind in KINDS}
SIGNED = ("start", "stop")

Columns = dict[str, np.ndarray]


def column_type(name: str) -> type[np.generic]:
    return np.int64 if name in SIGNED else np.uint64


def write_column(path: Path, name: str, partitions: Iterable[Path], num_rows: int) -> None:
    """One column of all partitions, one after the other, holding one of them at a time."""
    dtype = np.dtype(column_type(name)).newbyteorder("<")
    header = {"descr": dtype.str, "fortran_order": False, "shape": (num_rows,)}
    with atomic(path) as temporary, temporary.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        for partition in partitions:
            for batch in batches(partition):
                handle.write(batch[name].to_numpy().astype(dtype, copy=False).tobytes())


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of an Arrow file."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


@functools.lru_cache(maxsize=8)
def open_columns(folder: Path, kind: str) -> Columns:
    """The columns of one kind; once a process."""
    return {name: np.load(folder / f"{kind}.{name}.npy", mmap_mode="r") for name in COLUMNS[kind]}
