"""From the manifest's tokenizer to a copy in the output directory and its identity.

Run once, by the driver: transformers reads every layout of a tokenizer that the hub knows, and
takes seconds to import. What the workers load is the copy, with the Rust libraries alone.
"""

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError, OutputError, PrepareError
from pipeline.files import file_hash, read_json, write_json
from pipeline.shards import TokenizerIdentity
from pipeline.tokens.config import TokenizerConfig

FOLDER = "tokenizer"
TOKENIZER_FILE = "tokenizer.json"
_CONFIG_FILE = "tokenizer_config.json"
RECORD_FILE = "headwater.json"  # {"source", "identity", "adds_bos", "files": {name: xxh3}}
_SUFFIXES = {".json", ".jinja", ".model", ".txt", ".py", ".tiktoken"}


def resolve_tokenizer(config: TokenizerConfig, base: Path, target: Path) -> TokenizerIdentity:
    """Save the tokenizer as `target/tokenizer` and say what it is.

    `config.path` is a directory relative to `base` if there is one of that name, else a name on
    the Hugging Face hub. A copy made from the same files is kept, without importing transformers;
    one made from the hub is kept until its folder is removed.

    `bos_id` and `eos_id` fall back to BERT's `cls` and `sep`; `pad_id` to `eos_id`, then to 0.
    `num_ids` is the highest id + 1, added tokens and gaps included: `vocab_size` leaves both out.

    Raises `ManifestError`: no such tokenizer, none with a fast form, one that cannot encode every
    text, or one without the token that `bos: always` or `eos: always` asks for.
    """
    source = _source(config, base)
    identity = _kept(target / FOLDER, source)
    if identity is None:
        identity = _save(_load(config, base), config, source, target)
    for mark, token_id in (("bos", identity.bos_id), ("eos", identity.eos_id)):
        if getattr(config, mark) == "always" and token_id is None:
            raise ManifestError(
                f"tokenizer.{mark}: got always, but {config.path} has no {mark} token; "
                "want auto or never"
            )
    return identity


def saved_tokenizer(target: Path) -> TokenizerIdentity | None:
    """The identity of the copy in `target`, whatever it was made from; None where it is not whole.

    What was made with it needs no other, even where the original has gone.
    """
    try:
        record = read_json(target / FOLDER / RECORD_FILE)
        identity = TokenizerIdentity(**record["identity"])
    except (PrepareError, KeyError, TypeError):
        return None
    return None if any(damaged_files(target / FOLDER, record)) else identity


def damaged_files(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """The files of a copy that are gone, or have other bytes than its record tells of."""
    told = {**record.get("files", {}), TOKENIZER_FILE: record["identity"]["fingerprint"]}
    for name, digest in told.items():
        if not (folder / name).is_file() or file_hash(folder / name) != digest:
            yield name


def _source(config: TokenizerConfig, base: Path) -> dict[str, Any]:
    """What the copy is made from: hashes of a directory's files, or the hub's name."""
    folder = base / config.path
    if folder.is_file():
        raise ManifestError(
            f"tokenizer.path: got the file {folder}, want the directory that holds it"
        )
    if not folder.is_dir():
        return {"hub": config.path}
    files = sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file())
    return {"files": {path.name: file_hash(path) for path in files}}


def _kept(folder: Path, source: dict[str, Any]) -> TokenizerIdentity | None:
    """The identity of a whole copy made from this source, or None."""
    identity = saved_tokenizer(folder.parent)
    if identity is None:
        return None
    return identity if read_json(folder / RECORD_FILE).get("source") == source else None


