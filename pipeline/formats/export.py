"""`prepare export`: finished shards as the token sets of other trainers.

A folder is written as `DIR/<source>/<split>/[<stratum>/]`, one token set each, with `export.json`
and a copy of the tokenizer in DIR:

    megatron  tokens.bin, tokens.idx: documents; documents.arrow: their keys and text hashes, in the
              same order; mask.bin, mask.idx: the loss mask, where a token is not to be learned
    mds       shard.NNNNN.mds, index.json: packed rows
    parquet   part-NNNNN.parquet: packed rows

Each part is hashed before it is read, so nothing damaged is passed on. Memory is bounded by a part,
whatever the corpus. The bytes are a function of the shards alone.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pipeline.errors import ShardError, UsageError
from pipeline.files import write_json
from pipeline.formats.documents import read_documents
from pipeline.formats.folder import whole_folder
from pipeline.formats.mds import MdsWriter
from pipeline.formats.megatron import MegatronWriter
from pipeline.formats.parquet import write_parquet
from pipeline.formats.rows import is_masked, read_rows
from pipeline.shards import Shard, ShardIndex, damaged_shards, find_shards, read_index

Format = Literal["megatron", "mds", "parquet"]
RECORD_NAME = "export.json"
TOKENIZER = "tokenizer"
DOCUMENTS = pa.schema(
    [
        pa.field("doc_key", pa.binary(16), nullable=False),
        pa.field("doc_text_hash", pa.binary(16), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenSet:
    """One set of an export: what lies in `path`, relative to the export.

    `num_documents` counts a document of Megatron's, of the others a row's share of one as the
    shards' index does; `num_tokens` leaves padding and erased tokens out where documents are
    written.
    """

    path: str
    source: str
    split: str
    stratum: str | None
    num_documents: int
    num_tokens: int
    num_rows: int
    has_mask: bool
    num_file_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """`export.json`. `shards_fingerprint` is of the shards, as `ShardIndex.fingerprint` has it."""

    format: Format
    corpus: str
    shards_fingerprint: str
    sequence_tokens: int
    num_ids: int
    eos_id: int | None
    pad_id: int
    tokenizer_fingerprint: str
    sets: tuple[TokenSet, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """The parts of one source, split and stratum, and where their set goes."""

    name: str
    source: str
    split: str
    stratum: str | None
    shards: tuple[Shard, ...]


def export(
    out: Path,
    target: Path,
    name: Format,
    *,
    split: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Export:
    """Write the shards of `out`, of one split or of both, into the new folder `target`.

    `report` is told each set before it is written. Raises `UsageError` for a folder without shards
    or a target that is there, `ShardError` for damaged parts or a split without rows.
    """
    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; give the `output` of a `prepare run`")
    index, shards = read_index(out), find_shards(out)
    if target.resolve().is_relative_to(shards.resolve()):
        raise UsageError(f"{target}: lies among the shards themselves; give another --to")
    entries = list(_entries(index, split))
    if not entries:
        raise ShardError(
            f"{shards}: no rows of {split or 'any split'} to export; give another --split, or a "
            "source a validation_fraction and prepare again"
        )
    masked = any(is_masked(shards / s.path) for entry in entries for s in entry.shards)
    with whole_folder(target) as folder:
        sets = []
        for entry in entries:
            report(entry.name)
            written = _write_set(name, index, shards, entry, folder / entry.name, masked)
            if written.num_documents:
                sets.append(written)
            else:  # Megatron maps files, and an empty one cannot be mapped
                shutil.rmtree(folder / entry.name)
        if not sets:
            raise ShardError(f"{shards}: every document is erased, so there is nothing to export")
        copied = shards.parent / index.tokenizer.path
        if copied.is_dir():
            shutil.copytree(copied, folder / TOKENIZER)
        result = _export(name, index, sets)
        write_json(folder / RECORD_NAME, asdict(result))
    return result


def _export(name: Format, index: ShardIndex, sets: Sequence[TokenSet]) -> Export:
    return Export(
        format=name,
        corpus=index.corpus,
        shards_fingerprint=index.fingerprint(),
        sequence_tokens=index.sequence_tokens,
        num_ids=index.tokenizer.num_ids,
        eos_id=index.tokenizer.eos_id,
        pad_id=index.tokenizer.pad_id,
        tokenizer_fingerprint=index.tokenizer.fingerprint,
        sets=tuple(sets),
    )


def _entries(index: ShardIndex, split: str | None) -> Iterator[_Entry]:
    found: dict[tuple[str, str, str | None], list[Shard]] = {}
    for shard in index.shards:
        if shard.num_rows and split in (None, shard.split):
            found.setdefault((shard.source, shard.split, shard.stratum), []).append(shard)
    for key, shards in found.items():
        names = [name for name in key if name is not None]
        for name in names:
            if name in ("", ".", "..") or "/" in name or "\\" in name:
                raise ShardError(
                    f"index.json: {name!r} is no name of a source, split or stratum; "
                    "run `prepare run` again"
                )
        yield _Entry("/".join(names), *key, tuple(shards))


def _write_set(
    format_name: Format, index: ShardIndex, shards: Path, entry: _Entry, folder: Path, masked: bool
) -> TokenSet:
    folder.mkdir(parents=True, exist_ok=True)
    parts = _checked(index, shards, entry)
    num_documents = sum(shard.num_documents for shard in entry.shards)
    num_tokens = sum(shard.num_tokens for shard in entry.shards)
    if format_name == "megatron":
        num_documents, num_tokens, masked = _write_documents(index, parts, folder)
    elif format_name == "mds":
        _write_rows(parts, folder, masked)
    else:
        for number, part in enumerate(parts):
            write_parquet(part, folder / f"part-{number:05d}.parquet", masked=masked)
    return TokenSet(
        path=entry.name,
        source=entry.source,
        split=entry.split,
        stratum=entry.stratum,
        num_documents=num_documents,
        num_tokens=num_tokens,
        num_rows=sum(shard.num_rows for shard in entry.shards),
        has_mask=masked,
        num_file_bytes=sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
    )


def _checked(index: ShardIndex, shards: Path, entry: _Entry) -> Iterator[Path]:
    """The parts of an entry, each hashed just before it is read."""
    for shard in entry.shards:
        for fault in damaged_shards(shards, replace(index, shards=(shard,))):
            raise ShardError(f"{fault}; run `prepare run` again, or `prepare verify` for all")
        yield shards / shard.path


def _write_rows(parts: Iterator[Path], folder: Path, masked: bool) -> None:
    writer = MdsWriter(folder)
    for part in parts:
        for rows in read_rows(part, masked=masked):
            writer.add(rows)
    writer.close()


def _write_documents(
    index: ShardIndex, parts: Iterator[Path], folder: Path
) -> tuple[int, int, bool]:
    """Documents, tokens, and whether there is a mask: written from its first 0 on."""
    # Megatron knows no uint32, and a vocabulary of 2^31 tokens is not to be feared.
    dtype = np.dtype("uint16" if index.dtype == "uint16" else "int32")
    tokens = MegatronWriter(folder / "tokens", dtype)
    mask: MegatronWriter | None = None
    with ExitStack() as stack:
        sink = stack.enter_context(pa.OSFile(str(folder / "documents.arrow"), "wb"))
        names = stack.enter_context(pa.ipc.new_file(sink, DOCUMENTS))
        for part in parts:
            documents = read_documents(part)
            lengths = np.diff(documents.offsets)
            if documents.learned is not None and mask is None:
                mask = MegatronWriter(folder / "mask", np.dtype(np.uint8))
                for before in tokens.document_lengths():
                    mask.fill(1, before)
            if documents.learned is not None and mask is not None:
                mask.add(documents.learned, lengths)
            elif mask is not None:
                mask.fill(1, lengths)
            tokens.add(documents.values.view(dtype), lengths)
            columns = [_binary(documents.keys), _binary(documents.text_hashes)]
            names.write_batch(pa.RecordBatch.from_arrays(columns, schema=DOCUMENTS))
    for writer in (tokens, mask):
        if writer is not None:
            writer.close()
    return tokens.num_documents, tokens.num_tokens, mask is not None


def _binary(values: np.ndarray) -> pa.FixedSizeBinaryArray:
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(pa.binary(16), len(values), [None, data])
