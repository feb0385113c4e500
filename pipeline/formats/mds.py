"""MosaicML Streaming's MDS: the packed rows of the shards, one sample a row.

A folder is a dataset: `shard.NNNNN.mds` files and, written last, `index.json`. A file, little-
endian, as `streaming/base/format/mds` of mosaicml-streaming 0.13 reads it:

    uint32        number of samples, n
    uint32[n + 1] where each sample begins in the file, and where the last one ends
    JSON          the columns and how they are encoded, as in index.json
    samples       each: uint32 bytes of every column that varies, then the columns by name

Columns are those of the shards, under their names. `tokens` and `loss_mask` are arrays of a fixed
shape; lists are arrays with their shape in front: a byte, 4 times the number of dimensions and 2
for dimensions as uint32, and the dimensions. Keys and hashes are uint8 (pieces, 16). MDS has no
nulls: key and hash of an erased piece are 16 zeros, a row without a loss mask has ones.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numba import njit

from pipeline.files import write_json
from pipeline.formats.rows import PackedRows

SHARD_BYTES = 1 << 26  # as streaming's own writer has it; a file ends with the block that fills it
HASH = "xxh3_128"


class _Segment(NamedTuple):
    """A part of every sample: row r has `data[offsets[r]:offsets[r + 1]]`, uint8."""

    data: np.ndarray
    offsets: np.ndarray


class _Column(NamedTuple):
    """`encoding` and `size` as MDS names them; `size` None where it differs by row."""

    name: str
    encoding: str
    size: int | None
    segments: tuple[_Segment, ...]


class MdsWriter:
    """Writes blocks of rows into a folder, which must be there; holds `SHARD_BYTES` of them.

    `close` writes `index.json`, without which there is no dataset.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[dict[str, Any]] = []
        self._layout: dict[str, Any] = {}
        self._samples: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []
        self.num_rows = 0

    def add(self, rows: PackedRows) -> None:
        """Append rows; every block must have the same columns."""
        columns = _columns(rows)
        self._layout = _layout(columns)
        samples, sizes = _encode(columns, len(rows.num_tokens))
        self._samples.append(samples)
        self._sizes.append(sizes)
        self.num_rows += len(sizes)
        if sum(map(len, self._samples)) >= SHARD_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the index."""
        if self._samples:
            self._flush()
        write_json(self._folder / "index.json", {"version": 2, "shards": self._files})

    def _flush(self) -> None:
        name = f"shard.{len(self._files):05d}.mds"
        layout = json.dumps(self._layout, sort_keys=True).encode()
        sizes = np.concatenate(self._sizes)
        head_bytes = 4 + 4 * (len(sizes) + 1) + len(layout)
        offsets = head_bytes + np.concatenate([[0], np.cumsum(sizes)])
        head = np.uint32(len(sizes)).tobytes() + offsets.astype("<u4").tobytes() + layout
        digest = _write(self._folder / name, [head, *self._samples])
        file = {"basename": name, "bytes": int(offsets[-1]), "hashes": {HASH: digest}}
        entry = {"samples": len(sizes), "raw_data": file, "zip_data": None}
        self._files.append(entry | self._layout)
        self._samples, self._sizes = [], []


def _write(path: Path, parts: Iterable[Any]) -> str:
    digest = xxhash.xxh3_128()
    with path.open("wb") as handle:
        for part in parts:
            handle.write(part)
            digest.update(part)
    return str(digest.hexdigest())


def _layout(columns: Sequence[_Column]) -> dict[str, Any]:
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [HASH],
        "size_limit": SHARD_BYTES,
        "column_names": [column.name for column in columns],
        "column_encodings": [column.encoding for column in columns],
        "column_sizes": [column.size for column in columns],
    }


def _columns(rows: PackedRows) -> list[_Column]:
    columns = [
        _ragged("doc_key", rows.keys, rows.piece_offsets),
        _ragged("doc_start", rows.starts, rows.piece_offsets),
        _ragged("doc_text_hash", rows.text_hashes, rows.piece_offsets),
        _ragged("doc_token_start", rows.token_starts, rows.piece_offsets),
        _fixed("num_bytes", rows.num_bytes, rows.num_bytes.dtype.name),
        _fixed("num_tokens", rows.num_tokens, rows.num_tokens.dtype.name),
        _array("tokens", rows.tokens),
    ]
    if rows.learned is not None:
        columns.append(_array("loss_mask", rows.learned))
    return sorted(columns)  # by name, as MDS asks for


def _array(name: str, values: np.ndarray) -> _Column:
    return _fixed(name, values, f"ndarray:{values.dtype.name}:{values.shape[1]}")


def _fixed(name: str, values: np.ndarray, encoding: str) -> _Column:
    """A column of as many bytes in every row, from an array with a row each."""
    data = np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
    return _Column(name, encoding, data.shape[1], (_even(data),))


def _ragged(name: str, values: np.ndarray, offsets: np.ndarray) -> _Column:
    """A column of arrays of differing length, each with its shape in front."""
    shape = np.diff(offsets)[:, None].astype("<u4")
    if values.ndim == 2:
        shape = np.insert(shape, 1, values.shape[1], axis=1)
    head = np.empty((len(shape), 1 + 4 * values.ndim), np.uint8)
    head[:, 0] = 4 * values.ndim + 2
    head[:, 1:] = np.ascontiguousarray(shape).view(np.uint8)
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    item_bytes = values.dtype.itemsize * (values.shape[1] if values.ndim == 2 else 1)
    body = _Segment(data, offsets.astype(np.int64) * item_bytes)
    return _Column(name, f"ndarray:{values.dtype.name}", None, (_even(head), body))


def _even(data: np.ndarray) -> _Segment:
    """Segments of one length, from uint8 (n, bytes)."""
    num_rows, width = data.shape
    return _Segment(data.reshape(-1), np.arange(num_rows + 1, dtype=np.int64) * width)


def _encode(columns: Sequence[_Column], num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples end to end as uint8, and the bytes of each (int64)."""
    varying = [column for column in columns if column.size is None]
    num_bytes = [sum(np.diff(segment.offsets) for segment in column.segments) for column in varying]
    head = np.stack(num_bytes, axis=1).astype("<u4")
    segments = [_even(np.ascontiguousarray(head).view(np.uint8))]
    segments += [segment for column in columns for segment in column.segments]
    lengths = np.stack([np.diff(segment.offsets) for segment in segments])
    sizes: np.ndarray = lengths.sum(axis=0)
    ends = np.cumsum(sizes)
    samples = np.empty(int(ends[-1]) if num_rows else 0, np.uint8)
    at = ends - sizes
    for segment in segments:
        _place(segment.data, segment.offsets, at, samples)
        at = at + np.diff(segment.offsets)
    return samples, sizes


@njit(cache=True, nogil=True)
def _place(data: np.ndarray, offsets: np.ndarray, at: np.ndarray, out: np.ndarray) -> None:
    """Copy segment r to `out[at[r]:]`."""
    for row in range(len(at)):
        begin, end = offsets[row], offsets[row + 1]
        out[at[row] : at[row] + end - begin] = data[begin:end]
