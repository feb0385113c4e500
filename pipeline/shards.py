"""The shard format: the contract between `prepare` and `train`, and the only module both import.

A shard directory is `OUT/shards/<source>/<split>/[<stratum>/]part-NNNNN.arrow` and, written last,
`OUT/shards/index.json`; without the index the directory is not complete. A part is an
uncompressed Arrow IPC file, one row per packed sequence of T tokens:

    tokens           fixed_size_list<uint16|uint32>[T]  token ids; past `num_tokens`: the pad id
    num_tokens       int32                              real tokens of the row, 1..T
    num_bytes        int32                              UTF-8 bytes of text that they spell
    doc_start        list<int32>                        where each piece starts in the row; first: 0
    doc_token_start  list<int64>                        that piece's first token in its document's
                                                        own tokenisation, special tokens included
    doc_key          list<fixed_size_binary[16]>        key of the document of each piece
    doc_text_hash    list<fixed_size_binary[16]>        xxh3-128 of its stored text
    loss_mask        fixed_size_list<uint8>[T], null    optional column: 1 where a token is to be
                                                        learned; a null row: all of them

A piece ends where the next one starts, the last one at `num_tokens`. A document cut in two has its
bytes apportioned by tokens, so sums over whole documents are exact.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.errors import ShardError
from pipeline.files import check_inside, file_hash, write_json

FORMAT_VERSION = 1
INDEX_NAME = "index.json"
MADE_AGAIN = "`prepare run --mend` with the manifest makes it again"
SPLITS = ("train", "validation")


def token_type(num_ids: int) -> pa.DataType:
    """The narrowest unsigned type for ids 0..num_ids-1; `num_ids` counts added tokens too."""
    return pa.uint16() if num_ids <= 1 << 16 else pa.uint32()


def shard_schema(sequence_tokens: int, dtype: pa.DataType, *, loss_mask: bool = False) -> pa.Schema:
    """Schema of a part file for rows of `sequence_tokens` tokens of `dtype`."""
    key = pa.binary(16)
    schema = pa.schema(
        [
            pa.field("tokens", pa.list_(pa.field("item", dtype, nullable=False), sequence_tokens)),
            pa.field("num_tokens", pa.int32()),
            pa.field("num_bytes", pa.int32()),
            pa.field("doc_start", pa.list_(pa.int32())),
            pa.field("doc_token_start", pa.list_(pa.int64())),
            pa.field("doc_key", pa.list_(key)),
            pa.field("doc_text_hash", pa.list_(key)),
        ]
    )
    if not loss_mask:
        return schema
    learned = pa.list_(pa.field("item", pa.uint8(), nullable=False), sequence_tokens)
    return schema.append(pa.field("loss_mask", learned))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One part file. `path` is relative to the shard directory, with forward slashes."""

    path: str
    source: str
    split: str
    stratum: str | None = None
    num_rows: int
    num_tokens: int
    num_bytes: int
    num_documents: int
    sha256: str
    num_erased: int = 0  # documents whose tokens are padding now; `num_documents` are the others


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerIdentity:
    """What a trainer needs to know of the tokenizer, and what must match between shard sets.

    `fingerprint` is the xxh3-128 of `tokenizer.json`; `num_ids` counts added tokens too.
    `path` is the copy of the tokenizer, relative to the output directory.
    """

    fingerprint: str
    num_ids: int
    bos_id: int | None
    eos_id: int | None
    pad_id: int
    path: str = "tokenizer"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardIndex:
    """`index.json`: present means complete."""

    corpus: str
    manifest_fingerprint: str
    tokenizer: TokenizerIdentity
    sequence_tokens: int
    dtype: str
    shards: tuple[Shard, ...] = field(default=())
    format_version: int = FORMAT_VERSION

    def select(self, split: str) -> dict[str, tuple[Shard, ...]]:
        """Shards of one split by mix entry: the source, or `source/stratum`."""
        entries: dict[str, list[Shard]] = {}
        for shard in self.shards:
            if shard.split == split:
                name = shard.source if shard.stratum is None else f"{shard.source}/{shard.stratum}"
                entries.setdefault(name, []).append(shard)
        return {name: tuple(shards) for name, shards in sorted(entries.items())}

    def fingerprint(self) -> str:
        """A hash over what the shards hold: same value, same tokens in the same order."""
        text = json.dumps(
            [self.sequence_tokens, self.tokenizer.fingerprint]
            + [(shard.path, shard.sha256) for shard in self.shards]
        )
        return str(xxhash.xxh3_128_hexdigest(text.encode()))


