"""What format a file has, by its contents; its name only decides between what these allow."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass

from filters.parsing.programming_languages import EXTENSIONS
from pipeline.initialising.heads import Head
from pipeline.initialising.listing import File
from pipeline.sources.arrow import MAGIC as ARROW_MAGIC

PROSE = frozenset({"html", "json", "markdown", "restructuredtext", "roff", "tex", "text", "xml"})
CODE = {
    suffix: language
    for language, suffixes in EXTENSIONS.items()
    if language not in PROSE | {"toml", "yaml"}
    for suffix in suffixes
}
# What begins like this is data, but none that a reader knows; and what to do about it.
FOREIGN = (
    (b"%PDF", "PDF", "take the text out of it first, as with pdftotext"),
    (b"PK\x03\x04", "a zip archive (or an office document)", "unpack it, or save it as text"),
    (b"\xd0\xcf\x11\xe0", "an office document", "save it as text"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"SQLite format 3", "an SQLite database", "export its tables as JSON lines"),
    (b"Obj\x01", "Avro", "convert it to Parquet"),
    (b"ORC", "ORC", "convert it to Parquet"),
    (b"{\\rtf", "RTF", "save it as text"),
    (b"%!PS", "PostScript", "take the text out of it first, as with ps2ascii"),
    (b"\x89PNG", "an image", ""),
    (b"\xff\xd8\xff", "an image", ""),
    (b"GIF8", "an image", ""),
    (b"\x93NUMPY", "a numpy array", ""),
    (b"\x80", "a pickle", "it can run code: convert it where it comes from"),
)
HTML = re.compile(rb"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]", re.IGNORECASE)
HTML_WITHIN = 4096  # comments and an XML declaration may stand before it
CONTROLS = bytes(set(range(32)) - {8, 9, 10, 12, 13, 27})
MAX_CONTROLS = 0.001
MIN_ROWS = 2
NUMBER = re.compile(r"\s*-?\d+([.,]\d+)?\s*")
MAX_NAME_CHARS = 64  # of a column


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`format` is one of the manifest's, or None: then `why` says what it is and what to do.

    `dataset` is the builder of `datasets` that reads it, where the format is hf.
    """

    format: str | None
    why: str = ""
    language: str | None = None  # of a program
    dataset: str | None = None


def sniff(file: File, head: Head) -> Sniffed:
    """What to read a file as."""
    data = head.data.removeprefix(b"\xef\xbb\xbf")
    if head.damage is not None and not data:
        return Sniffed(None, f"damaged: {head.damage}")
    for magic, what, cure in FOREIGN:
        if data.startswith(magic):
            return Sniffed(None, f"{what}; {cure}" if cure else what)
    if data[257:262] == b"ustar":
        return Sniffed(None, "a tar archive; unpack it")
    if (binary := _binary(file, head, data)) is not None:
        return binary
    if data.startswith(b"WARC/"):
        return Sniffed("warc")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _wide(data)
    if (text := _decoded(data, head.is_whole)) is None:
        return _undecodable(data, head)
    if (found := _json(text.lstrip(), head, file)) is not None:
        return found
    return _plain(file, data, text, head)


def _binary(file: File, head: Head, data: bytes) -> Sniffed | None:
    is_parquet, is_arrow = data.startswith(b"PAR1"), data.startswith(ARROW_MAGIC)
    is_arrow |= data.startswith(b"\xff\xff\xff\xff") and file.relative.endswith((".arrow", ".ipc"))
    if not is_parquet and not is_arrow:
        return None
    if head.compression is not None:
        return Sniffed(
            None, f"a file compressed as {head.compression} that is random access: decompress it"
        )
    return Sniffed("parquet" if is_parquet else "arrow")


def _decoded(data: bytes, is_whole: bool) -> str | None:
    """As UTF-8; the last character may be cut. None for what is no text in it."""
    for cut in range(0 if is_whole else 4):
        try:
            return _text(data[: len(data) - cut])
        except UnicodeDecodeError:
            continue
    try:
        return _text(data)
    except UnicodeDecodeError:
        return None


def _text(data: bytes) -> str | None:
    num_controls = len(data) - len(data.translate(None, CONTROLS))
    return None if num_controls > MAX_CONTROLS * len(data) else data.decode("utf-8")


def _wide(data: bytes) -> Sniffed:
    """Text of two or four bytes a character, as Excel and Windows' editor save it."""
    if HTML.search(data[:HTML_WITHIN].replace(b"\0", b"")):
        return Sniffed("html")
    bits = 32 if data.startswith(b"\xff\xfe\0\0") else 16
    return Sniffed(None, f"text in UTF-{bits}; convert it, as with iconv -f UTF-{bits} -t UTF-8")


