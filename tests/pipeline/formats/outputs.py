"""What an output holds, read from its token files and not from its shards; and changed outputs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.files import arrow_writer, file_hash
from pipeline.shards import find_shards, read_index, shard_schema, write_index

ERASED = 20  # of all documents, every 20th by its key


def read_table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def tokenised(out: Path, source: str, split: str) -> dict[bytes, list[int]]:
    """Tokens by document key, as the stage before packing left them."""
    found: dict[bytes, list[int]] = {}
    for path in sorted((out / "tokens" / source).glob(f"*.{split}.arrow")):
        table = read_table(path)
        pairs = zip(table["doc_key"].to_pylist(), table["tokens"].to_pylist(), strict=True)
        found |= {key: tokens for key, tokens in pairs if tokens}
    return found


def is_erased(key: bytes) -> bool:
    return key[0] % ERASED == 0


def is_learned(key: bytes, token: int) -> bool:
    """Whether a masked copy of `general` learns a token of a document."""
    return (key[1] + token) % 3 > 0


def masked_copy(out: Path, target: Path) -> Path:
    """A copy with a loss mask in `general`, and with the documents of some keys erased.

    As `docs/shards.md` says: an erased piece is padding, not learned, its key and hash are null.
    """
    shutil.copytree(out, target)
    index, shards = read_index(target), find_shards(target)
    changed = []
    for shard in index.shards:
        path = shards / shard.path
        table = read_table(path)
        masked = shard.source == "general"
        schema = shard_schema(index.sequence_tokens, getattr(pa, index.dtype)(), loss_mask=True)
        rows = [_changed(row, masked, index.tokenizer.pad_id) for row in table.to_pylist()]
        with arrow_writer(path, schema) as writer:
            for batch in pa.Table.from_pylist(rows, schema=schema).to_batches(max_chunksize=50):
                writer.write_batch(batch)
        changed.append(replace(shard, sha256=file_hash(path, "sha256")))
    write_index(shards, replace(index, shards=tuple(changed)))
    return target


def _changed(row: dict, masked: bool, pad_id: int) -> dict:
    width = len(row["tokens"])
    tokens, learned = np.array(row["tokens"]), np.ones(width, np.uint8)
    hashes = list(row["doc_text_hash"])
    keys, ends = list(row["doc_key"]), [*row["doc_start"][1:], row["num_tokens"]]
    for piece, (start, end) in enumerate(zip(row["doc_start"], ends, strict=True)):
        key, first = row["doc_key"][piece], row["doc_token_start"][piece]
        if masked:
            learned[start:end] = [is_learned(key, first + n) for n in range(end - start)]
        if is_erased(key):
            tokens[start:end], learned[start:end] = pad_id, 0
            keys[piece] = hashes[piece] = None
    mask = None if learned.all() else learned.tolist()
    names = {"doc_key": keys, "doc_text_hash": hashes}
    return row | names | {"tokens": tokens.tolist(), "loss_mask": mask}
