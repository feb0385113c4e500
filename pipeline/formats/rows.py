"""The packed rows of a part, block by block, with everything that they hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.errors import ShardError
from pipeline.shards import ShardRows


class PackedRows(NamedTuple):
    """n rows of T tokens; row i has the pieces `piece_offsets[i]:piece_offsets[i + 1]`."""

    tokens: np.ndarray  # (n, T) uint16 or uint32
    num_tokens: np.ndarray  # (n,) int32
    num_bytes: np.ndarray  # (n,) int32
    piece_offsets: np.ndarray  # (n + 1,) int32, the first 0
    starts: np.ndarray  # (pieces,) int32
    token_starts: np.ndarray  # (pieces,) int64
    keys: np.ndarray  # (pieces, 16) uint8; zeros where a piece is erased
    text_hashes: np.ndarray  # (pieces, 16) uint8
    learned: np.ndarray | None  # (n, T) uint8


def read_rows(path: Path, *, masked: bool) -> Iterator[PackedRows]:
    """The rows of a part by record batch; with `masked`, all with a loss mask, where there is none
    of ones."""
    batches = part_batches(path)
    for block, batch in zip(ShardRows(path).blocks, batches, strict=True):
        learned = block.learned
        if masked and learned is None:
            learned = np.ones(block.tokens.shape, np.uint8)
        yield PackedRows(
            tokens=block.tokens,
            num_tokens=block.num_tokens,
            num_bytes=block.num_bytes,
            piece_offsets=block.start_offsets,
            starts=block.starts,
            token_starts=block.token_starts,
            keys=_bytes(batch["doc_key"].values),
            text_hashes=_bytes(batch["doc_text_hash"].values),
            learned=learned,
        )


def part_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a part, as views of the file. Raises `ShardError`."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowInvalid) as exc:
        raise ShardError(f"{path}: not a readable shard ({exc}); run `prepare verify`") from exc
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def is_masked(path: Path) -> bool:
    """Whether a part has a loss mask; reads its footer alone."""
    try:
        with pa.memory_map(str(path)) as source:
            return "loss_mask" in pa.ipc.open_file(source).schema.names
    except (OSError, pa.ArrowInvalid) as exc:
        raise ShardError(f"{path}: not a readable shard ({exc}); run `prepare verify`") from exc


def _bytes(values: pa.FixedSizeBinaryArray) -> np.ndarray:
    """Values of 16 bytes as uint8 (n, 16); nulls are zeros."""
    if values.null_count:
        values = values.fill_null(bytes(16))
    raw = np.frombuffer(values.buffers()[1], np.uint8)
    return raw[values.offset * 16 : (values.offset + len(values)) * 16].reshape(-1, 16)
