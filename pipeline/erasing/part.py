"""A part of the shards without the tokens of erased documents; every other token where it was.

The bytes that come out are a function of what the part holds, so that erasing two documents one
after the other, or both at once, or when the part is made, gives the same file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.erasing.tombstones import Tombstones
from pipeline.files import arrow_writer, file_hash
from pipeline.refined import RowReader
from pipeline.shards import shard_schema

Sizes = Mapping[bytes, tuple[int, int]]  # by key: tokens and UTF-8 bytes of a whole document


@dataclass(slots=True)
class Blanked:
    """What left one part."""

    num_pieces: int = 0
    num_tokens: int = 0
    num_bytes: int = 0  # of text
    num_documents: int = 0


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a record batch, (p,) each."""

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    token_start: np.ndarray
    keys: pa.FixedSizeBinaryArray
    text_hashes: pa.FixedSizeBinaryArray
    offsets: np.ndarray  # (n + 1,), of the rows


def blank_part(path: Path, target: Path, stones: Tombstones, sizes: Sizes, pad_id: int) -> Blanked:
    """Write the part at `path` anew as `target`, without the documents of these tombstones."""
    reader = RowReader(path)
    tokens = reader.schema.field("tokens").type
    schema = shard_schema(tokens.list_size, tokens.value_type, loss_mask=True)
    done, gone = Blanked(), set[bytes]()
    with arrow_writer(target, schema) as writer:
        for batch in reader.batches():
            pieces = pieces_of(batch)
            mask = stones.matches(pieces.keys, pieces.text_hashes)
            gone |= set(pieces.keys.filter(pa.array(mask)).to_pylist())
            writer.write_batch(_blanked(batch, pieces, mask, sizes, pad_id, schema, done))
    done.num_documents = len(gone)
    return done


def holds(path: Path, stones: Tombstones) -> bool:
    """Whether a piece of a part is of an erased document; reads nothing but keys and hashes."""
    for batch in RowReader(path, "doc_key", "doc_text_hash").batches():
        keys, hashes = batch["doc_key"].flatten(), batch["doc_text_hash"].flatten()
        if stones.matches(keys, hashes).any():
            return True
    return False


def pieces_of(batch: pa.RecordBatch) -> Pieces:
    """The pieces of the rows; each ends where the next begins, the last one with its row."""
    starts = batch["doc_start"]
    offsets = starts.offsets.to_numpy() - starts.offsets[0].as_py()
    start = starts.flatten().to_numpy()
    end = np.empty_like(start)
    end[:-1] = start[1:]
    end[offsets[1:] - 1] = batch["num_tokens"].to_numpy()
    return Pieces(
        row=np.repeat(np.arange(batch.num_rows), np.diff(offsets)),
        start=start,
        end=end,
        token_start=batch["doc_token_start"].flatten().to_numpy(),
        keys=batch["doc_key"].flatten(),
        text_hashes=batch["doc_text_hash"].flatten(),
        offsets=offsets,
    )


def _blanked(
    batch: pa.RecordBatch,
    pieces: Pieces,
    mask: np.ndarray,
    sizes: Sizes,
    pad_id: int,
    schema: pa.Schema,
    done: Blanked,
) -> pa.RecordBatch:
    width = schema.field("tokens").type.list_size
    tokens = np.array(batch["tokens"].flatten().to_numpy()).reshape(-1, width)
    num_tokens = batch["num_tokens"].to_numpy()
    num_bytes = np.array(batch["num_bytes"].to_numpy())
    learned, is_masked = loss_masks(batch, width)
    for piece in np.flatnonzero(mask).tolist():  # few: those that are erased
        row = int(pieces.row[piece])
        place = slice(int(pieces.start[piece]), int(pieces.end[piece]))
        if not is_masked[row]:  # padding is not learned
            learned[row], is_masked[row] = np.arange(width) < num_tokens[row], True
        tokens[row, place], learned[row, place] = pad_id, 0
        share = _share(pieces, piece, sizes)
        num_bytes[row] -= share
        done.num_pieces += 1
        done.num_tokens += place.stop - place.start
        done.num_bytes += share
    columns = [
        _rows(tokens, schema.field("tokens").type),
        pa.array(num_tokens),
        pa.array(num_bytes),
        _lists(pieces.offsets, pa.array(pieces.start)),
        _lists(pieces.offsets, pa.array(pieces.token_start)),
        _lists(pieces.offsets, _without(pieces.keys, mask)),
        _lists(pieces.offsets, _without(pieces.text_hashes, mask)),
        _masks(learned, is_masked, schema.field("loss_mask").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _share(pieces: Pieces, piece: int, sizes: Sizes) -> int:
    """Bytes of a piece, as `pipeline.tokens.parts` shares those of its document out."""
    num_tokens, num_bytes = sizes[pieces.keys[piece].as_py()]
    first = int(pieces.token_start[piece])
    last = first + int(pieces.end[piece]) - int(pieces.start[piece])
    return num_bytes * last // num_tokens - num_bytes * first // num_tokens


def loss_masks(batch: pa.RecordBatch, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The mask of each row, uint8 (n, T), zeros where it has none, and which rows have one."""
    learned = np.zeros((batch.num_rows, width), np.uint8)
    if "loss_mask" not in batch.schema.names:
        return learned, np.zeros(batch.num_rows, np.bool_)
    has_one = batch["loss_mask"].is_valid().to_numpy(zero_copy_only=False)
    learned[has_one] = batch["loss_mask"].flatten().to_numpy().reshape(-1, width)
    return learned, np.array(has_one)


def _without(keys: pa.FixedSizeBinaryArray, mask: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Keys, null and zero where they were or are erased."""
    nulls = keys.is_null().to_numpy(zero_copy_only=False) | mask
    raw = np.frombuffer(keys.buffers()[1], np.uint8).reshape(-1, 16)
    raw = np.array(raw[keys.offset : keys.offset + len(keys)])
    raw[nulls] = 0
    bitmap = _bitmap(~nulls) if nulls.any() else None
    return pa.Array.from_buffers(keys.type, len(keys), [bitmap, pa.py_buffer(raw.tobytes())])


def _bitmap(valid: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())


def _rows(rows: np.ndarray, dtype: pa.DataType) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=dtype)


def _masks(learned: np.ndarray, is_masked: np.ndarray, dtype: pa.DataType) -> pa.FixedSizeListArray:
    bitmap = None if is_masked.all() else _bitmap(is_masked)
    flat = pa.array(learned.reshape(-1))
    return pa.Array.from_buffers(dtype, len(learned), [bitmap], children=[flat])


def _lists(offsets: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)


def part_values(path: Path) -> dict[str, str]:
    """The hash that the record and the index hold of a part."""
    return {"sha256": file_hash(path, "sha256")}


def erased_pieces(path: Path) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each erased piece its row, and its tokens and loss mask there."""
    first = 0
    for batch in RowReader(path).batches():
        pieces = pieces_of(batch)
        gone = np.flatnonzero(pieces.keys.is_null().to_numpy(zero_copy_only=False))
        if len(gone):
            width = batch["tokens"].type.list_size
            tokens = batch["tokens"].flatten().to_numpy().reshape(-1, width)
            learned, is_masked = loss_masks(batch, width)
            learned[~is_masked] = 1
            for piece in gone.tolist():
                row, place = pieces.row[piece], slice(pieces.start[piece], pieces.end[piece])
                yield first + int(row), tokens[row, place], learned[row, place]
        first += batch.num_rows
