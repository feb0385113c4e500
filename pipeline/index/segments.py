"""An index on disk: a folder of segments, one per finished corpus.

    DIR/lock                                  held by the one process that works with the index
    DIR/<segment>/segment.json                written last, in one rename: what is in force
    DIR/<segment>/<fingerprint>/buckets-00000.arrow   bucket uint64, number uint32: the rows of one
                                              range of hashes, sorted by (bucket, number)
                                documents.arrow       a row per document, by number: `DOCUMENTS`
                                signatures.arrow      `minhashes` of each document, where the corpus
                                              stores them (`dedup.minhash.signatures`)
                                deleted.arrow         number and text hash of what was deleted since

A segment, its folders and its files, is its owner's alone, whatever the umask: it holds ids.

The fingerprint is of the contents, so a segment is replaced by writing another folder beside it and
renaming one file. 12 bytes a bucket and about 60 a document: 240 for each document of 15 buckets.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PrepareError, UsageError
from pipeline.files import OWNER_ONLY, arrow_writer, check_inside, file_hash, write_json
from pipeline.keys import KEY_TYPE
from pipeline.records import fingerprint

FORMAT = 1
SEGMENT_NAME = "segment.json"
DOCUMENTS_NAME, SIGNATURES_NAME, DELETED_NAME = (
    "documents.arrow",
    "signatures.arrow",
    "deleted.arrow",
)
BUCKETS = pa.schema([pa.field("bucket", pa.uint64()), pa.field("number", pa.uint32())])
DOCUMENTS = pa.schema(
    [
        pa.field("key", KEY_TYPE),
        pa.field("text_hash", KEY_TYPE),
        pa.field("id", pa.string()),
        pa.field("source", pa.uint16()),  # its place in `Segment.sources`
        pa.field("validates", pa.bool_()),  # held out of training in its own corpus
        pa.field("file", pa.uint32()),  # its place in `Segment.files`
        pa.field("row", pa.uint32()),  # in that file
    ]
)
DELETED = pa.schema([pa.field("number", pa.uint32()), pa.field("text_hash", KEY_TYPE)])


@dataclass(frozen=True, slots=True)
class Contents:
    """What `segment.json` says of one segment."""

    number: int  # the order of adding, from 1: a corpus looks into those of lower numbers
    fingerprint: str  # of the bytes of its files, `deleted.arrow` aside
    made_of: str  # fingerprint of the deduplication that left these documents
    parameters: dict[str, Any]  # see `parameters.py`
    out: str  # the corpus' output directory, relative to the index
    files: tuple[str, ...]  # refined files with the texts, relative to `out`
    sources: tuple[tuple[str, int], ...]  # name and priority
    num_documents: int
    num_partitions: int
    file_bytes: dict[str, int]  # by name


@dataclass(frozen=True, slots=True)
class Segment:
    """One finished corpus in an index."""

    index: Path
    name: str
    contents: Contents

    @property
    def data(self) -> Path:
        """The folder with its files."""
        return self.index / self.name / self.contents.fingerprint

    @property
    def out(self) -> Path:
        """The corpus' output directory."""
        return (self.index / self.contents.out).resolve()

    @property
    def num_bytes(self) -> int:
        """Of all files on disk."""
        return sum(self.contents.file_bytes.values())

    @property
    def has_signatures(self) -> bool:
        return SIGNATURES_NAME in self.contents.file_bytes

    def deleted(self) -> np.ndarray:
        """Numbers of the deleted documents, ascending uint32."""
        path = self.data / DELETED_NAME
        return read(path)["number"].to_numpy() if path.is_file() else np.zeros(0, np.uint32)

    @property
    def identity(self) -> str:
        """Fingerprint of all that a look-up can find in it."""
        deleted = self.data / DELETED_NAME
        return fingerprint(
            self.contents.fingerprint,
            self.contents.sources,  # their priorities decide, too
            file_hash(deleted) if deleted.is_file() else None,
        )


def read(path: Path) -> pa.Table:
    """All columns of an Arrow file, mapped into memory."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def buckets_name(partition: int) -> str:
    """The file of one range of hashes."""
    return f"buckets-{partition:05d}.arrow"


def segments(index: Path) -> list[Segment]:
    """All segments, in the order of adding. Raises `PrepareError` for a damaged one."""
    paths = sorted(index.glob(f"[!.]*/{SEGMENT_NAME}"))
    return sorted(map(_segment, paths), key=lambda segment: segment.contents.number)


def read_segment(index: Path, name: str) -> Segment | None:
    """One segment, or None where the index has none of this name."""
    path = index / name / SEGMENT_NAME
    return _segment(path) if path.is_file() else None


def read_segments(index: Path, names: Sequence[str]) -> list[Segment]:
    """Segments that are known to be there, in the order of their names given."""
    return [_segment(index / name / SEGMENT_NAME) for name in names]


def _segment(path: Path) -> Segment:
    values = _values(path)
    found = values.pop("format", None)
    if found != FORMAT:
        raise UsageError(
            f"{path}: got format {found}, want {FORMAT}: made by another version of Headwater; "
            f"delete the segment and run its corpus again"
        )
    values["files"] = tuple(values["files"])
    values["sources"] = tuple((name, priority) for name, priority in values["sources"])
    segment = Segment(path.parent.parent, path.parent.name, Contents(**values))
    check_inside(path.parent, [segment.contents.fingerprint])
    check_inside(segment.data, segment.contents.file_bytes)
    check_inside(segment.out, segment.contents.files)
    for name, num_bytes in segment.contents.file_bytes.items():
        file = segment.data / name
        if not file.is_file() or file.stat().st_size != num_bytes:
            raise PrepareError(
                f"{file}: gone or not of {num_bytes:,} bytes, so segment {segment.name} is "
                f"damaged; use `prepare index {segment.index} --delete {segment.name}` and run "
                "its corpus again"
            )
    return segment


def _values(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        index, name = path.parent.parent, path.parent.name
        raise PrepareError(
            f"{path}: is no JSON object, so segment {name} is damaged; use `prepare index {index} "
            f"--delete {name}` and run its corpus again"
        )
    return values


def earlier(index: Path, name: str) -> list[Segment]:
    """The segments that a corpus is compared with: those added before its own.

    So a corpus never meets itself when it is run again, and a later one, which was compared with
    it, does not change it.
    """
    found = segments(index)
    own = next((s.contents.number for s in found if s.name == name), None)
    return [s for s in found if own is None or s.contents.number < own]


def content_fingerprint(files: Mapping[str, str]) -> str:
    """Of the hashes of a segment's files by name."""
    return fingerprint(FORMAT, dict(files))


