"""Tokens against documents: each token of each tokenised document stands once in the shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.keys import key_words
from pipeline.records import Record
from pipeline.shards import SPLITS, ShardIndex, find_shards

MAX_NAMED = 5


class Pieces(NamedTuple):
    """Pieces of documents in rows, or whole documents."""

    key: np.ndarray  # (n, 2) uint64
    start: np.ndarray  # (n,) int64, in the document's own tokens
    length: np.ndarray  # (n,) int64


def misplaced_tokens(out: Path, records: list[Record], index: ShardIndex) -> Iterator[str]:
    """Documents of which a token is missing or doubled, and texts on both sides of the split."""
    hashes = {}
    for split in SPLITS:
        tokenised = _tokenised(out, [record["outputs"][split]["path"] for record in records])
        shards = find_shards(out)
        parts = [_read(shards / shard.path) for shard in index.shards if shard.split == split]
        yield from _uncovered(split, tokenised, _joined([_pieces(part) for part in parts]))
        hashes[split] = [_text_hashes(part) for part in parts]
    num_both = _num_shared(_stacked(hashes["train"]), _stacked(hashes["validation"]))
    if num_both:
        yield f"{out}: {num_both:,} texts stand in train and in validation"


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _keys(values: pa.FixedSizeBinaryArray) -> np.ndarray:
    return key_words(values) if len(values) else np.zeros((0, 2), np.uint64)


def _text_hashes(part: pa.Table) -> np.ndarray:
    """Of all pieces but erased ones."""
    return _keys(part["doc_text_hash"].combine_chunks().values.drop_null())


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 2), np.uint64), *parts])


def _num_shared(many: np.ndarray, few: np.ndarray) -> int:
    """Distinct 128-bit values that stand on both sides.

    Sorting records of 16 bytes takes 20 times as long as looking up one word of two.
    """
    words = np.unique(few[:, 0])
    if not len(words):
        return 0
    at = np.minimum(np.searchsorted(words, many[:, 0]), len(words) - 1)
    alike = many[words[at] == many[:, 0]]
    return len(set(map(tuple, alike.tolist())) & set(map(tuple, few.tolist())))


def _tokenised(out: Path, paths: list[str]) -> Pieces:
    """The documents of token files that have tokens, each as one piece."""
    parts = []
    for path in paths:
        for batch in _read(out / path).to_batches():  # never joined: no token is touched
            lengths = np.diff(batch["tokens"].offsets.to_numpy())
            keys = _keys(batch["doc_key"])
            is_there = (lengths > 0) & keys.any(axis=1)  # erased ones have a key of zeros
            keys, lengths = keys[is_there], lengths[is_there]
            parts.append(Pieces(keys, np.zeros(len(lengths), np.int64), lengths))
    return _joined(parts)


def _pieces(part: pa.Table) -> Pieces:
    """The pieces of the rows of a part: each ends where the next begins, or with its row."""
    starts = part["doc_start"].combine_chunks()
    if not len(starts):
        return _joined([])
    first, offsets = starts.values.to_numpy(), starts.offsets.to_numpy()
    ends = np.empty(len(first), np.int64)
    ends[:-1] = first[1:]
    ends[offsets[1:] - 1] = part["num_tokens"].to_numpy()
    keys = part["doc_key"].combine_chunks().values
    is_there = keys.is_valid().to_numpy(zero_copy_only=False)  # the others are erased
    starts = part["doc_token_start"].combine_chunks().values.to_numpy()
    return Pieces(_keys(keys)[is_there], starts[is_there], (ends - first)[is_there])


def _joined(parts: list[Pieces]) -> Pieces:
    none = Pieces(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Pieces(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))


def _uncovered(split: str, documents: Pieces, pieces: Pieces) -> Iterator[str]:
    """Sorted by document and start, pieces must begin at 0, join up and end with the document."""
    order = _order(documents)
    keys, lengths = documents.key[order], documents.length[order]
    order = _order(pieces)
    key, start, end = pieces.key[order], pieces.start[order], (pieces.start + pieces.length)[order]
    begins = np.ones(len(key), bool)
    begins[1:] = (key[1:] != key[:-1]).any(axis=1)
    expected = np.zeros(len(key), np.int64)
    expected[1:] = np.where(begins[1:], 0, end[:-1])
    closes = np.append(begins[1:], len(key) > 0)[: len(key)]
    if not np.array_equal(key[begins], keys):
        num_wrong = abs(int(begins.sum()) - len(keys))
        yield f"{split}: the shards hold other documents than were tokenised ({num_wrong:,} off)"
    elif (start != expected).any():
        wrong = key[start != expected][:MAX_NAMED]
        yield f"{split}: pieces do not join up in documents {_names(wrong)}"
    elif (end[closes] != lengths).any():
        wrong = keys[end[closes] != lengths][:MAX_NAMED]
        yield f"{split}: the last tokens are missing of documents {_names(wrong)}"


def _order(pieces: Pieces) -> np.ndarray:
    """By key, then by start: by one word first, which leaves few to be sorted by all three."""
    order: np.ndarray = np.argsort(pieces.key[:, 0])
    high = pieces.key[order, 0]
    tied = np.zeros(len(order), bool)
    tied[1:] = high[1:] == high[:-1]
    tied[:-1] |= tied[1:]
    rows = order[tied]
    low = (pieces.start[rows], pieces.key[rows, 1], pieces.key[rows, 0])
    order[tied] = rows[np.lexsort(low)]
    return order


def _names(keys: np.ndarray) -> str:
    return ", ".join(f"{int(high):016x}{int(low):016x}" for high, low in keys)
