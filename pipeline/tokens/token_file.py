"""Token files: the documents of one refined file as token ids, between tokenising and packing.

An uncompressed Arrow IPC file, memory-mappable, one row per document, in the refined file's order:

    doc_key    fixed_size_binary[16]        key of the document
    text_hash  fixed_size_binary[16]        xxh3-128 of its stored text
    num_bytes  int64                        UTF-8 bytes of the stored text
    tokens     large_list<uint16|uint32>    ids, begin and end marks included
    learned    large_list<uint8>            only where the source says what is to be learned: 1 for
                                            each token that is, 0 for the others

No column holds nulls. Packing cuts these files into spans of rows, as the size of a part asks for.
Where a source has strata, an order file beside each has its rows stratum by stratum: `row` int64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.errors import PrepareError
from pipeline.files import arrow_writer
from pipeline.keys import KEY_TYPE
from pipeline.tokens.engines import offsets_of
from pipeline.tokens.tokenize import Tokens

ORDER = pa.schema([pa.field("row", pa.int64(), nullable=False)])


class Span(NamedTuple):
    """Documents `start` to `end`, exclusive, of a token file.

    They are its rows as they stand or, where there is an `order` file, the rows that its values
    `start` to `end` name: those of one stratum.
    """

    path: Path
    start: int
    end: int
    order: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenisedDocuments:
    """n documents: `values` uint16|uint32 flat, `offsets` int64 (n + 1) from 0, and per document
    `keys` and `text_hashes` as void records of 16 bytes (dtype V16), `num_bytes` int64.

    `learned` uint8 stands beside `values`, 1 where a token is to be learned; None: all of them.
    """

    values: np.ndarray
    offsets: np.ndarray
    keys: np.ndarray
    text_hashes: np.ndarray
    num_bytes: np.ndarray
    learned: np.ndarray | None = None


def tokens_schema(dtype: pa.DataType, *, learned: bool = False) -> pa.Schema:
    """Schema of a token file with ids of `dtype`: see `pipeline.shards.token_type`."""
    columns = [
        pa.field("doc_key", KEY_TYPE, nullable=False),
        pa.field("text_hash", KEY_TYPE, nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("tokens", _list_of(dtype), nullable=False),
    ]
    if learned:
        columns.append(pa.field("learned", _list_of(pa.uint8()), nullable=False))
    return pa.schema(columns)


def _list_of(dtype: pa.DataType) -> pa.DataType:
    return pa.large_list(pa.field("item", dtype, nullable=False))


def token_batch(
    tokens: Tokens,
    keys: pa.FixedSizeBinaryArray,
    text_hashes: pa.FixedSizeBinaryArray,
    num_bytes: np.ndarray,
) -> pa.RecordBatch:
    """Rows of a token file from an encoded batch; nothing is copied."""
    columns = [keys, text_hashes, pa.array(num_bytes, pa.int64()), _lists(tokens, tokens.values)]
    if tokens.learned is not None:
        columns.append(_lists(tokens, tokens.learned))
    schema = tokens_schema(pa.array(tokens.values[:0]).type, learned=tokens.learned is not None)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _lists(tokens: Tokens, values: np.ndarray) -> pa.LargeListArray:
    """Values that stand beside the tokens, by document."""
    flat = pa.array(values)
    return pa.LargeListArray.from_arrays(pa.array(tokens.offsets), flat, type=_list_of(flat.type))


def lengths(path: Path) -> np.ndarray:
    """Tokens of each document of a file, int64; reads only the offsets."""
    parts = [np.diff(_offsets(batch["tokens"])) for batch in _batches(path)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def span_lengths(span: Span) -> np.ndarray:
    """Tokens of each document of a span, int64."""
    found = lengths(span.path)
    return found[span.start : span.end] if span.order is None else found[_rows(span, span.order)]


def num_documents(path: Path) -> int:
    """Documents of a file."""
    return sum(batch.num_rows for batch in _batches(path))


def document_keys(path: Path) -> pa.FixedSizeBinaryArray:
    """The keys of the documents of a file."""
    keys = [batch["doc_key"] for batch in _batches(path)]
    return pa.concat_arrays(keys) if keys else pa.array([], KEY_TYPE)


def write_order(path: Path, rows: np.ndarray) -> None:
    """Write an order file: rows of a token file (int64), ascending within each stratum."""
    batch = pa.RecordBatch.from_arrays([pa.array(rows, pa.int64())], schema=ORDER)
    with arrow_writer(path, ORDER) as writer:
        writer.write_batch(batch)


def read_spans(spans: Sequence[Span]) -> TokenisedDocuments:
    """The documents of all spans in order, copied once. No spans give no documents, as uint16."""
    return joined([part for span in spans for part in _parts(span)])


def joined(parts: Sequence[TokenisedDocuments]) -> TokenisedDocuments:
    """The documents of all parts in order, copied once. No parts give no documents, as uint16."""
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
        _joined_masks(parts),
    )


def _joined_masks(parts: Sequence[TokenisedDocuments]) -> np.ndarray | None:
    """What is to be learned of all parts, None where no part says so."""
    if all(part.learned is None for part in parts):
        return None
    return np.concatenate(
        [
            np.ones(len(part.values), np.uint8) if part.learned is None else part.learned
            for part in parts
        ]
    )


def _parts(span: Span) -> Iterator[TokenisedDocuments]:
    """The span by the record batches that it touches: views, or copies of ordered rows."""
    if span.order is not None:
        yield from _taken(span.path, _rows(span, span.order))
        return
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


def _taken(path: Path, rows: np.ndarray) -> Iterator[TokenisedDocuments]:
    """These rows of a token file, which ascend."""
    first = 0
    for batch in _batches(path):
        low, high = np.searchsorted(rows, [first, first + batch.num_rows])
        if low < high:
            yield _view(batch.take(pa.array(rows[low:high] - first)))
        first += batch.num_rows
    if len(rows) and rows[-1] >= first:
        raise PrepareError(
            f"{path}: got {first} documents, want row {rows[-1]}; run `prepare run` again"
        )


def _rows(span: Span, order: Path) -> np.ndarray:
    """The rows of a span that has an order."""
    parts = [batch["row"].to_numpy(zero_copy_only=True) for batch in _batches(order)]
    rows: np.ndarray = np.concatenate([np.zeros(0, np.int64), *parts])[span.start : span.end]
    if len(rows) < span.end - span.start:
        raise PrepareError(
            f"{order}: got {span.start + len(rows)} rows, want {span.end}; run `prepare run` again"
        )
    return rows


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
    learned = None
    if "learned" in batch.schema.names:
        mask, bounds = batch["learned"], _offsets(batch["learned"])
        learned = mask.values.to_numpy(zero_copy_only=True)[bounds[0] : bounds[-1]]
    return TokenisedDocuments(
        values,
        offsets - offsets[0],
        fixed_bytes(batch["doc_key"]),
        fixed_bytes(batch["text_hash"]),
        batch["num_bytes"].to_numpy(zero_copy_only=True),
        learned,
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
