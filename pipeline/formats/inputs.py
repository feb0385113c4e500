"""What the paths of `prepare import` name: token sets, and the sources that they become."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipeline.errors import SourceError, UsageError
from pipeline.formats.export import RECORD_NAME, TokenSet
from pipeline.formats.megatron import bin_path, idx_path
from pipeline.formats.packed import COLUMNS, check_columns
from pipeline.formats.parquet import read_schema
from pipeline.formats.recorded import check_set, read_record
from pipeline.formats.sets import MASK_COLUMN, MegatronSet, PackedSet, ParquetSet
from pipeline.shards import SPLITS

TOKEN_COLUMNS = ("tokens", "input_ids")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # of a source, as manifests have it


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A set, and where it goes. `split` None: each document by its text hash. `record` is what its
    export says of it."""

    name: str
    source: str
    split: str | None
    stratum: str | None
    tokens: MegatronSet | ParquetSet | PackedSet
    record: TokenSet | None = None


class Found(NamedTuple):
    """The sets of a command; of an export also its tokenizer, that one's fingerprint, and the
    length of its rows."""

    inputs: tuple[Input, ...]
    tokenizer: Path | None = None
    tokenizer_fingerprint: str | None = None
    sequence_tokens: int | None = None


def find_sets(
    paths: Sequence[Path], *, source: str | None, split: str | None, column: str | None
) -> Found:
    """What the paths name: one folder of `prepare export`, or files that make one source.

    Raises `UsageError` or `SourceError` for what is neither.
    """
    if len({_prefix(path).resolve() for path in paths}) < len(paths):
        raise UsageError("import: got a path twice, which would double its documents; give it once")
    if len(paths) == 1 and (paths[0] / RECORD_NAME).is_file():
        if source or split or column:
            raise UsageError(
                f"{paths[0]}: an export names its own sources, splits and columns; leave --source, "
                "--split and --column out, or give the files in it"
            )
        return _of_export(paths[0])
    name = source or paths[0].name.partition(".")[0]
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--source: got {name!r}, want letters, digits, - and _, beginning with one of the "
            "first two: it becomes a folder, and a key of the trainer's mix"
        )
    stems = [_prefix(path).name for path in paths]
    distinct = len(set(stems)) == len(stems)
    found = Found(
        tuple(
            Input(
                # Part of the documents' keys, so not where the set happens to lie.
                name=stem if distinct else f"{number}/{stem}",
                source=name,
                split=split,
                stratum=None,
                tokens=_token_set(path, column),
            )
            for number, (path, stem) in enumerate(zip(paths, stems, strict=True))
        )
    )
    _check_apart(found.inputs)
    if column and not any(isinstance(one.tokens, ParquetSet) for one in found.inputs):
        raise UsageError("--column: Megatron datasets have no columns; leave it out")
    return found


def _check_apart(inputs: Sequence[Input]) -> None:
    """No file in two sets, whatever the names by which it was reached."""
    owners: dict[tuple[int, int], Path] = {}
    for one in inputs:
        tokens = one.tokens
        for file in (bin_path(tokens.prefix),) if isinstance(tokens, MegatronSet) else tokens.files:
            if not file.is_file():
                continue  # half a Megatron dataset, of which its reader tells
            state = file.stat()
            other = owners.setdefault((state.st_dev, state.st_ino), file)
            if other is not file:
                raise UsageError(
                    f"{file}: is {other} too, which would double its documents; give it once"
                )


def _of_export(folder: Path) -> Found:
    record = read_record(folder)
    if record.format == "mds":
        raise UsageError(
            f"{folder}: MDS is written, not read; import a Megatron or Parquet export, or train on "
            "the shards that it was made of"
        )
    tokenizer = folder / "tokenizer"
    return Found(
        tuple(_recorded(folder, one, record.format == "megatron") for one in record.sets),
        tokenizer if tokenizer.is_dir() else None,
        record.tokenizer_fingerprint,
        record.sequence_tokens,
    )


