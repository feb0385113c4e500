"""Documents put together again from the rows of a part.

Packing spreads a document over rows, but never over parts, so one part at a time is enough. A
document stands where its first token stands in the part: the order is that of the shards.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.errors import ShardError
from pipeline.shards import RowBlock, ShardRows


@dataclass(frozen=True, slots=True)
class PartDocuments:
    """n documents: `values` uint16|uint32 flat, `offsets` int64 (n + 1) from 0, `keys` and
    `text_hashes` V16 (n), and `learned` uint8 beside `values`, None where every token is learned.
    """

    values: np.ndarray
    offsets: np.ndarray
    keys: np.ndarray
    text_hashes: np.ndarray
    learned: np.ndarray | None


class _Pieces(NamedTuple):
    """The pieces of all rows of a part, in its order; `first` counts from the block's first row."""

    block: np.ndarray  # int64
    first: np.ndarray  # int64
    length: np.ndarray  # int64
    token_start: np.ndarray  # int64
    key: np.ndarray  # (n, 2) uint64


def read_documents(path: Path) -> PartDocuments:
    """The documents of a part. Erased pieces, whose key is null, are left out.

    Holds the part's tokens once, and 60 bytes a piece. Raises `ShardError` where the pieces of a
    document do not join up.
    """
    rows = ShardRows(path)
    if not rows.num_rows:
        none = np.zeros(0, "V16")
        return PartDocuments(np.zeros(0, np.uint16), np.zeros(1, np.int64), none, none, None)
    pieces = _pieces(rows)
    has_key, text_hashes = owners(path)
    kept = np.flatnonzero(has_key)
    order = kept[np.lexsort((pieces.token_start[kept], *pieces.key[kept].T))]
    begins, ends = _groups(path, pieces, order)
    ranked = np.argsort(order[begins])  # by where the first token of each document stands
    sums = np.concatenate([[0], np.cumsum(pieces.length[order])])
    lengths = sums[ends] - sums[begins]
    offsets = np.concatenate([[0], np.cumsum(lengths[ranked])])
    document_first = np.empty_like(begins)
    document_first[ranked] = offsets[:-1]
    to = np.full(len(pieces.length), -1, np.int64)
    to[order] = np.repeat(document_first, ends - begins) + pieces.token_start[order]
    first_piece = order[begins][ranked]
    values, learned = _scattered(rows.blocks, pieces, to, int(offsets[-1]))
    keys = np.ascontiguousarray(pieces.key[first_piece]).view("V16").reshape(-1)
    return PartDocuments(values, offsets, keys, text_hashes[first_piece], learned)


def _pieces(rows: ShardRows) -> _Pieces:
    none, no_key = np.zeros(0, np.int64), np.zeros((0, 2), np.uint64)
    parts = [_Pieces(none, none, none, none, no_key)]
    for number, block in enumerate(rows.blocks):
        offsets = block.start_offsets
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        starts = block.starts.astype(np.int64)
        ends = np.append(starts[1:], 0)
        ends[offsets[1:] - 1] = block.num_tokens
        parts.append(
            _Pieces(
                np.full(len(starts), number),
                row * block.tokens.shape[1] + starts,
                ends - starts,
                block.token_starts,
                block.keys,
            )
        )
    return _Pieces(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def owners(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of each piece: whether it has a key, and the text hash as V16 (of an erased one: any)."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
        keys, hashes = (table[name].combine_chunks() for name in ("doc_key", "doc_text_hash"))
        raw = np.frombuffer(hashes.values.buffers()[1], "V16", len(hashes.values)).copy()
        return keys.values.is_valid().to_numpy(zero_copy_only=False), raw


def _groups(path: Path, pieces: _Pieces, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each document begins and ends among the sorted pieces; they must join up from 0."""
    key, start = pieces.key[order], pieces.token_start[order]
    new = np.ones(len(order), bool)
    new[1:] = (key[1:] != key[:-1]).any(axis=1)
    expected = np.zeros(len(order), np.int64)
    expected[1:] = np.where(new[1:], 0, (start + pieces.length[order])[:-1])
    wrong = np.flatnonzero(start != expected)
    if len(wrong):
        name = np.ascontiguousarray(key[wrong[0]]).tobytes().hex()
        raise ShardError(
            f"{path}: the pieces of document {name} do not join up at its token "
            f"{expected[wrong[0]]}; run `prepare verify`"
        )
    begins = np.flatnonzero(new)
    return begins, np.append(begins[1:], len(order)).astype(np.int64)


def _scattered(
    blocks: list[RowBlock], pieces: _Pieces, to: np.ndarray, num_tokens: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Tokens and loss mask with each piece at `to`, or nowhere where that is negative."""
    values = np.empty(num_tokens, blocks[0].tokens.dtype)
    masked = any(block.learned is not None for block in blocks)
    learned = np.empty(num_tokens, np.uint8) if masked else None
    ends = np.searchsorted(pieces.block, np.arange(len(blocks) + 1))
    for number, block in enumerate(blocks):
        inside = slice(ends[number], ends[number + 1])
        where = pieces.first[inside], pieces.length[inside], to[inside]
        scatter(block.tokens.reshape(-1), *where, values)
        if learned is not None and block.learned is not None:
            scatter(block.learned.reshape(-1), *where, learned)
    if learned is None or learned.all():
        return values, None  # what was masked has been erased
    return values, learned


@njit(cache=True, nogil=True)
def scatter(
    values: np.ndarray, first: np.ndarray, length: np.ndarray, to: np.ndarray, out: np.ndarray
) -> None:
    """Copy piece p, `values[first[p]:][:length[p]]`, to `out[to[p]:]`; not where `to` is < 0."""
    for piece in range(len(first)):
        if to[piece] >= 0:
            begin, end = first[piece], first[piece] + length[piece]
            out[to[piece] : to[piece] + length[piece]] = values[begin:end]
