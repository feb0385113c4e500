"""`prepare verify` of an imported set: it has shards and no stages behind them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import ShardError
from pipeline.files import file_hash
from pipeline.formats.documents import read_documents
from pipeline.formats.importing import RECORD_NAME
from pipeline.formats.once import doubled
from pipeline.shards import Shard, ShardIndex, ShardRows, damaged_shards, find_shards, read_index
from pipeline.tokens.resolve import TOKENIZER_FILE


def is_imported(out: Path) -> bool:
    """Whether a folder was made by `prepare import`."""
    return (out / RECORD_NAME).is_file()


def imported_faults(out: Path) -> Iterator[str]:
    """Parts that are not as they were written, or that do not hold what the index says; documents
    that stand twice, or on both sides of the split; another tokenizer than the one of the ids."""
    try:
        index = read_index(out)
    except ShardError as error:
        yield str(error)
        return
    shards, is_whole = find_shards(out), True
    yield from _wrong_tokenizer(shards.parent / index.tokenizer.path / TOKENIZER_FILE, index)
    for shard in index.shards:
        damaged = list(damaged_shards(shards, replace(index, shards=(shard,))))
        is_whole &= not damaged
        yield from damaged or _wrong_part(shards / shard.path, shard, index)
    if is_whole:
        yield from (f"{shards}: {fault}" for fault in doubled(shards, index.shards))


def _wrong_tokenizer(path: Path, index: ShardIndex) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: missing"
    elif (got := file_hash(path)) != index.tokenizer.fingerprint:
        yield f"{path}: its fingerprint is {got}, the index says {index.tokenizer.fingerprint}"


def _wrong_part(path: Path, shard: Shard, index: ShardIndex) -> Iterator[str]:
    """Counts, ids, and documents whose pieces do not join up."""
    rows = ShardRows(path)
    for name, found in (
        ("num_rows", rows.num_rows),
        ("num_tokens", int(rows.num_tokens.sum())),
        ("num_bytes", int(rows.num_bytes.sum())),
    ):
        if found != getattr(shard, name):
            yield f"{path}: {name} is {found:,}, the index says {getattr(shard, name):,}"
    widths = {block.tokens.shape[1] for block in rows.blocks} - {index.sequence_tokens}
    if widths:
        yield f"{path}: rows of {widths.pop():,} tokens, the index says {index.sequence_tokens:,}"
    highest = max((int(np.max(block.tokens)) for block in rows.blocks), default=0)
    if highest >= index.tokenizer.num_ids:
        yield f"{path}: holds the id {highest:,}, its tokenizer has {index.tokenizer.num_ids:,}"
    try:
        num_documents = len(read_documents(path).keys)
        if num_documents != shard.num_documents:
            yield f"{path}: {num_documents:,} documents, the index says {shard.num_documents:,}"
    except ShardError as error:
        yield str(error)
