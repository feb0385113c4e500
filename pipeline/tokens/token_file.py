"""Token files: the documents of one refined file as token ids, between tokenising and packing.

An uncompressed Arrow IPC file, memory-mappable, one row per document, in the refined file's order:

    doc_key    fixed_size_binary[16]        key of the document
    text_hash  fixed_size_binary[16]        xxh3-128 of its stored text
    num_bytes  int64                        UTF-8 bytes of the stored text
    tokens     large_list<uint16|uint32>    ids, begin and end marks included

No column holds nulls. Packing cuts these files into spans of rows, as the size of a part asks for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.errors import PrepareError
from pipeline.keys import KEY_TYPE
from pipeline.tokens.engines import offsets_of
from pipeline.tokens.tokenize import Tokens


class Span(NamedTuple):
    """Rows `start` to `end`, exclusive, of a token file."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TokenisedDocuments:
    """n documents: `values` uint16|uint32 flat, `offsets` int64 (n + 1) from 0, and per document
    `keys` and `text_hashes` as void records of 16 bytes (dtype V16), `num_bytes` int64."""

    values: np.ndarray
    offsets: np.ndarray
    keys: np.ndarray
    text_hashes: np.ndarray
    num_bytes: np.ndarray


def tokens_schema(dtype: pa.DataType) -> pa.Schema:
    """Schema of a token file with ids of `dtype`: see `pipeline.shards.token_type`."""
    return pa.schema(
        [
            pa.field("doc_key", KEY_TYPE, nullable=False),
            pa.field("text_hash", KEY_TYPE, nullable=False),
            pa.field("num_bytes", pa.int64(), nullable=False),
            pa.field(
                "tokens", pa.large_list(pa.field("item", dtype, nullable=False)), nullable=False
            ),
        ]
    )


def token_batch(
    tokens: Tokens,
    keys: pa.FixedSizeBinaryArray,
    text_hashes: pa.FixedSizeBinaryArray,
    num_bytes: np.ndarray,
) -> pa.RecordBatch:
    """Rows of a token file from an encoded batch; nothing is copied."""
    values = pa.array(tokens.values)
    schema = tokens_schema(values.type)
    ids = pa.LargeListArray.from_arrays(
        pa.array(tokens.offsets), values, type=schema.field("tokens").type
    )
    columns = [keys, text_hashes, pa.array(num_bytes, pa.int64()), ids]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def lengths(path: Path) -> np.ndarray:
    """Tokens of each document of a file, int64; reads only the offsets."""
    parts = [np.diff(_offsets(batch["tokens"])) for batch in _batches(path)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def read_spans(spans: Sequence[Span]) -> TokenisedDocuments:
    """The documents of all spans in order, copied once. No spans give no documents, as uint16."""
    return _join([part for span in spans for part in _parts(span)])


def _join(parts: Sequence[TokenisedDocuments]) -> TokenisedDocuments:
    if not parts:
        none, nothing = np.zeros(0, np.int64), np.zeros(0, "V16")
        return TokenisedDocuments(
            np.zeros(0, np.uint16), np.zeros(1, np.int64), nothing, nothing, none
        )
    return TokenisedDocuments(
        np.concatenate([part.values for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.text_hashes for part in parts]),
        np.concatenate([part.num_bytes for part in parts]),
    )


def _parts(span: Span) -> Iterator[TokenisedDocuments]:
    """The span as views, one per record batch that it touches."""
    row = 0
    for batch in _batches(span.path):
        start, end = max(span.start - row, 0), min(span.end - row, batch.num_rows)
        if start < end:
            yield _view(batch.slice(start, end - start))
        row += batch.num_rows
    if not 0 <= span.start <= span.end <= row:
        raise PrepareError(
            f"{span.path}: got {row} documents, want rows {span.start} to {span.end}; "
            "run `prepare run` again"
        )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowInvalid) as exc:
        raise PrepareError(
            f"{path}: not a readable token file ({exc}); run `prepare run` again"
        ) from exc
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def _view(batch: pa.RecordBatch) -> TokenisedDocuments:
    """The buffers of a batch, or of a slice of one, as numpy arrays."""
    ids = batch["tokens"]
    offsets = _offsets(ids)
    values = ids.values.to_numpy(zero_copy_only=True)[offsets[0] : offsets[-1]]
    return TokenisedDocuments(
        values,
        offsets - offsets[0],
        fixed_bytes(batch["doc_key"]),
        fixed_bytes(batch["text_hash"]),
        batch["num_bytes"].to_numpy(zero_copy_only=True),
    )


def _offsets(ids: pa.LargeListArray) -> np.ndarray:
    offsets: np.ndarray = ids.offsets.to_numpy(zero_copy_only=True)
    return offsets


def fixed_bytes(array: pa.FixedSizeBinaryArray) -> np.ndarray:
    """A fixed_size_binary[16] array without nulls as void records (V16), a view."""
    if len(array) == 0:
        return np.zeros(0, "V16")
    records = np.frombuffer(array.buffers()[1], "V16")
    view: np.ndarray = records[array.offset : array.offset + len(array)]
    return view