def write_index(shards: Path, index: ShardIndex) -> None:
    """Write `index.json` atomically; call it when every part is on disk."""
    write_json(shards / INDEX_NAME, asdict(index))


def read_index(shards: Path) -> ShardIndex:
    """Read `DIR/index.json` or `DIR/shards/index.json`. Raises `ShardError`.

    Also where it names a file that is not below it, or a tokenizer that is not beside it.
    """
    folder = find_shards(shards)
    path = folder / INDEX_NAME
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ShardError(f"{path}: cannot be read ({exc}); {MADE_AGAIN}") from exc
    if not isinstance(values, dict):
        raise ShardError(f"{path}: got a {type(values).__name__}, want a mapping; {MADE_AGAIN}")
    if values.get("format_version") != FORMAT_VERSION:
        raise ShardError(
            f"{path}: got format version {values.get('format_version')!r}, want {FORMAT_VERSION}; "
            "prepare the shards again with this version of headwater"
        )
    try:
        values["tokenizer"] = TokenizerIdentity(**values["tokenizer"])
        values["shards"] = tuple(Shard(**shard) for shard in values["shards"])
        index = ShardIndex(**values)
    except (KeyError, TypeError) as exc:
        raise ShardError(f"{path}: not an index of shards ({exc}); {MADE_AGAIN}") from exc
    check_inside(folder, (shard.path for shard in index.shards))
    check_inside(folder.resolve().parent, [index.tokenizer.path])
    return index


def find_shards(directory: Path) -> Path:
    """The shard directory itself: `directory` or `directory/shards`. Raises `ShardError`."""
    for candidate in (directory, directory / "shards"):
        if (candidate / INDEX_NAME).is_file():
            return candidate
    raise ShardError(
        f"{directory}: no {INDEX_NAME} here or in shards/, so no complete shards; "
        "give the `output` of a `prepare run` that ended, or run it again"
    )


class RowBlock(NamedTuple):
    """The rows of one record batch, as read-only views of the file."""

    tokens: np.ndarray  # (n, T) uint16 or uint32
    num_tokens: np.ndarray  # (n,) int32
    num_bytes: np.ndarray  # (n,) int32
    start_offsets: np.ndarray  # (n + 1,) int32: row i has starts[offsets[i]:offsets[i + 1]]
    starts: np.ndarray  # int32, where the pieces of documents start in their row
    token_starts: np.ndarray  # int64, first token of each piece in its document
    keys: np.ndarray  # (pieces, 2) uint64, key of the document of each piece
    learned: np.ndarray | None  # (n, T) uint8, the loss mask; None: everything is learned


class ShardRows:
    """Random access to the rows of one part through a memory map; nothing is copied to open it."""

    def __init__(self, path: Path) -> None:
        try:
            source = pa.memory_map(str(path))
            self._table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as exc:
            raise ShardError(f"{path}: not a readable shard ({exc}); run `prepare verify`") from exc
        self.num_rows: int = self._table.num_rows
        # One block per record batch: a row is then a slice of the page cache.
        self.blocks = [_block(batch) for batch in self._table.to_batches()]
        self._first = np.cumsum([0] + [len(block.tokens) for block in self.blocks])
        self.num_tokens: np.ndarray = self._table["num_tokens"].to_numpy()
        self.num_bytes: np.ndarray = self._table["num_bytes"].to_numpy()

    def tokens(self, row: int) -> np.ndarray:
        """Token ids of a row, shape (T,), a read-only view of the file."""
        block, row = self._locate(row)
        view: np.ndarray = block.tokens[row]
        return view

    def doc_starts(self, row: int) -> np.ndarray:
        """Where the pieces of documents start in a row, int32, first is 0."""
        block, row = self._locate(row)
        starts: np.ndarray = block.starts[block.start_offsets[row] : block.start_offsets[row + 1]]
        return starts

    def _locate(self, row: int) -> tuple[RowBlock, int]:
        block = int(np.searchsorted(self._first, row, side="right")) - 1
        return self.blocks[block], row - int(self._first[block])

    def text_hashes(self) -> np.ndarray:
        """Text hashes of all pieces, as void records of 16 bytes, not unique.

        Those of erased pieces are nothing.
        """
        values = self._table["doc_text_hash"].combine_chunks().values
        hashes: np.ndarray = _fixed_binary(values, "V16")
        return hashes


