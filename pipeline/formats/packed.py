"""Rows that are packed already, from Parquet back into a part of the shards as they were."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ShardError, SourceError
from pipeline.files import arrow_writer, file_hash
from pipeline.formats.documents import read_documents
from pipeline.formats.parquet import WAS_UNMASKED, read_batches, read_schema
from pipeline.shards import Shard, TokenizerIdentity, shard_schema, token_type
from pipeline.tokens.parts import BLOCK_TOKENS

# Of these a row of the shards is known; `tokens` and `loss_mask` are in sets of others too.
COLUMNS = ("num_tokens", "num_bytes", "doc_start", "doc_token_start", "doc_key", "doc_text_hash")
PIECES = COLUMNS[2:]


def check_columns(path: Path, schema: pa.Schema) -> None:
    """Raise `SourceError` where a file has not the columns of an export, with their types."""
    wanted = shard_schema(1, pa.uint16(), loss_mask=True)
    for field in wanted:
        num = schema.names.count(field.name)
        if num == 0 and field.name == "loss_mask":
            continue
        got = schema.field(field.name).type if num == 1 else None
        if got is None or not _is_alike(field.name, got, field.type):
            raise SourceError(
                f"{path}: column {field.name}: got {got or f'{num} of that name'}, want "
                f"{field.type} as an export has it; a file that another tool wrote again is read "
                "with --column tokens, each row a document"
            )


def _is_alike(name: str, got: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column is of its type: items may be called and be null as they like."""
    if name == "tokens":
        is_row = pa.types.is_fixed_size_list(got) and got.list_size > 0
        return bool(is_row and got.value_type in (pa.uint16(), pa.uint32()))
    if name == "loss_mask" or pa.types.is_list(wanted):
        return bool(pa.types.is_list(got) and got.value_type == wanted.value_type)
    return bool(got == wanted)


def row_tokens(path: Path) -> int:
    """Tokens of a row of an exported file."""
    return int(read_schema(path).field("tokens").type.list_size)


