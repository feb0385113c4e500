"""Work item records: the presence of a record means that the item's outputs are complete.

A record's name is the item's fingerprint: a hash over the contents that it reads, the config that
applies to it and the code that runs it. So a rerun does only what is missing, and items of one
config are never taken for another's.

    OUT/state/<stage>/<fingerprint>.json
    {"fingerprint", "stage", "seconds", "outputs": {name: {"path", "bytes", "xxh3"}}, "counts"}

and what else the stage wants to know of the item later.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

import filters
import pipeline
from pipeline.files import file_hash, write_json

Record = dict[str, Any]

# Their releases can change what a stage writes; Headwater's own code is hashed, not versioned.
# What a filter, a way of cleaning or a plugin alone asks for is in its own settings.
_LIBRARIES = ("pyarrow", "numpy", "resiliparse", "fastokens", "tokenizers")


def fingerprint(*parts: Any) -> str:
    """xxh3-128 of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return str(xxhash.xxh3_128_hexdigest(text.encode()))


@cache
def code_fingerprint(*folders: str) -> str:
    """Hash of the Python source below folders such as `pipeline/text`, and of library versions."""
    roots = {"pipeline": Path(pipeline.__path__[0]), "filters": Path(filters.__path__[0])}
    digest = hashlib.blake2b(digest_size=16)
    for folder in sorted(folders):
        package, _, rest = folder.partition("/")
        path = roots[package] / rest
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(roots[package]).as_posix().encode())
            digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}={version(library)}".encode())
    digest.update(unicodedata.unidata_version.encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one stage of one output directory."""

    out: Path
    stage: str

    @property
    def folder(self) -> Path:
        return self.out / "state" / self.stage

    def read(self, item: str) -> Record | None:
        """The record of an item, or None; its outputs may have served their time and be gone."""
        path = self.folder / f"{item}.json"
        if not path.is_file():
            return None
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        return record

    def load(self, item: str) -> Record | None:
        """The record of an item, or None where it is not done or an output of it is gone."""
        record = self.read(item)
        return record if record is not None and self.is_whole(record) else None

    def all(self) -> Iterator[Record]:
        """All records there are, of this config and of others, by their names."""
        for path in self._paths():
            yield json.loads(path.read_text(encoding="utf-8"))

    def _paths(self) -> list[Path]:
        # A killed run leaves `.tmp-*.json`, which are no records.
        return sorted(self.folder.glob("[!.]*.json")) if self.folder.is_dir() else []

    def is_whole(self, record: Record) -> bool:
        """Whether every output is there in its size; `prepare verify` reads the bytes."""
        for output in record["outputs"].values():
            path = self.out / output["path"]
            if not path.is_file() or path.stat().st_size != output["bytes"]:
                return False
        return True

    def commit(
        self,
        item: str,
        outputs: Mapping[str, Path],
        counts: Mapping[str, Any],
        seconds: float,
        **more: Any,
    ) -> Record:
        """Write the record of an item whose outputs are on disk, and return it."""
        record: Record = {
            "fingerprint": item,
            "stage": self.stage,
            "seconds": round(seconds, 3),
            "outputs": {name: describe(path, self.out) for name, path in outputs.items()},
            "counts": dict(counts),
            **more,
        }
        write_json(self.folder / f"{item}.json", record)
        return record

    def prune(self, keep: Iterable[str]) -> None:
        """Remove the records, and then the outputs, of all items but these."""
        kept = set(keep)
        records = {path.stem: path for path in self._paths()}
        used = {
            output["path"]
            for name, path in records.items()
            if name in kept
            for output in json.loads(path.read_text())["outputs"].values()
        }
        for name in sorted(set(records) - kept):
            outputs = json.loads(records[name].read_text())["outputs"].values()
            records[name].unlink()
            for output in outputs:
                if output["path"] not in used:
                    (self.out / output["path"]).unlink(missing_ok=True)


def describe(path: Path, out: Path) -> dict[str, Any]:
    """Path relative to the output directory, size in bytes and xxh3-128 of a file."""
    return {
        "path": path.relative_to(out).as_posix(),
        "bytes": path.stat().st_size,
        "xxh3": file_hash(path),
    }
