"""The files below a folder: which may be data, and which are left out, and why."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from pipeline.sources.hf import SAVED

# What lies beside data and is none. At the top of the folder alone: a text may be called README.
BESIDE = ("readme*", "license*", "licence*", "copying*", "notice*", "dataset_info*.json")
NEVER: tuple[str, ...] = (
    "*.md5",
    "*.sha256",
    "*sha256sums*",
    "*.lock",
    "*.yaml",
    "*.yml",
    "*.toml",
    "*.ini",
)
NEVER += ("*.pyc", "*.crc", "*.idx", "_success", "thumbs.db", "*.tmp", "*.part")
FOLDERS = ("__pycache__", "node_modules", "site-packages", "__macosx")
MODEL_FILES = ("tokenizer.json", "model.safetensors", "pytorch_model.bin", "tokenizer.model")


EMPTY = "empty"  # why a file is left out
NO_NAME = "its name is not UTF-8, which a manifest is; rename it"


@dataclass(frozen=True, slots=True)
class File:
    """One file: where it is, and its name below the folder that is looked at, with `/`."""

    path: Path
    relative: str
    size_bytes: int

    @property
    def folder(self) -> str:
        return self.relative.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        """Of `a.v2.jsonl.zst` it is `.jsonl.zst`: what a glob may end with; `` for none."""
        name = self.relative.rpartition("/")[2]
        stem, dot, last = name.rpartition(".")
        if not dot or not stem:
            return ""
        inner = stem.rpartition(".")
        packed = last.lower() in ("gz", "zst", "zstd", "bz2", "xz")
        return f".{inner[2]}.{last}" if packed and inner[1] and inner[0] else f".{last}"


@dataclass(slots=True)
class Listing:
    """What is below a folder. `saved` are folders that `datasets` wrote, relative to it."""

    root: Path
    files: list[File] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # relative name: why
    saved: list[str] = field(default_factory=list)
    all_names: set[str] = field(default_factory=set)  # of every file, what is left out, too


def list_files(root: Path) -> Listing:
    """Look at all names below `root`; no file is opened. Symbolic links are followed, once."""
    listing = Listing(root)
    seen = {root.resolve()}
    for folder, relative, why in _folders(root, "", seen, listing):
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            name = f"{relative}{entry.name}"
            if entry.is_dir():
                continue
            listing.all_names.add(name)
            reason = why or _why_not(entry, relative, root)
            if reason:
                listing.skipped[name] = reason
            else:
                listing.files.append(File(Path(entry.path), name, entry.stat().st_size))
    _drop_linked(listing)
    return listing


def _folders(
    folder: Path, relative: str, seen: set[Path], listing: Listing, why: str = ""
) -> Iterator[tuple[Path, str, str]]:
    """Folders with their names, ending in `/`, and why their files are no data, if they are not."""
    try:
        entries = sorted(os.scandir(folder), key=lambda one: one.name)
    except PermissionError:
        listing.skipped[relative] = "this user may not read the folder"
        return
    why = why or _why_no_folder(folder, {entry.name for entry in entries}, relative)
    if why == SAVED:
        listing.saved.append(relative.rstrip("/"))
        why = "of a folder that `datasets` saved"
    yield folder, relative, why
    for entry in entries:
        if not entry.is_dir():
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            if path.resolve() in seen or folder.resolve().is_relative_to(path.resolve()):
                listing.skipped[f"{relative}{entry.name}/"] = "a link to a folder seen before"
                continue
            seen.add(path.resolve())
        yield from _folders(path, f"{relative}{entry.name}/", seen, listing, why)


def _why_no_folder(folder: Path, names: set[str], relative: str) -> str:
    if relative and folder.name.startswith("."):
        return "hidden"
    if folder.name.lower() in FOLDERS or "pyvenv.cfg" in names:
        return "belongs to a program"
    if {"run.json", "ledger.json"} <= names or {"shards", "state"} <= names:
        return "output of `prepare`"
    if {SAVED, "dataset_info.json"} <= names:
        return SAVED
    if relative and "config.json" in names and names.intersection(MODEL_FILES):
        return "a model"
    if relative and "tokenizer.json" in names:
        return "a tokenizer"
    return ""


def _why_not(entry: os.DirEntry[str], folder: str, root: Path) -> str:
    name = entry.name.lower()
    if not is_utf8(f"{folder}{entry.name}"):
        return NO_NAME
    if name.startswith("."):
        return "hidden"
    if any(fnmatch(name, pattern) for pattern in NEVER):
        return "settings or checksums"
    if not folder and any(fnmatch(name, pattern) for pattern in BESIDE):
        return "says something of the data"
    if name in MODEL_FILES:
        return "of a model"
    if not entry.is_file():
        return "no file: a broken link, a socket or a device"
    if not os.access(entry.path, os.R_OK):
        return "this user may not read it"
    return "" if entry.stat().st_size else EMPTY


def is_utf8(name: str) -> bool:
    """Whether a manifest can have it: a name that the system could not decode has surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _drop_linked(listing: Listing) -> None:
    """A link to a file that is there itself would bring its documents twice."""
    real = {file.path.resolve() for file in listing.files if not file.path.is_symlink()}
    kept = []
    for file in listing.files:
        if file.path.is_symlink() and file.path.resolve() in real:
            listing.skipped[file.relative] = "a link to a file that is here, too"
        else:
            kept.append(file)
    listing.files = kept
