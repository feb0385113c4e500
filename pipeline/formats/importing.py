"""`prepare import`: token sets of others as a shard directory, which `train --shards` takes.

The documents are packed as `prepare run` packs them and written out once, rather than read where
they lie: then there is one format to train on, with keys, text hashes and byte counts in every
row, so that leakage checks, bits per byte, length warm-up and exact resumption hold for these sets
as for any. It costs the disk space of the tokens, and one pass.

A set without text has hashes of its ids instead: two sets that were imported with one tokenizer can
be compared, an imported and a prepared one cannot, unless the set is an export with its sidecars.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import SourceError, UsageError
from pipeline.files import write_json
from pipeline.finished import IMPORT_NAME
from pipeline.formats.folder import whole_folder
from pipeline.formats.inputs import Found, Input
from pipeline.formats.once import doubled
from pipeline.formats.packed import row_tokens, write_packed
from pipeline.formats.packer import Entry, Packer, part_path, select
from pipeline.formats.recorded import check_tokenizer
from pipeline.formats.sets import Documents, PackedSet
from pipeline.formats.token_bytes import token_bytes
from pipeline.keys import KEY_TYPE, document_keys, hash_values
from pipeline.records import fingerprint
from pipeline.shards import Shard, ShardIndex, TokenizerIdentity, token_type, write_index
from pipeline.splits import validation_mask
from pipeline.tokens.config import PackConfig, TokenizerConfig
from pipeline.tokens.resolve import TOKENIZER_FILE, resolve_tokenizer
from pipeline.tokens.token_file import TokenisedDocuments, fixed_bytes

RECORD_NAME = IMPORT_NAME
MAX_CHUNK_BYTES = (1 << 31) - 1  # of ids, which are hashed through 32-bit offsets


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """`import.json`. `num_end_marked` of the documents end with the tokenizer's EOS; None where the
    rows were packed already."""

    inputs: tuple[str, ...]
    sequence_tokens: int
    num_documents: int
    num_end_marked: int | None
    num_tokens: int
    num_rows: int


def import_sets(
    found: Found,
    target: Path,
    tokenizer: str,
    pack: PackConfig,
    *,
    validation_fraction: float = 0.0,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[ShardIndex, Imported]:
    """Write the sets as `target/shards`, with the tokenizer beside it.

    `tokenizer` is a directory or a hub name, as in a manifest; `report` is told each set before it
    is read. Rows that are packed already keep their length, whatever `pack.sequence_tokens`.
    Raises `UsageError` for a target that is there, or sets that do not go together; `SourceError`
    for one that is not whole, or not of this tokenizer.
    """
    pack = _with_length(found.inputs, pack)
    with whole_folder(target) as folder:
        identity = resolve_tokenizer(TokenizerConfig(path=tokenizer), Path(), folder)
        if found.tokenizer_fingerprint is not None:
            check_tokenizer(found.tokenizer_fingerprint, tokenizer, identity)
        importer = _Importer(folder, pack, identity, validation_fraction)
        for one in found.inputs:
            report(one.name)
            importer.add(one)
        shards = importer.close()
        for fault in doubled(folder / "shards", shards):
            raise SourceError(f"import: {fault}; give sets that share no documents, each once")
        index = _index(target.resolve().name, shards, identity, pack.sequence_tokens)
        write_index(folder / "shards", index)
        imported = Imported(
            inputs=tuple(one.name for one in found.inputs),
            sequence_tokens=pack.sequence_tokens,
            num_documents=sum(shard.num_documents for shard in shards),
            num_end_marked=importer.num_end_marked,
            num_tokens=sum(shard.num_tokens for shard in shards),
            num_rows=sum(shard.num_rows for shard in shards),
        )
        write_json(folder / RECORD_NAME, asdict(imported))
    return index, imported


def _with_length(inputs: Sequence[Input], pack: PackConfig) -> PackConfig:
    """The length of the rows: that of the sets which are packed already, and it must be one."""
    packed = [file for one in inputs for file in _packed_files(one)]
    lengths = {file: row_tokens(file) for file in packed}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            f"{packed[0]}: rows of {lengths[packed[0]]:,} tokens, but others have "
            f"{sorted(set(lengths.values()))}; import sets of one length at a time"
        )
    return pack.model_copy(update={"sequence_tokens": lengths[packed[0]]}) if packed else pack


def _packed_files(one: Input) -> tuple[Path, ...]:
    return one.tokens.files if isinstance(one.tokens, PackedSet) else ()


def _index(
    corpus: str, shards: Sequence[Shard], identity: TokenizerIdentity, sequence_tokens: int
) -> ShardIndex:
    if not shards:
        raise SourceError("import: the sets hold no tokens, so there is nothing to train on")
    return ShardIndex(
        corpus=corpus,
        manifest_fingerprint=fingerprint(
            "import", identity.fingerprint, [(shard.path, shard.sha256) for shard in shards]
        ),
        tokenizer=identity,
        sequence_tokens=sequence_tokens,
        dtype=str(token_type(identity.num_ids)),
        shards=tuple(shards),
    )


class _Importer:
    """Sets to parts, by source, split and stratum."""

    def __init__(
        self, folder: Path, pack: PackConfig, identity: TokenizerIdentity, fraction: float
    ) -> None:
        self._shards, self._pack, self._identity = folder / "shards", pack, identity
        self._fraction = fraction
        path = folder / identity.path / TOKENIZER_FILE
        self._token_bytes = token_bytes(path, identity.num_ids)
        self._packers: dict[Entry, Packer] = {}
        self._written: dict[Entry, list[Shard]] = {}
        self.num_end_marked: int | None = None

    def add(self, one: Input) -> None:
        """Read a whole set."""
        if isinstance(one.tokens, PackedSet):
            self._add_rows(one, one.tokens)
            return
        for documents in one.tokens.documents():
            if len(documents.offsets) > 1:
                self._add_documents(one, documents)

    def close(self) -> list[Shard]:
        """Write what is left; all parts."""
        for packer in self._packers.values():
            packer.close()
        written = [*(packer.shards for packer in self._packers.values()), *self._written.values()]
        return sorted((shard for shards in written for shard in shards), key=lambda s: s.path)

    def _add_rows(self, one: Input, packed: PackedSet) -> None:
        if one.split is None:
            raise UsageError(
                f"{one.name}: its rows are packed, so documents cannot be held out of it; give "
                "--split, or --column tokens to pack it again"
            )
        entry = (one.source, one.split, one.stratum)
        parts = self._written.setdefault(entry, [])
        written: list[Shard] = []
        for file in packed.files:
            name = part_path(entry, len(parts) + len(written))
            written.append(write_packed(file, self._shards, name, entry, self._identity))
        parts += written
        num_tokens = sum(part.num_tokens for part in written)
        if one.record is not None and num_tokens != one.record.num_tokens:
            raise SourceError(
                f"{one.name}: got {num_tokens:,} tokens, the export says {one.record.num_tokens:,};"
                " export again"
            )

    def _add_documents(self, one: Input, documents: Documents) -> None:
        tokens = self._tokenised(one, documents)
        if one.split is not None:
            self._packer(one, one.split).add(tokens)
            return
        hashes = pa.Array.from_buffers(
            KEY_TYPE, len(tokens.keys), [None, pa.py_buffer(tokens.text_hashes.tobytes())]
        )
        held_out = validation_mask(hashes, self._fraction)
        for split, chosen in (("train", ~held_out), ("validation", held_out)):
            if chosen.any():
                self._packer(one, split).add(select(tokens, np.flatnonzero(chosen)))

    def _packer(self, one: Input, split: str) -> Packer:
        entry = (one.source, split, one.stratum)
        if entry not in self._packers:
            self._packers[entry] = Packer(self._shards, entry, self._pack, self._identity)
        return self._packers[entry]

    def _tokenised(self, one: Input, documents: Documents) -> TokenisedDocuments:
        """Ids of the shards' type, checked, with keys, text hashes and bytes."""
        offsets = documents.offsets
        values = self._narrowed(one, documents)
        ends = offsets[1:][np.diff(offsets) > 0]
        num_marked = np.count_nonzero(values[ends - 1] == self._identity.eos_id)
        self.num_end_marked = (self.num_end_marked or 0) + int(num_marked)
        text_hashes = documents.text_hashes
        if text_hashes is None:
            text_hashes = _hashes(values, offsets)
        keys = documents.keys
        if keys is None:
            keys = _keys(one, documents.first, text_hashes)
        num_bytes = np.concatenate([[0], np.cumsum(self._token_bytes[values])])
        return TokenisedDocuments(
            values,
            offsets,
            fixed_bytes(keys),
            fixed_bytes(text_hashes),
            np.diff(num_bytes[offsets]),
            documents.learned,
        )

    def _narrowed(self, one: Input, documents: Documents) -> np.ndarray:
        values = documents.values
        num_ids = self._identity.num_ids
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= num_ids):
            at = int(np.argmax((values < 0) | (values >= num_ids)))
            row = int(np.searchsorted(documents.offsets, at, side="right")) - 1
            raise SourceError(
                f"{documents.path}: document {documents.row + row:,}: got the id "
                f"{int(values[at]):,}, "
                f"want 0 to {num_ids - 1:,}; give the tokenizer that made the set"
            )
        return values.astype(token_type(num_ids).to_pandas_dtype(), copy=False)


def _hashes(values: np.ndarray, offsets: np.ndarray) -> pa.FixedSizeBinaryArray:
    """xxh3-128 of each document's ids, little-endian as the shards hold them."""
    bounds = offsets * values.dtype.itemsize
    if bounds[-1] > MAX_CHUNK_BYTES:
        raise SourceError(
            f"import: got a document of {len(values):,} tokens, want at most "
            f"{MAX_CHUNK_BYTES // values.dtype.itemsize:,}; cut it into several"
        )
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(values.tobytes())]
    return hash_values(pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers))


def _keys(one: Input, first: int, text_hashes: pa.FixedSizeBinaryArray) -> pa.Array:
    """Keys as `prepare run` makes them, of the source, the set's name and the document's row."""
    num_rows = len(text_hashes)
    columns = {
        "source": pa.repeat(pa.scalar(one.source), num_rows),
        "source_path": pa.repeat(pa.scalar(one.name), num_rows),
        "source_row": pa.array(np.arange(first, first + num_rows, dtype=np.int64)),
    }
    return document_keys(pa.RecordBatch.from_pydict(columns), text_hashes)
