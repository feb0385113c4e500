"""What `export.json` says of an export, held against its files before an import writes anything.

A part or a mask that was lost on the way would otherwise be documents that are not trained on, or
prompts that are.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import SourceError
from pipeline.files import file_hash
from pipeline.formats.export import RECORD_NAME, Export, TokenSet
from pipeline.formats.sets import MegatronSet, PackedSet
from pipeline.shards import TokenizerIdentity
from pipeline.tokens.resolve import TOKENIZER_FILE


def read_record(folder: Path) -> Export:
    """The record of an export. Raises `SourceError` for what is none."""
    path = folder / RECORD_NAME
    try:
        record = TypeAdapter(Export).validate_json(path.read_bytes(), strict=True)
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc}); export again") from exc
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(map(str, error["loc"]))
        raise SourceError(
            f"{path}: no record of an export ({where}: {error['msg']}); export again"
        ) from exc
    paths = [one.path for one in record.sets]
    if len(set(paths)) < len(paths):
        raise SourceError(f"{path}: names a set twice; export again")
    return record


def check_set(folder: Path, record: TokenSet, tokens: MegatronSet | PackedSet) -> None:
    """Raise `SourceError` where the files of a set are not those that its record tells of."""
    files = tokens.files() if isinstance(tokens, MegatronSet) else tokens.files
    found = tokens.counts() | {"num_file_bytes": sum(file.stat().st_size for file in files)}
    for name, value in found.items():
        told = getattr(record, name)
        if told != value:
            raise SourceError(
                f"{folder / record.path}: {name} is {value:,}, {RECORD_NAME} says {told:,}: files "
                "are missing or were changed; copy the export anew, or export again"
            )


def check_tokenizer(told: str, given: str, identity: TokenizerIdentity) -> None:
    """Raise `SourceError` for another tokenizer than the one that made an export.

    `told` is the export's fingerprint, `given` the path that became `identity`.
    """
    if identity.fingerprint == told:
        return
    path = Path(given) / TOKENIZER_FILE  # of an export: saved again by another version, perhaps
    if path.is_file() and file_hash(path) == told:
        return
    raise SourceError(
        f"--tokenizer: got {given}, whose fingerprint is {identity.fingerprint}; want the one that "
        f"made the export, {told}; leave --tokenizer out"
    )
