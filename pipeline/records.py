"""Work item records: the presence of a record means that the item's outputs are complete.

A record's name is the item's fingerprint: a hash over the contents that it reads, the config that
applies to it and the code that runs it. So a rerun does only what is missing, and items of one
config are never taken for another's.

    OUT/state/<stage>/<fingerprint>.json
    {"fingerprint", "stage", "seconds", "outputs": {name: {"path", "bytes", "xxh3"}}, "counts",
     "of": {"contents", "config", "code"}, "checksum"}

and what else the stage wants to know of the item later. `of` says what the fingerprint was made of,
each a hash of its own. `checksum` stands last, the xxh3-128 of all bytes before it: a record that
was changed, or torn by a crash of the machine, counts as none, and its item is done again.

A record is written once. Only an erasure puts another one in its place.
"""

import hashlib
import json
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

import filters
from pipeline.errors import PrepareError
from pipeline.files import atomic, check_inside, file_hash

Record = dict[str, Any]

_CHECKSUM = ',\n "checksum": "{}"\n}}\n'
_CHECKSUM_BYTES = len(_CHECKSUM.format("0" * 32))

# Their releases can change what a stage writes; Headwater's own code is hashed, not versioned.
# What a filter, a way of cleaning or a plugin alone asks for is in its own settings.
_LIBRARIES = ("pyarrow", "numpy", "resiliparse", "fastokens", "tokenizers")


@dataclass(frozen=True, slots=True)
class MadeOf:
    """Hashes of what an item's fingerprint depends on."""

    contents: str  # of what is read: a file's bytes, or what the stage before made
    config: str
    code: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.contents, self.config, self.code)


NOTHING = MadeOf("", "", "")  # of items that are not committed


def fingerprint(*parts: Any) -> str:
    """xxh3-128 of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return str(xxhash.xxh3_128_hexdigest(text.encode()))


@cache
def code_fingerprint(*folders: str) -> str:
    """Hash of the Python source below folders such as `pipeline/text`, and of library versions."""
    roots = {"pipeline": Path(__file__).parent, "filters": Path(filters.__path__[0])}
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


def write_record(path: Path, values: Mapping[str, Any]) -> Record:
    """Write a record with its checksum, and return it as it will be read; all are written here."""
    rest = {name: value for name, value in values.items() if name != "checksum"}
    body = json.dumps(rest, indent=1, sort_keys=True).removesuffix("\n}")
    text = body + _CHECKSUM.format(xxhash.xxh3_128_hexdigest(body.encode()))
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    record: Record = json.loads(text)
    return record


def _read(path: Path) -> Record | None:
    """A record, or None where it is not the one that was written under this name.

    Raises `ShardError` where somebody made one whose files are not in the output.
    """
    data = path.read_bytes()
    body, end = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    # Of the bytes: to write the values again for a hash takes twice as long as to read them.
    if end != _CHECKSUM.format(xxhash.xxh3_128_hexdigest(body)).encode():
        return None
    record: Record = json.loads(data)
    if (record.get("stage"), record.get("fingerprint")) != (path.parent.name, path.stem):
        return None
    check_inside(path.parents[2], (output["path"] for output in record["outputs"].values()))
    return record


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one stage of one output directory."""

    out: Path
    stage: str

    @property
    def folder(self) -> Path:
        return self.out / "state" / self.stage

    def read(self, item: str) -> Record | None:
        """The record of an item, or None where there is none, or a damaged one.

        Its outputs may have served their time and be gone.
        """
        path = self.path(item)
        return _read(path) if path.is_file() else None

    def is_damaged(self, item: str) -> bool:
        """Whether a record is there that is not what was written."""
        path = self.path(item)
        return path.is_file() and _read(path) is None

    def path(self, item: str) -> Path:
        """Where the record of an item is, if it is done."""
        return self.folder / f"{item}.json"

    def load(self, item: str) -> Record | None:
        """The record of an item, or None where it is not done or an output of it is gone."""
        record = self.read(item)
        return record if record is not None and self.is_whole(record) else None

    def all(self) -> Iterator[Record]:
        """All whole records, of this config and of others, by their names."""
        return self.others(())

    def others(self, known: Collection[str]) -> Iterator[Record]:
        """All whole records but those of these items."""
        for path in self._paths():
            if path.stem not in known and (record := _read(path)) is not None:
                yield record

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
        of: MadeOf | None = None,
        **more: Any,
    ) -> Record:
        """Write the record of an item whose outputs are on disk, and return it."""
        values = {
            "fingerprint": item,
            "stage": self.stage,
            "seconds": round(seconds, 3),
            "outputs": {name: describe(path, self.out) for name, path in outputs.items()},
            "counts": dict(counts),
            **({} if of is None else {"of": asdict(of)}),
            **more,
        }
        return write_record(self.path(item), values)

    def remove(self, item: str) -> None:
        """Take an item's record away, so that it is done again; its outputs are written over."""
        self.path(item).unlink(missing_ok=True)

    def prune(self, keep: Iterable[str]) -> None:
        """Remove the records, and then the outputs, of all items but these."""
        kept = set(keep)
        records = {path.stem: path for path in self._paths()}
        gone = sorted(set(records) - kept)
        if not gone:
            return
        used = {path for name in kept.intersection(records) for path in _outputs(records[name])}
        damaged = {name for name in gone if _read(records[name]) is None}
        for name in gone:
            outputs = _outputs(records[name])
            records[name].unlink()
            for path in set(outputs) - used:
                (self.out / path).unlink(missing_ok=True)
        if damaged:
            _remove_named(self.out, damaged)


def _outputs(path: Path) -> list[str]:
    """Paths of what a record describes; a damaged one is not asked."""
    record = _read(path)
    return [] if record is None else [output["path"] for output in record["outputs"].values()]


def _remove_named(out: Path, names: set[str]) -> None:
    """Remove the files that bear the fingerprints of damaged records, wherever they are."""
    for path in out.rglob("*.arrow"):
        if path.name.partition(".")[0] in names:
            path.unlink()


def check_outputs(out: Path, record: Record, names: Iterable[str]) -> None:
    """Raise `PrepareError` where an output has other bytes than were written.

    Whoever makes a record of what it reads would put its own checksum on the damage.
    """
    for output in (record["outputs"][name] for name in names):
        path = out / output["path"]
        if file_hash(path) != output["xxh3"]:
            raise PrepareError(
                f"{path}: its bytes are not those that `{record['stage']}` wrote, want the file as "
                "it was; restore it, or use `prepare run --mend` with the manifest, which makes it "
                "again from the inputs"
            )


def made_hash(output: Mapping[str, Any]) -> str:
    """The hash of an output as its stage made it, whatever was erased from it since."""
    return str(output.get("made", output["xxh3"]))


def describe(path: Path, out: Path) -> dict[str, Any]:
    """Path relative to the output directory, size in bytes and xxh3-128 of a file."""
    return {
        "path": path.relative_to(out).as_posix(),
        "bytes": path.stat().st_size,
        "xxh3": file_hash(path),
    }