def _undecodable(data: bytes, head: Head) -> Sniffed:
    """Pages declare their charset and are decoded; of lines, only the broken ones are lost."""
    if HTML.search(data[:HTML_WITHIN]):
        return Sniffed("html")
    if data.count(b"\0") > MAX_CONTROLS * len(data) and not data.startswith((b"\xff\xfe", b"\xfe")):
        return Sniffed(None, "binary, of a format that is not known")
    lines = data.splitlines()[: 200 if head.is_whole else -1]
    num_objects = sum(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines)
    if num_objects > len(lines) / 2:
        return Sniffed("jsonl")
    return Sniffed(
        None, "text that is not UTF-8; convert it, as with iconv -f WINDOWS-1252 -t UTF-8"
    )


def _json(text: str, head: Head, file: File) -> Sniffed | None:
    if text.startswith("{") and file.suffix == ".ipynb":
        return Sniffed(
            None, "a notebook; write it as text, as with jupyter nbconvert --to markdown"
        )
    lines = [line for line in text.split("\n") if line.strip()]
    whole = lines if head.is_whole or len(lines) == 1 else lines[:-1]
    num_objects = sum(line.lstrip().startswith("{") and _is_object(line) for line in whole[:200])
    if num_objects and num_objects >= min(len(whole), 200) / 2:
        return Sniffed("jsonl")
    if not head.is_whole and len(lines) == 1 and text.startswith("{"):
        return Sniffed("jsonl")  # one row that is longer than the head
    if text.startswith("[") and re.match(r"\[\s*\{\s*\"", text):
        return Sniffed("hf", dataset="json")
    if text.startswith("[") and file.suffix.startswith(".json"):
        return Sniffed(
            None,
            "a JSON array of no objects; want one object a line, as by jq -c '.[] | {text: .}'",
        )
    if text.startswith("{") and file.suffix.startswith(".json"):
        return Sniffed(None, "one JSON object over many lines; want one object a line, as by jq -c")
    return None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _plain(file: File, data: bytes, text: str, head: Head) -> Sniffed:
    name = file.suffix.split(".")[1].lower() if file.suffix else ""
    is_page = bool(HTML.search(data[:HTML_WITHIN]))
    if is_page and (name in ("html", "htm", "xhtml", "php", "asp", "") or text.lstrip()[:1] == "<"):
        return Sniffed("html")
    if name in CODE:
        return Sniffed("text", language=CODE[name])
    if text.lstrip().startswith("<?xml") or (name == "xml" and text.lstrip()[:1] == "<"):
        return Sniffed(None, "XML; take the text out of it first")
    if name in ("csv", "tsv", "tab", "psv"):
        return _delimited(text, head)
    if name in ("html", "htm", "xhtml"):
        return Sniffed("html")
    return Sniffed("text")


def _delimited(text: str, head: Head) -> Sniffed:
    found = Counter({mark: _num_columns(text, mark) for mark in ",\t;|"})
    mark, num_columns = found.most_common(1)[0]
    if num_columns < 2:
        mark = ","
    if mark in ";|":
        return Sniffed(
            None,
            f"a table with {mark!r} between its values; want commas or tabs, as by "
            f"csvformat -d {mark!r} of csvkit",
        )
    rows = table_rows(text, mark, is_whole=head.is_whole)
    if not rows or not _is_header(rows[0]):
        return Sniffed(None, "a table without a row of names at its top; add one")
    return Sniffed("tsv" if mark == "\t" else "csv")


def _is_header(cells: list[str]) -> bool:
    """Whether a row may be that of the names: short, and no numbers; pandas leaves one empty."""
    named = [cell for cell in cells if cell.strip()]
    return (
        len(named) >= max(1, len(cells) - 1)
        and len(set(named)) == len(named)
        and all(len(cell) <= MAX_NAME_CHARS and not NUMBER.fullmatch(cell) for cell in named)
    )


def _num_columns(text: str, mark: str) -> int:
    """Values of a row where all of the first rows have as many, else 0."""
    rows = table_rows(text[: 1 << 16], mark, is_whole=False)[:20]
    lengths = Counter(map(len, rows))
    if not lengths:
        return 0
    most, number = lengths.most_common(1)[0]
    return most if number > len(rows) / 2 else 0


def table_rows(text: str, mark: str, *, is_whole: bool) -> list[list[str]]:
    """Rows of a table, the row of names first; the last one is left out where it may be cut."""
    csv.field_size_limit(1 << 30)
    rows = [row for row in csv.reader(io.StringIO(text, None), delimiter=mark) if row]
    return rows if is_whole or len(rows) < MIN_ROWS else rows[:-1]
