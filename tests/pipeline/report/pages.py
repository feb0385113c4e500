"""Small finished outputs for the report, and its page as a tree that tests can ask."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from pipeline.report.html.build import build
from tests.pipeline.corpora import docstrings, near_copy
from tests.pipeline.here import run_here, small_manifest

Rows = Sequence[dict[str, Any]]


def write_rows(path: Path, rows: Rows, *raw: bytes) -> None:
    """JSON lines, and after them lines that may be none."""
    lines = [json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join([*lines, *raw]) + b"\n")


def full_manifest(tokenizer: Path, **more: Any) -> dict[str, Any]:
    """Two sources and one that has no documents; filters, duplicates, a validation split."""
    manifest = small_manifest(tokenizer, **more)
    manifest.pop("dedup", None)
    manifest["sources"].append({"name": "nothing", "format": "jsonl", "paths": ["nothing.jsonl"]})
    for source in manifest["sources"]:
        source["validation_fraction"] = 0.1
    return manifest


def fill(folder: Path) -> None:
    """Docstrings with copies, some in other letters, and rows that cannot be read."""
    texts = docstrings()[:160]
    domain = [{"id": f"d{n}", "text": text[: 40 + 17 * n]} for n, text in enumerate(texts[:80])]
    general = [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[80:])]
    copies = [{"id": f"c{n}", "text": row["text"]} for n, row in enumerate(general[:9])]
    near = [{"id": f"n{n}", "text": near_copy(r["text"], n)} for n, r in enumerate(general[9:20])]
    write_rows(folder / "domain.jsonl", domain, b"not json", b'{"id": 1}')
    write_rows(folder / "general.jsonl", [*general, *copies, *near])
    (folder / "nothing.jsonl").write_bytes(b"")


def finished(folder: Path, manifest: dict[str, Any]) -> Path:
    """Run the manifest; the output."""
    run_here(folder, manifest)
    return folder / "out"


def page(out: Path) -> LexborHTMLParser:
    """The report of an output, parsed as a browser would."""
    return LexborHTMLParser(build(out).html)


def rows_of(tree: LexborHTMLParser, section: str, table: int = 0) -> list[list[str]]:
    """The texts of the cells of a table of a section, row by row, the head first."""
    found = tree.css(f"#{section} table")[table]
    return [[cell.text().strip() for cell in row.css("th, td")] for row in found.css("tr")]


def number(cell: str) -> int:
    """A count as the page writes it; nothing is 0."""
    return int(cell.replace(",", "") or 0)