def _load(config: TokenizerConfig, base: Path) -> Any:
    folder = base / config.path
    try:
        # AutoTokenizer imports torch where that is installed: 4 s. A whole fast tokenizer: 1 s.
        if all((folder / name).is_file() for name in (TOKENIZER_FILE, _CONFIG_FILE)):
            from transformers import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast.from_pretrained(folder)
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(
            folder if folder.is_dir() else config.path, trust_remote_code=False
        )
    except Exception as exc:  # the Rust library raises bare Exception for a damaged tokenizer.json
        reason = str(exc).strip().partition("\n")[0][:200]
        where = (
            f"the directory {folder} cannot be read as a tokenizer"
            if folder.is_dir()
            else f"there is no directory {folder}, and the Hugging Face hub gave none of that name"
        )
        raise ManifestError(
            f"tokenizer.path: got {config.path!r}: {where} ({reason}); want a directory with "
            f"{TOKENIZER_FILE}, or a hub name while online and without HF_HUB_OFFLINE"
        ) from exc
    if not loaded.is_fast:
        raise ManifestError(
            f"tokenizer.path: got {config.path!r}, a tokenizer in Python alone "
            f"({type(loaded).__name__}); want one with a fast form, that is with {TOKENIZER_FILE}"
        )
    return loaded


def _save(
    loaded: Any, config: TokenizerConfig, source: dict[str, Any], target: Path
) -> TokenizerIdentity:
    """Write the copy under a temporary name, check it, rename it into place."""
    temporary = target / f".tmp-{uuid.uuid4().hex}-{FOLDER}"
    try:
        _write(loaded, temporary)
        _check_covers_text(temporary / TOKENIZER_FILE, config.path)
        identity = _identity(loaded, file_hash(temporary / TOKENIZER_FILE))
        record = {
            "source": source,
            "identity": asdict(identity),
            "adds_bos": _adds_bos(loaded, identity.bos_id),
            "files": {
                path.relative_to(temporary).as_posix(): file_hash(path)
                for path in temporary.rglob("*")
                if path.is_file()
            },
        }
        write_json(temporary / RECORD_FILE, record)
        shutil.rmtree(target / FOLDER, ignore_errors=True)
        temporary.rename(target / FOLDER)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return identity


def _write(loaded: Any, folder: Path) -> None:
    try:
        loaded.save_pretrained(folder)
    except Exception as exc:  # the Rust library raises bare Exception for a full disk, too
        raise OutputError(
            f"{folder.parent / FOLDER}: cannot be written ({exc}); want room for the tokenizer's "
            "files and permission to write them there; mend that, or give another `output`; then "
            "run it again"
        ) from exc


def _identity(loaded: Any, fingerprint: str) -> TokenizerIdentity:
    bos_id = _first(loaded.bos_token_id, loaded.cls_token_id)
    eos_id = _first(loaded.eos_token_id, loaded.sep_token_id)
    return TokenizerIdentity(
        fingerprint=fingerprint,
        num_ids=max(loaded.get_vocab().values()) + 1,
        bos_id=bos_id,
        eos_id=eos_id,
        pad_id=_first(loaded.pad_token_id, eos_id, 0) or 0,
        path=FOLDER,
    )


def _adds_bos(loaded: Any, bos_id: int | None) -> bool:
    """Whether a text begins with `bos_id` in the tokenizer's own opinion.

    transformers 5 forgets `add_bos_token` of some classes, so their config file is asked too.
    """
    if bos_id is not None and loaded("a")["input_ids"][:1] == [bos_id]:
        return True
    path = Path(loaded.name_or_path) / _CONFIG_FILE
    if path.is_file():
        return bool(json.loads(path.read_text(encoding="utf-8")).get("add_bos_token"))
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    return bool(get_tokenizer_config(loaded.name_or_path).get("add_bos_token"))


def _first(*ids: int | None) -> int | None:
    return next((token_id for token_id in ids if token_id is not None), None)


def _check_covers_text(path: Path, name: str) -> None:
    """A model that fails on the first unknown word would end a run in its middle.

    BPE leaves unknown bytes out (SmolLM2 has no token for 21 of them); the others raise.
    """
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    kind = model.get("type")
    covered = {
        "Unigram": model.get("unk_id") is not None or bool(model.get("byte_fallback")),
        "WordPiece": model.get("unk_token") in model["vocab"],
        "WordLevel": model.get("unk_token") in model["vocab"],
    }
    if not covered.get(kind, True):
        raise ManifestError(
            f"tokenizer.path: got {name!r}, a {kind} model without an unknown token, which fails "
            "on text outside its vocabulary; want unk_token (unk_id) or byte_fallback in "
            f"{TOKENIZER_FILE}"
        )
