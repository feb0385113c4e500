"""The texts that recipes share, from a corpus of documentation or from this Python environment."""

import io
import json
import sysconfig
from collections.abc import Iterator, Set
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import zip_longest
from pathlib import Path

import zstandard

from examples.recipes import german

SEED = 17
MAX_TEXT_CHARS = 20_000  # longer prose is cut and longer code left out: a small sample of many
MIN_TEXT_CHARS = 200  # shorter ones are labels
PROSE = frozenset({"prose", "html", "man"})

Row = dict[str, str]


@dataclass(frozen=True)
class Texts:
    """Rows of id and text; those of code have the path in the id."""

    english: list[Row]
    german: list[Row]
    code: list[Row]


def from_corpus(folder: Path, num_bytes: int) -> Texts:
    """About `num_bytes` of each, spread over `folder`/docs-*.jsonl.zst by their ids.

    A row has the fields id (hexadecimal), text, url, lang and kind.
    """
    rows = _in_order_of_ids(folder)
    return Texts(
        english=list(_until(num_bytes, _of(rows, "en", PROSE))),
        german=list(_until(num_bytes, _of(rows, "de", PROSE))),
        code=list(_until(num_bytes, _of(rows, "python", {"code"}), is_code=True)),
    )


def _of(rows: list[Row], language: str, kinds: Set[str]) -> Iterator[Row]:
    """Those of a language and kind, with the path at the end of the id."""
    for row in rows:
        if row["lang"] == language and row["kind"] in kinds:
            yield {"id": f"{row['id']}/{row['url'].partition('://')[2]}", "text": row["text"]}


def _in_order_of_ids(folder: Path) -> list[Row]:
    """All German, of the others a sixteenth, sorted by id: so that no kind comes first."""
    paths = sorted(folder.glob("docs-*.jsonl.zst"))
    if not paths:
        raise SystemExit(f"{folder}: no docs-*.jsonl.zst here; want id, text, url, lang and kind")
    rows = (row for path in paths for row in _rows(path))
    chosen = [row for row in rows if row["id"].startswith("7") or row["lang"] == "de"]
    return sorted(chosen, key=lambda row: row["id"])


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as compressed:
        stream = zstandard.ZstdDecompressor().stream_reader(compressed)
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))


def from_environment(num_bytes: int) -> Texts:
    """About `num_bytes` of each: the standard library, what packages say, German of our own."""
    reports = german.reports(max(1, num_bytes // 1000), SEED)
    return Texts(
        english=list(_until(num_bytes, _english())),
        german=[{"id": f"report-{n}", "text": text} for n, text in enumerate(reports)],
        code=list(_until(num_bytes, _modules(), is_code=True)),
    )


def _until(num_bytes: int, rows: Iterator[Row], *, is_code: bool = False) -> Iterator[Row]:
    """The first rows of so many bytes; half a module would not parse, half a page is a page."""
    for row in rows:
        text = row["text"][:MAX_TEXT_CHARS]
        if is_code and len(row["text"]) > len(text):
            continue
        yield {"id": row["id"], "text": text}
        num_bytes -= len(text.encode("utf-8", "replace"))
        if num_bytes <= 0:
            return


def _english() -> Iterator[Row]:
    """Topics of the language reference that `help()` shows, and READMEs of installed packages."""
    from pydoc_data.topics import topics

    readmes = {item.name: str(item.metadata.get_payload()).strip() for item in distributions()}
    both = zip_longest(sorted(topics.items()), sorted(readmes.items()), fillvalue=("", ""))
    for pair in both:
        for kind, (name, text) in zip(("topic", "readme"), pair, strict=True):
            if len(text) > MIN_TEXT_CHARS:
                yield {"id": f"{kind}/{name}", "text": text}


def _modules() -> Iterator[Row]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.glob("*.py")):
        yield {"id": f"stdlib/{path.name}", "text": path.read_text(encoding="utf-8")}
