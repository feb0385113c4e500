"""Write small shard directories in the real format, for tests and benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.files import arrow_writer, file_hash
from pipeline.shards import (
    Shard,
    ShardIndex,
    TokenizerIdentity,
    shard_schema,
    token_type,
    write_index,
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A packed row: its documents' token ids, in order, and the bytes they spell."""

    documents: tuple[tuple[int, ...], ...]
    num_bytes: int = 0
    is_learned: bool = True  # False: a loss mask of 0, as of prompts and erased documents
    names: tuple[str, ...] = ()  # what the text hashes are made of; default: the token ids

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.documents))


def write_shards(
    out: Path,
    rows: dict[tuple[str, str], Sequence[Row]],  # by (source, split)
    *,
    sequence_tokens: int,
    num_ids: int = 64,
    tokenizer: str = "tokenizer-a",
    part_rows: int = 100,
    block_rows: int = 7,
) -> Path:
    """Write `out/shards` with parts of `part_rows` rows in record batches of `block_rows`."""
    shards = []
    for (source, split), all_rows in rows.items():
        for number, first in enumerate(range(0, len(all_rows), part_rows)):
            part = all_rows[first : first + part_rows]
            is_masked = not all(row.is_learned for row in part)
            schema = shard_schema(sequence_tokens, token_type(num_ids), loss_mask=is_masked)
            path = f"{source}/{split}/part-{number:05d}.arrow"
            with arrow_writer(out / "shards" / path, schema) as writer:
                for start in range(0, len(part), block_rows):
                    writer.write_batch(_batch(part[start : start + block_rows], schema))
            shards.append(_shard(out / "shards" / path, path, source, split, part))
    identity = TokenizerIdentity(
        fingerprint=tokenizer, num_ids=num_ids, bos_id=None, eos_id=1, pad_id=0
    )
    index = ShardIndex(
        corpus=out.name,
        manifest_fingerprint="m",
        tokenizer=identity,
        sequence_tokens=sequence_tokens,
        dtype=str(token_type(num_ids)),
        shards=tuple(shards),
    )
    write_index(out / "shards", index)
    return out


def _batch(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    width = schema.field("tokens").type.list_size
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    for line, row in zip(tokens, rows, strict=True):
        flat = [token for document in row.documents for token in document]
        line[: len(flat)] = flat
    starts = [np.cumsum([0, *map(len, row.documents)])[:-1].tolist() for row in rows]
    hashes = [[_hash(name) for name in (row.names or row.documents)] for row in rows]
    kind = schema.field("tokens").type
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(tokens.ravel(), kind.value_type), type=kind),
        pa.array([row.num_tokens for row in rows], pa.int32()),
        pa.array([row.num_bytes or 4 * row.num_tokens for row in rows], pa.int32()),
        pa.array(starts, pa.list_(pa.int32())),
        pa.array([[0] * len(line) for line in starts], pa.list_(pa.int64())),
        pa.array(hashes, pa.list_(pa.binary(16))),
        pa.array(hashes, pa.list_(pa.binary(16))),
    ]
    if "loss_mask" in schema.names:
        mask = np.repeat([row.is_learned for row in rows], width).astype(np.uint8)
        kind = schema.field("loss_mask").type
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(mask), type=kind))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _shard(path: Path, relative: str, source: str, split: str, rows: Sequence[Row]) -> Shard:
    return Shard(
        path=relative,
        source=source,
        split=split,
        num_rows=len(rows),
        num_tokens=sum(row.num_tokens for row in rows),
        num_bytes=sum(row.num_bytes or 4 * row.num_tokens for row in rows),
        num_documents=sum(len(row.documents) for row in rows),
        sha256=file_hash(path, "sha256"),
    )


def _hash(name: object) -> bytes:
    return bytes(xxhash.xxh3_128_digest(repr(name).encode()))