def publish(
    index: Path, name: str, contents: Contents, files: Mapping[str, Path], deleted: pa.Table
) -> Segment:
    """Put a segment in force, in place of the one of its name; its files are copied.

    A crash before the last rename leaves the old one in force, and a folder that the next
    publishing removes.
    """
    segment = Segment(index, name, contents)
    home = index / name
    home.mkdir(mode=0o700, exist_ok=True)
    protect(index)
    if not _is_whole(segment):
        staged = home / f".tmp-{uuid.uuid4().hex}"
        staged.mkdir(mode=0o700)
        for file, path in files.items():
            _copy(path, staged / file)
        shutil.rmtree(segment.data, ignore_errors=True)
        staged.rename(segment.data)
    write_deleted(segment, deleted)
    write_json(home / SEGMENT_NAME, {"format": FORMAT, **asdict(contents)})
    for path in home.iterdir():
        if path.is_dir() and path != segment.data:
            shutil.rmtree(path)
    return segment


def _is_whole(segment: Segment) -> bool:
    return all(
        (path := segment.data / file).is_file() and path.stat().st_size == num_bytes
        for file, num_bytes in segment.contents.file_bytes.items()
    )


def protect(index: Path) -> None:
    """Close the segments that an earlier version left open; those of other users are theirs."""
    for home in index.glob("[!.]*/"):
        for path in (home, *home.rglob("*")):
            state = path.lstat()
            is_open = not path.is_symlink() and state.st_mode & OWNER_ONLY
            if is_open and state.st_uid == os.geteuid():
                path.chmod(0o700 if path.is_dir() else 0o600)


def _copy(path: Path, target: Path) -> None:
    target.touch(mode=0o600)  # who opens it to write leaves the mode as it is
    shutil.copyfile(path, target)
    with target.open("rb+") as handle:
        os.fsync(handle.fileno())


def write_deleted(segment: Segment, deleted: pa.Table) -> None:
    """Replace the table of what was deleted; an empty one is no file."""
    path = segment.data / DELETED_NAME
    if not deleted.num_rows:
        path.unlink(missing_ok=True)
        return
    with arrow_writer(path, DELETED) as writer:
        writer.write_table(deleted)


def delete_segment(index: Path, name: str) -> int:
    """Take a segment out, a damaged one too: first what puts it in force, then its files.

    Returns its size in bytes. Raises `UsageError` where there is none of this name.
    """
    names = sorted(path.parent.name for path in index.glob(f"[!.]*/{SEGMENT_NAME}"))
    if name not in names:
        raise UsageError(f"{index}: got segment {name!r}, want one of {', '.join(names)}")
    home = index / name
    num_bytes = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    (home / SEGMENT_NAME).unlink()
    shutil.rmtree(home)
    return num_bytes


def deleted_again(old: Segment, files: Mapping[str, Path]) -> pa.Table:
    """What of a segment's new documents was deleted from the old one, by text: it stays deleted.

    Keys and ids may be of other documents now, where files have moved or rows come before.
    """
    path = old.data / DELETED_NAME
    if not path.is_file():
        return DELETED.empty_table()
    texts = read(path)["text_hash"].combine_chunks()
    return joined(list(numbers_of(files[DOCUMENTS_NAME], "text_hash", texts)))


def numbers_of(documents: Path, column: str, wanted: pa.Array) -> Iterator[pa.Table]:
    """Schema `DELETED`: the documents whose `column` is one of `wanted`, a batch at a time."""
    first = 0
    with pa.memory_map(str(documents)) as source:
        file = pa.ipc.open_file(source)
        for place in range(file.num_record_batches):
            batch = file.get_batch(place)
            rows = np.flatnonzero(
                pc.is_in(batch[column], value_set=wanted).to_numpy(zero_copy_only=False)
            )
            numbers = pa.array((rows + first).astype(np.uint32))
            hashes = batch["text_hash"].take(pa.array(rows))
            yield pa.table([numbers, hashes], schema=DELETED)
            first += batch.num_rows


def joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Deleted documents, each once, by number."""
    table = pa.concat_tables([DELETED.empty_table(), *parts]).combine_chunks()
    _, first = np.unique(table["number"].to_numpy(), return_index=True)
    return table.take(pa.array(first))