def _recorded(folder: Path, one: TokenSet, is_megatron: bool) -> Input:
    """A set of an export, whose files are those that it wrote. Names become folders: plain ones."""
    names = [name for name in (one.source, one.split, one.stratum) if name is not None]
    if (
        not all(map(NAME.fullmatch, names))
        or one.split not in SPLITS
        or one.path != "/".join(names)
    ):
        raise SourceError(
            f"{folder / RECORD_NAME}: the set {one.path!r} is not <source>/<split>/[<stratum>/]; "
            "export again"
        )
    place = folder / one.path
    tokens: MegatronSet | ParquetSet | PackedSet = MegatronSet(place / "tokens")
    if not is_megatron:
        tokens = _parquet(tuple(sorted(place.glob("*.parquet"))), None, place)
    if isinstance(tokens, ParquetSet):
        raise SourceError(
            f"{tokens.files[0]}: want the columns {', '.join(COLUMNS)} of an export; export again, "
            "or give the files of one that another tool wrote again"
        )
    check_set(folder, one, tokens)
    return Input(
        name=one.path,
        source=one.source,
        split=one.split,
        stratum=one.stratum,
        tokens=tokens,
        record=one,
    )


def _prefix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".bin", ".idx") else path


def _token_set(path: Path, column: str | None) -> MegatronSet | ParquetSet | PackedSet:
    prefix = _prefix(path)
    if idx_path(prefix).is_file() or bin_path(prefix).is_file():
        return MegatronSet(prefix)
    files = tuple(sorted(path.rglob("*.parquet"))) if path.is_dir() else (path,)
    return _parquet(files, column, path)


def _parquet(files: tuple[Path, ...], column: str | None, where: Path) -> ParquetSet | PackedSet:
    """Files of one kind: the first says which, and the schema of each is looked at."""
    if not files or not all(file.is_file() for file in files):
        raise UsageError(
            f"{where}: no token set; want a Megatron prefix (PREFIX.bin and PREFIX.idx), a Parquet "
            "file or a folder of them, or a folder of `prepare export`"
        )
    schema = read_schema(files[0])
    if column is None and _is_packed(schema):
        for file in files:
            check_columns(file, read_schema(file))
        return PackedSet(files)
    wanted = (column,) if column else TOKEN_COLUMNS
    found = [name for name in wanted if _is_ids(schema, name)]
    for file in files:
        _check_documents(file, read_schema(file), found or wanted, column is None)
    return ParquetSet(files, found[0])


def _is_packed(schema: pa.Schema) -> bool:
    return all(name in schema.names for name in COLUMNS)


def _check_documents(
    file: Path, schema: pa.Schema, wanted: Sequence[str], refuse_packed: bool
) -> None:
    """Lists of ids in the first of the `wanted` columns, and a loss mask that is one."""
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice or not _is_ids(schema, wanted[0]):
        kinds = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise SourceError(
            f"{file}: got the columns {kinds}; want lists of integers, the token ids, in "
            f"{' or '.join(wanted)}, or --column with another name, and no name twice"
        )
    if refuse_packed and _is_packed(schema):
        raise SourceError(
            f"{file}: rows of an export among files of documents; import them apart, or give "
            f"--column {wanted[0]}"
        )
    if MASK_COLUMN in schema.names and not _is_mask(schema.field(MASK_COLUMN).type):
        raise SourceError(
            f"{file}: column {MASK_COLUMN}: got {schema.field(MASK_COLUMN).type}, want lists of 0 "
            "and 1, one for each id; mend it, or leave the column out"
        )


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def _is_ids(schema: pa.Schema, name: str) -> bool:
    if schema.get_field_index(name) < 0:  # also of a name that is there twice
        return False
    kind = schema.field(name).type
    return _is_list(kind) and pa.types.is_integer(kind.value_type)


def _is_mask(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)
    return pa.types.is_null(kind) or (
        _is_list(kind) and any(test(kind.value_type) for test in tests)
    )
