"""Each document once in a set of shards, and each text on one side of the split."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.formats.documents import owners
from pipeline.shards import SPLITS, Shard, ShardRows


def doubled(folder: Path, shards: Sequence[Shard]) -> Iterator[str]:
    """A sentence where documents stand twice, and one where texts are in both splits.

    Holds 32 bytes a document. A document is where its first piece is: packing spreads none over
    parts. Erased ones are in neither count.
    """
    keys, parts = [np.zeros(0, "S16")], [np.zeros(0, np.int64)]
    texts: dict[str, list[np.ndarray]] = {split: [np.zeros(0, "S16")] for split in SPLITS}
    for number, shard in enumerate(shards):
        part_keys, part_texts = _documents(folder / shard.path)
        keys.append(part_keys)
        parts.append(np.full(len(part_keys), number))
        texts[shard.split].append(part_texts)
    yield from _twice(np.concatenate(keys), np.concatenate(parts), shards)
    train, validation = (np.concatenate(texts[split]) for split in SPLITS)
    num_both = len(np.intersect1d(train, validation))
    if num_both:
        yield f"{num_both:,} texts stand in train and in validation"


def _documents(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys and text hashes of the documents that begin in a part, as S16."""
    rows = ShardRows(path)
    if not rows.num_rows:
        return np.zeros(0, "S16"), np.zeros(0, "S16")
    has_key, text_hashes = owners(path)
    begins = has_key & (np.concatenate([block.token_starts for block in rows.blocks]) == 0)
    keys = np.concatenate([block.keys for block in rows.blocks])[begins]
    return keys.view("S16").reshape(-1), text_hashes[begins].view("S16")


def _twice(keys: np.ndarray, parts: np.ndarray, shards: Sequence[Shard]) -> Iterator[str]:
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        name = keys[first : first + 1].tobytes().hex()
        places = " and ".join(shards[parts[at]].path for at in (first, second))
        yield f"{len(again):,} documents stand twice, {name} for one, in {places}"
