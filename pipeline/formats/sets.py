"""Token sets of others, read as documents of ids: what `prepare import` packs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.formats.megatron import MegatronReader, bin_path, idx_path
from pipeline.formats.parquet import count_rows, read_batches, read_schema
from pipeline.keys import KEY_TYPE

MASK_COLUMN = "loss_mask"
BATCH_ROWS = 1024


class Documents(NamedTuple):
    """n documents: `first` is the number of the first of them in its set, `row` in the file `path`.

    `values` are ids of any integer type, `offsets` int64 (n + 1) from 0, `learned` uint8 beside
    `values`; `keys` and `text_hashes` fixed_size_binary[16] where the set has them.
    """

    path: Path
    row: int
    first: int
    values: np.ndarray
    offsets: np.ndarray
    learned: np.ndarray | None = None
    keys: pa.Array | None = None
    text_hashes: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class MegatronSet:
    """A dataset by its prefix, with the sidecars of `prepare export` where they are beside it."""

    prefix: Path

    def files(self) -> tuple[Path, ...]:
        """Those of them that are there."""
        folder = self.prefix.parent
        prefixes = [self.prefix] + [folder / "mask"] * (self.prefix.name == "tokens")
        found = [path(prefix) for prefix in prefixes for path in (bin_path, idx_path)]
        found += [folder / "documents.arrow"] * (self.prefix.name == "tokens")
        return tuple(path for path in found if path.is_file())

    def counts(self) -> dict[str, int]:
        """What `export.json` says of a set, as far as it is told without reading the ids."""
        reader = MegatronReader(self.prefix)
        return {
            "has_mask": idx_path(self.prefix.with_name("mask")).is_file(),
            "num_documents": reader.num_documents,
            "num_tokens": reader.num_tokens,
        }

    def documents(self) -> Iterator[Documents]:
        reader, names = MegatronReader(self.prefix), None
        folder = self.prefix.parent
        chunks = [reader.chunks()]
        if self.prefix.name == "tokens" and idx_path(folder / "mask").is_file():
            chunks.append(self._mask(reader, folder / "mask").chunks())
        if self.prefix.name == "tokens" and (folder / "documents.arrow").is_file():
            names = self._names(folder / "documents.arrow", reader.num_documents)
        for tokens, *mask in zip(*chunks, strict=True):
            learned = mask[0].values if mask else None
            if mask and not np.array_equal(mask[0].offsets, tokens.offsets):
                raise SourceError(
                    f"{folder / 'mask.idx'}: not the mask of tokens.idx, its documents are of "
                    "other lengths; export again"
                )
            key = text_hash = None
            if names is not None:
                rows = names.slice(tokens.first, len(tokens.offsets) - 1).combine_chunks()
                key, text_hash = _array(rows["doc_key"]), _array(rows["doc_text_hash"])
            yield Documents(
                path=bin_path(self.prefix),
                row=tokens.first,
                first=tokens.first,
                values=tokens.values,
                offsets=tokens.offsets,
                learned=learned,
                keys=key,
                text_hashes=text_hash,
            )

    @staticmethod
    def _mask(reader: MegatronReader, prefix: Path) -> MegatronReader:
        mask = MegatronReader(prefix)
        if mask.num_documents != reader.num_documents or mask.dtype != np.uint8:
            raise SourceError(
                f"{idx_path(prefix)}: got {mask.num_documents:,} documents of {mask.dtype}, want "
                f"{reader.num_documents:,} of uint8 as {idx_path(reader.prefix)} has; export again"
            )
        return mask

    @staticmethod
    def _names(path: Path, num_documents: int) -> pa.Table:
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            table.validate(full=True)
        except (OSError, pa.ArrowException) as exc:
            raise SourceError(f"{path}: not a readable Arrow file ({exc}); export again") from exc
        for name in ("doc_key", "doc_text_hash"):
            if table.schema.get_field_index(name) < 0 or table[name].type != KEY_TYPE:
                got = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
                raise SourceError(
                    f"{path}: got {got}; want one column {name} of {KEY_TYPE}; export again"
                )
            if table[name].null_count:
                raise SourceError(f"{path}: column {name}: got a null, want none; export again")
        if table.num_rows != num_documents:
            raise SourceError(
                f"{path}: got {table.num_rows:,} documents, want {num_documents:,} as tokens.idx "
                "has; export again"
            )
        return table


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


@dataclass(frozen=True, slots=True)
class ParquetSet:
    """Parquet files with a list of ids a row: a document, or a row that was packed elsewhere."""

    files: tuple[Path, ...]
    column: str

    def documents(self) -> Iterator[Documents]:
        before = 0  # rows of the files before
        for path in self.files:
            columns, row = [self.column], 0
            if MASK_COLUMN in read_schema(path).names:
                columns.append(MASK_COLUMN)
            for batch in read_batches(path, BATCH_ROWS, columns):
                yield _documents(path, row, before + row, batch, self.column)
                row += batch.num_rows
            before += row


def _documents(path: Path, row: int, first: int, batch: pa.RecordBatch, column: str) -> Documents:
    ids, where = batch[column], f"{path}: column {column}"
    _refuse(where, row, ids.is_null().to_numpy(zero_copy_only=False), "a null, want ids")
    values, lengths = ids.flatten(), _lengths(ids)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    nulls = values.is_null().to_numpy(zero_copy_only=False)
    _refuse(where, row, _rows_with(nulls, offsets), "a null among its ids, want ids")
    learned = None
    if MASK_COLUMN in batch.schema.names:
        learned = _learned(f"{path}: column {MASK_COLUMN}", row, batch[MASK_COLUMN], lengths)
    return Documents(path, row, first, values.to_numpy(zero_copy_only=False), offsets, learned)


def _rows_with(wrong: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Rows, `offsets[i]:offsets[i + 1]`, that hold a wrong value; bool."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    found[np.searchsorted(offsets, np.flatnonzero(wrong), side="right") - 1] = True
    return found


def _refuse(where: str, first: int, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise SourceError(
            f"{where}: row {first + int(np.argmax(wrong)):,}: got {what}; mend the file, or leave "
            "the row out"
        )


def _lengths(lists: pa.Array) -> np.ndarray:
    """Items of each list, int64; a null has none."""
    if pa.types.is_fixed_size_list(lists.type):
        valid = lists.is_valid().to_numpy(zero_copy_only=False)
        return np.where(valid, np.int64(lists.type.list_size), 0)
    lengths: np.ndarray = lists.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    return lengths


def _learned(where: str, first: int, mask: pa.Array, lengths: np.ndarray) -> np.ndarray:
    """The loss mask of all rows; a null row is learned as a whole."""
    learned = np.ones(int(lengths.sum()), np.uint8)
    if pa.types.is_null(mask.type):
        return learned
    valid = mask.is_valid().to_numpy(zero_copy_only=False)
    found = _lengths(mask)
    _refuse(where, first, valid & (found != lengths), "another length, want a value for each id")
    values = mask.flatten().to_numpy(zero_copy_only=False)  # nulls among them are NaN or None
    offsets = np.concatenate([[0], np.cumsum(found)])
    wrong = _rows_with((values != 0) & (values != 1), offsets)
    _refuse(where, first, wrong, "a value that is not 0 or 1")
    learned[np.repeat(valid, lengths)] = values.astype(np.uint8)
    return learned


@dataclass(frozen=True, slots=True)
class PackedSet:
    """Parquet files that `prepare export` wrote: rows as the shards have them, a file a part."""

    files: tuple[Path, ...]

    def counts(self) -> dict[str, int]:
        """What `export.json` says of a set, as far as the footers tell."""
        return {
            "has_mask": any(MASK_COLUMN in read_schema(path).names for path in self.files),
            "num_rows": sum(map(count_rows, self.files)),
        }