class Identities(NamedTuple):
    """Whose the pieces of a part are, in order, without the erased ones."""

    keys: np.ndarray  # (n, 2) uint64
    text_hashes: np.ndarray  # (n, 2) uint64
    rows: np.ndarray  # (n,) int64, the row of the part that each stands in


def read_identities(path: Path) -> Identities:
    """Of the part at `path`; reads nothing else of it. Raises `ShardError`."""
    keys, text_hashes = ([np.zeros((0, 2), np.uint64)] for _ in range(2))
    rows, num_rows = [np.zeros(0, np.int64)], 0
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                column = batch["doc_key"]
                is_there = column.flatten().is_valid().to_numpy(zero_copy_only=False)
                for found, name in ((keys, "doc_key"), (text_hashes, "doc_text_hash")):
                    words = _fixed_binary(batch[name].flatten(), "<u8").reshape(-1, 2)
                    if len(words) != len(is_there):
                        raise pa.ArrowInvalid(f"{len(words)} of {name}, {len(is_there)} of doc_key")
                    found.append(words[is_there])
                counts = np.diff(column.offsets.to_numpy())
                numbers = np.arange(num_rows, num_rows + len(counts))
                rows.append(np.repeat(numbers, counts)[is_there])
                num_rows += len(counts)
    except (OSError, pa.ArrowInvalid) as exc:
        raise ShardError(f"{path}: not a readable shard ({exc}); run `prepare verify`") from exc
    return Identities(np.concatenate(keys), np.concatenate(text_hashes), np.concatenate(rows))


def _block(batch: pa.RecordBatch) -> RowBlock:
    tokens, starts = batch["tokens"], batch["doc_start"]
    return RowBlock(
        tokens=tokens.flatten().to_numpy(zero_copy_only=True).reshape(-1, tokens.type.list_size),
        num_tokens=batch["num_tokens"].to_numpy(),
        num_bytes=batch["num_bytes"].to_numpy(),
        start_offsets=starts.offsets.to_numpy(),
        starts=starts.values.to_numpy(),
        token_starts=batch["doc_token_start"].values.to_numpy(),
        keys=_fixed_binary(batch["doc_key"].values, "<u8").reshape(-1, 2),
        learned=_learned(batch),
    )


def _fixed_binary(values: pa.FixedSizeBinaryArray, dtype: str) -> np.ndarray:
    width = values.type.byte_width
    raw = np.frombuffer(values.buffers()[1], dtype=np.uint8)
    raw = raw[values.offset * width : (values.offset + len(values)) * width]
    view: np.ndarray = raw.view(dtype)
    return view


def _learned(batch: pa.RecordBatch) -> np.ndarray | None:
    """The loss mask as it lies in the file; copied only where some of its rows are null."""
    if "loss_mask" not in batch.schema.names:
        return None
    column = batch["loss_mask"]
    width = column.type.list_size
    raw = np.frombuffer(column.values.buffers()[1], dtype=np.uint8, count=len(column.values))
    learned: np.ndarray = raw[column.offset * width :][: len(column) * width].reshape(-1, width)
    if not column.null_count:
        return learned
    return np.where(column.is_null().to_numpy(zero_copy_only=False)[:, None], 1, learned)


def damaged_shards(shards: Path, index: ShardIndex) -> Iterator[str]:
    """Name every part that is missing or whose sha256 is not the index's."""
    for shard in index.shards:
        path = shards / shard.path
        if not path.is_file():
            yield f"{path}: missing"
        elif (got := file_hash(path, "sha256")) != shard.sha256:
            yield f"{path}: sha256 is {got}, the index says {shard.sha256}"
