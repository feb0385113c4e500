"""What each file is: opened where there are few, else as most of those that were opened."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import SourceError
from pipeline.initialising.columns import columns_of
from pipeline.initialising.fields import Fields, guess_fields
from pipeline.initialising.heads import Head, count_lines, read_head
from pipeline.initialising.listing import File, Listing
from pipeline.initialising.rows import COUNTED_BYTES, DAMAGE, NUM_ROWS, Row, first_rows, rows_of
from pipeline.initialising.sniffing import Sniffed, sniff
from pipeline.sources.hf import SAVED

NUM_OPENED = 1000
LONG_ROW_BYTES = 16 << 20  # a book; more than the manifest's max_document_bytes
TABLES = ("jsonl", "parquet", "arrow", "csv", "tsv")
# A file of so many bytes, or of lines that are paragraphs, holds a document a line.
LINE_FILE_BYTES = 10_000_000
PARAGRAPH_CHARS, MIN_LINES = 200, 50


@dataclass(frozen=True, slots=True)
class Looked:
    """One file: `format` is None where it is not read, and `why` says why."""

    file: File
    format: str | None
    why: str = ""
    language: str | None = None  # of a program
    dataset: str | None = None  # builder or folder, where the format is hf
    fields: Fields | None = None
    rows: Sequence[Row] = ()
    num_rows: float = 1.0
    is_exact: bool = True
    num_broken: int = 0
    is_opened: bool = True
    compression: str | None = None
    is_per_line: bool = False


def look(listing: Listing, *, has_template: bool) -> list[Looked]:
    """Every file, in the order of the listing, and then the folders that `datasets` saved."""
    classes: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in listing.files:
        classes[file.folder, file.suffix.lower()].append(file)
    room = max(3, NUM_OPENED // max(1, len(classes)))
    found: dict[str, Looked] = {}
    for files in classes.values():
        opened = {file.relative: look_at(file, has_template) for file in _spread(files, room)}
        found |= opened
        typical = _typical(list(opened.values()))
        found |= {f.relative: _assumed(f, typical) for f in files if f.relative not in opened}
    saved = [look_at_saved(listing, name, has_template) for name in listing.saved]
    return [found[file.relative] for file in listing.files] + saved


def _spread(files: Sequence[File], number: int) -> Iterator[File]:
    """So many of them, evenly."""
    step = max(1.0, len(files) / number)
    yield from (files[int(n * step)] for n in range(min(number, len(files))))


def _typical(looked: Sequence[Looked]) -> Looked:
    """One of those that most are like."""
    kinds = Counter(_kind(one) for one in looked)
    most = kinds.most_common(1)[0][0]
    return next(one for one in looked if _kind(one) == most)


def _kind(one: Looked) -> tuple[object, ...]:
    return one.format, one.language, one.fields.kind if one.fields else ()


def _assumed(file: File, typical: Looked) -> Looked:
    rows_per_byte = typical.num_rows / max(1, typical.file.size_bytes)
    is_row_file = typical.format in (*TABLES, "warc") or typical.is_per_line
    return Looked(
        file=file,
        format=typical.format,
        why=typical.why,
        language=typical.language,
        dataset=typical.dataset,
        fields=typical.fields,
        num_rows=rows_per_byte * file.size_bytes if is_row_file else 1.0,
        is_exact=not is_row_file,
        is_opened=False,
        is_per_line=typical.is_per_line,
    )


def look_at(file: File, has_template: bool) -> Looked:
    """Open one file and read its beginning."""
    try:
        head = read_head(file)
    except (SourceError, OSError) as exc:
        return Looked(file, None, f"cannot be read: {exc}")
    sniffed = sniff(file, head)
    if sniffed.format in TABLES:
        return _look_at_rows(file, sniffed, head, has_template)
    if sniffed.dataset is not None:
        return _look_at_dataset(file, sniffed, has_template)
    num_rows, is_exact = 1.0, True
    is_per_line = sniffed.format == "text" and sniffed.language is None and _is_per_line(file, head)
    if is_per_line:
        counted = count_lines(file, COUNTED_BYTES)
        num_rows, is_exact = counted.num_lines, counted.is_exact
    elif sniffed.format == "warc":
        pages = sum(head.data.count(kind) for kind in (b"Type: response", b"Type: conversion"))
        num_rows, is_exact = max(1, pages) / head.share(file), head.is_whole
    return Looked(
        file=file,
        format=sniffed.format,
        why=sniffed.why,
        language=sniffed.language,
        num_rows=num_rows,
        is_exact=is_exact,
        compression=head.compression,
        is_per_line=is_per_line,
    )


def _look_at_rows(file: File, sniffed: Sniffed, head: Head, has_template: bool) -> Looked:
    assert sniffed.format is not None
    try:
        found = first_rows(file, sniffed.format, head)
        if not found.rows and not head.is_whole:
            head = read_head(file, LONG_ROW_BYTES)
            found = first_rows(file, sniffed.format, head)
    except DAMAGE as exc:
        return Looked(file, None, f"damaged {sniffed.format}: {str(exc)[:120]}")
    if not found.rows:
        within = "" if head.is_whole else f" within its first {LONG_ROW_BYTES >> 20} MB"
        return Looked(file, None, f"{sniffed.format} without a row{within}")
    fields = guess_fields(columns_of(found.rows), has_template=has_template)
    return Looked(
        file=file,
        format=sniffed.format if fields.kind else None,
        why=fields.why,
        fields=fields,
        rows=found.rows,
        num_rows=found.num_rows or 0.0,
        is_exact=found.is_exact,
        num_broken=found.num_broken,
        compression=head.compression,
    )


def _is_per_line(file: File, head: Head) -> bool:
    """Whether a file of text is one document a line: paragraphs that no blank line parts."""
    if file.size_bytes > LINE_FILE_BYTES or (
        head.compression and not head.is_whole and file.size_bytes > LINE_FILE_BYTES // 4
    ):
        return True
    lines = head.data.split(b"\n")
    filled = [line for line in lines if line.strip()]
    lengths = sorted(map(len, filled))
    return (
        len(filled) >= MIN_LINES
        and len(filled) >= 0.95 * (len(lines) - 1)
        and lengths[len(lengths) // 2] >= PARAGRAPH_CHARS
    )


def _look_at_dataset(file: File, sniffed: Sniffed, has_template: bool) -> Looked:
    """A JSON array of objects, which `datasets` reads."""
    import datasets

    try:
        whole = datasets.load_dataset("json", data_files=str(file.path), split="train")
        rows = rows_of(whole.with_format("arrow")[: min(NUM_ROWS, whole.num_rows)])
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as exc:
        return Looked(file, None, f"a JSON array that `datasets` cannot read ({exc})"[:200])
    fields = guess_fields(columns_of(rows), has_template=has_template)
    return Looked(
        file=file,
        format="hf" if fields.kind else None,
        why=fields.why,
        dataset="json",
        fields=fields,
        rows=rows,
        num_rows=whole.num_rows,
    )


def look_at_saved(listing: Listing, name: str, has_template: bool) -> Looked:
    """A folder that `datasets` saved."""
    import datasets

    folder = listing.root / name
    num_bytes = sum(path.stat().st_size for path in folder.glob("*.arrow"))
    file = File(folder / SAVED, f"{name}/{SAVED}", num_bytes)
    try:
        whole = datasets.load_from_disk(str(folder))
        rows = rows_of(whole.with_format("arrow")[: min(NUM_ROWS, whole.num_rows)])
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as exc:
        return Looked(file, None, f"a folder of `datasets` that cannot be loaded ({exc})"[:200])
    fields = guess_fields(columns_of(rows), has_template=has_template)
    return Looked(
        file=file,
        format="hf" if fields.kind else None,
        why=fields.why,
        dataset=name or ".",
        fields=fields,
        rows=rows,
        num_rows=whole.num_rows,
    )
