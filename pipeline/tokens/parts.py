"""One part file of a shard: the rows of a plan, filled and written as `pipeline.shards` lays down.

The bytes are a function of the documents, the plan and T alone, so two runs give one sha256.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa

from pipeline.errors import PrepareError
from pipeline.files import arrow_writer, file_hash
from pipeline.shards import TokenizerIdentity, shard_schema, token_type
from pipeline.tokens.config import PackConfig
from pipeline.tokens.engines import offsets_of
from pipeline.tokens.kernels import gather
from pipeline.tokens.packing import Plan, make_plan
from pipeline.tokens.token_file import Span, TokenisedDocuments, read_spans

BLOCK_TOKENS = 1 << 21  # of a record batch: 1,024 rows of 2,048 tokens, 4 MB as uint16


class PartCounts(TypedDict):
    """What `pipeline.shards.Shard` says of a part. A document cut in two is one document;
    one without tokens is none."""

    num_rows: int
    num_tokens: int
    num_bytes: int
    num_documents: int
    sha256: str


def pack_part(
    spans: Sequence[Span], config: PackConfig, identity: TokenizerIdentity, path: Path
) -> PartCounts:
    """Pack the documents of some spans of token files into one part file.

    Holds the documents' tokens once (134 MB at 2^26 uint16 ids) and one block of rows; no
    documents give a part without rows.
    Raises `PrepareError` where a token file's ids are not as wide as the tokenizer's.
    """
    dtype = token_type(identity.num_ids)
    documents = read_spans(spans)
    if len(documents.values) and documents.values.dtype != dtype.to_pandas_dtype():
        raise PrepareError(
            f"{spans[0].path}: got ids as {documents.values.dtype}, want {dtype} for a tokenizer "
            f"of {identity.num_ids} ids; run `prepare run` again"
        )
    plan = make_plan(np.diff(documents.offsets), config)
    return write_part(path, plan, documents, config.sequence_tokens, dtype, identity.pad_id)


def write_part(
    path: Path,
    plan: Plan,
    documents: TokenisedDocuments,
    sequence_tokens: int,
    dtype: pa.DataType,
    pad_id: int,
) -> PartCounts:
    """Write the rows of a plan atomically, in record batches of `BLOCK_TOKENS` tokens.

    With a loss mask where the documents have one.
    """
    num_bytes = piece_bytes(plan, documents)
    schema = shard_schema(sequence_tokens, dtype, loss_mask=documents.learned is not None)
    num_tokens = 0  # of the rows as they are written, which the ledger compares with what was read
    with arrow_writer(path, schema) as writer:
        for batch in _blocks(plan, documents, num_bytes, sequence_tokens, dtype, pad_id):
            writer.write_batch(batch)
            num_tokens += int(batch["num_tokens"].to_numpy().sum(dtype=np.int64))
    return PartCounts(
        num_rows=plan.num_rows,
        num_tokens=num_tokens,
        num_bytes=int(num_bytes.sum()),
        num_documents=int(np.count_nonzero(np.bincount(plan.document))),
        sha256=file_hash(path, "sha256"),
    )


def piece_bytes(plan: Plan, documents: TokenisedDocuments) -> np.ndarray:
    """UTF-8 bytes of each piece, int64: its document's by tokens, rounded on the running sum.

    So the pieces of a document sum to its bytes exactly. The product stays below 2^63 for a
    document of 10^9 bytes and as many tokens.
    """
    total_tokens = np.diff(documents.offsets)[plan.document]
    total_bytes = documents.num_bytes[plan.document]
    end = plan.start + plan.length
    shares: np.ndarray = (
        total_bytes * end // total_tokens - total_bytes * plan.start // total_tokens
    )
    return shares


def _blocks(
    plan: Plan,
    documents: TokenisedDocuments,
    num_bytes: np.ndarray,
    sequence_tokens: int,
    dtype: pa.DataType,
    pad_id: int,
) -> Iterator[pa.RecordBatch]:
    """The rows of the plan as record batches; how many rows each holds depends on T alone."""
    schema = shard_schema(sequence_tokens, dtype, loss_mask=documents.learned is not None)
    step = max(1, BLOCK_TOKENS // sequence_tokens)
    for first in range(0, plan.num_rows, step):
        offsets = plan.row_offsets[first : first + step + 1]
        pieces = slice(offsets[0], offsets[-1])
        offsets = offsets - offsets[0]
        length = plan.length[pieces]
        document, start = plan.document[pieces], plan.start[pieces]
        ends = offsets_of(length)
        row_ends = ends[offsets]
        rows = np.full((len(offsets) - 1, sequence_tokens), pad_id, dtype.to_pandas_dtype())
        begins = documents.offsets[document] + start
        gather(documents.values, begins, length, offsets, rows)
        columns = [
            _rows(rows, schema.field("tokens").type),
            pa.array(np.diff(row_ends).astype(np.int32)),
            pa.array(np.diff(offsets_of(num_bytes[pieces])[offsets]).astype(np.int32)),
            _lists(offsets, (ends[:-1] - np.repeat(row_ends[:-1], np.diff(offsets))), pa.int32()),
            _lists(offsets, start, pa.int64()),
            _key_lists(offsets, documents.keys[document]),
            _key_lists(offsets, documents.text_hashes[document]),
        ]
        if documents.learned is not None:
            mask = np.zeros(rows.shape, np.uint8)  # padding is not learned
            gather(documents.learned, begins, length, offsets, mask)
            columns.append(_rows(mask, schema.field("loss_mask").type))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _rows(rows: np.ndarray, dtype: pa.DataType) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=dtype)


def _lists(offsets: np.ndarray, values: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    typed = pa.array(values.astype(dtype.to_pandas_dtype()))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), typed)


def _key_lists(offsets: np.ndarray, keys: np.ndarray) -> pa.ListArray:
    values = pa.Array.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(keys.tobytes())])
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