def write_packed(
    path: Path,
    shards: Path,
    name: str,
    entry: tuple[str, str, str | None],
    identity: TokenizerIdentity,
) -> Shard:
    """Write the rows of an exported file as the part `name`, in blocks as packing cuts them.

    So the part has the bytes that it had. Raises `SourceError` for rows that cannot be right.
    """
    width = row_tokens(path)
    keys = [np.zeros(0, "V16")]
    num_rows = num_tokens = num_bytes = 0
    stored = read_schema(path)
    masked = "loss_mask" in stored.names and WAS_UNMASKED not in (stored.metadata or {})
    schema = shard_schema(width, token_type(identity.num_ids), loss_mask=masked)
    with arrow_writer(shards / name, schema) as writer:
        for batch in read_batches(path, max(1, BLOCK_TOKENS // width), schema.names):
            _check(path, num_rows, batch, width, identity)
            writer.write_batch(_cast(batch, schema))
            num_rows += batch.num_rows
            num_tokens += pc.sum(batch["num_tokens"]).as_py() or 0
            num_bytes += pc.sum(batch["num_bytes"]).as_py() or 0
            keys.append(_keys(batch))
    try:
        read_documents(shards / name)
    except ShardError as exc:
        raise SourceError(
            f"{path}: not every document of it is there from its first token to its last; "
            "export again"
        ) from exc
    source, split, stratum = entry
    return Shard(
        path=name,
        source=source,
        split=split,
        stratum=stratum,
        num_rows=num_rows,
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        num_documents=len(np.unique(np.concatenate(keys).view("S16"))),
        sha256=file_hash(shards / name, "sha256"),
    )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [batch[field.name].cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _keys(batch: pa.RecordBatch) -> np.ndarray:
    values = batch["doc_key"].flatten().drop_null()
    raw = np.frombuffer(values.buffers()[1] or b"", np.uint8)
    return raw[values.offset * 16 : (values.offset + len(values)) * 16].view("V16")


def _check(
    path: Path, first: int, batch: pa.RecordBatch, width: int, identity: TokenizerIdentity
) -> None:
    """Raise `SourceError` for the first row that cannot be one of this tokenizer's shards."""
    for check in (_nulls, _torn, _foreign, _unmasked):
        for reason, wrong in check(batch, width, identity):
            if wrong.any():
                raise SourceError(
                    f"{path}: row {first + int(np.argmax(wrong)):,}: {reason}; export again, or "
                    "give the tokenizer that made it"
                )


Wrong = Iterator[tuple[str, np.ndarray]]  # a reason, and of each row whether it holds


def _nulls(batch: pa.RecordBatch, width: int, _: TokenizerIdentity) -> Wrong:
    """Nulls where there may be none. In `doc_key` and `doc_text_hash`: an erased piece has both."""
    for name in ("tokens", *COLUMNS):
        column = batch[name]
        yield f"{name} is null", _is_null(column)
        if name in ("tokens", *PIECES[:2]):
            yield f"{name} holds a null", _rows_of(batch, name, width, _is_null(column.flatten()))
    lengths = [batch[name].value_lengths().to_numpy() for name in PIECES]
    for name, length in zip(PIECES, lengths, strict=True):
        yield f"{name} is not as long as doc_start", length != lengths[0]
    keyless, textless = (_is_null(batch[name].flatten()) for name in PIECES[2:])
    wrong = _rows_of(batch, "doc_key", width, keyless != textless)
    yield "a key without a text hash, or the reverse", wrong


def _torn(batch: pa.RecordBatch, width: int, _: TokenizerIdentity) -> Wrong:
    """Pieces that do not lie one after the other within their row."""
    num_tokens, num_bytes = batch["num_tokens"].to_numpy(), batch["num_bytes"].to_numpy()
    starts = batch["doc_start"].flatten().to_numpy()
    lengths = batch["doc_start"].value_lengths().to_numpy()
    yield f"num_tokens is not 1 to {width:,}", (num_tokens < 1) | (num_tokens > width)
    yield "num_bytes is below 0", num_bytes < 0
    yield "it has no piece", lengths < 1
    ends = np.cumsum(lengths)
    yield "its first piece does not begin at 0", starts[ends - lengths] != 0
    following = np.append(starts[1:], 0)
    following[ends - 1] = num_tokens
    wrong = _rows_of(batch, "doc_start", width, following <= starts)
    yield "its pieces are not one after the other", wrong
    first = batch["doc_token_start"].flatten().to_numpy()
    yield "doc_token_start is below 0", _rows_of(batch, "doc_token_start", width, first < 0)


def _foreign(batch: pa.RecordBatch, width: int, identity: TokenizerIdentity) -> Wrong:
    """Ids that the tokenizer does not have, and padding that is not its own."""
    tokens = batch["tokens"].flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    yield (
        f"its ids are not of this tokenizer of {identity.num_ids:,}",
        (tokens.max(axis=1, initial=0) >= identity.num_ids),
    )
    is_padding = np.arange(width) >= batch["num_tokens"].to_numpy()[:, None]
    yield (
        f"its padding is not this tokenizer's pad id {identity.pad_id:,}",
        (is_padding & (tokens != identity.pad_id)).any(axis=1),
    )


def _unmasked(batch: pa.RecordBatch, width: int, _: TokenizerIdentity) -> Wrong:
    """A loss mask that is not one value of 0 or 1 for each id."""
    if "loss_mask" not in batch.schema.names:
        return
    column = batch["loss_mask"]
    lengths = column.value_lengths().fill_null(width).to_numpy()
    yield f"its loss_mask has not {width:,} values", lengths != width
    values = column.flatten()
    wrong = _is_null(values) | (values.fill_null(0).to_numpy() > 1)
    yield "its loss_mask has values that are not 0 or 1", _rows_of(batch, "loss_mask", width, wrong)


def _is_null(column: pa.Array) -> np.ndarray:
    found: np.ndarray = column.is_null().to_numpy(zero_copy_only=False)
    return found


def _rows_of(batch: pa.RecordBatch, name: str, width: int, wrong: np.ndarray) -> np.ndarray:
    """Rows that hold a wrong one among the flat items of a list column."""
    found = np.zeros(batch.num_rows, np.bool_)
    if name == "tokens":
        lengths = np.full(batch.num_rows, width)
    else:
        lengths = batch[name].value_lengths().fill_null(0).to_numpy()
    found[np.repeat(np.arange(batch.num_rows), lengths)[wrong]] = True
    return found
