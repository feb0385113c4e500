"""Folders of files of many kinds, of the text that a Python installation has."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.corpora import docstrings

NUM_DOCUMENTS = 60
CODE = '"""A module."""\n\n\ndef add(a, b):\n    """Their sum."""\n    return a + b\n'


def json_lines(folder: Path) -> None:
    """Two files, one of them compressed, with a broken line."""
    folder.mkdir(parents=True)
    rows = [
        {"doc_id": f"d{n}", "title": "A docstring", "body": text, "link": f"https://x.org/{n}"}
        for n, text in enumerate(docstrings()[:NUM_DOCUMENTS])
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "docs-0.jsonl").write_text("".join(lines[:30]) + "{broken\n")
    (folder / "docs-1.jsonl.gz").write_bytes(gzip.compress("".join(lines[30:]).encode()))


def parquet(folder: Path) -> None:
    """Two files with a text beside a longer page of it."""
    folder.mkdir(parents=True)
    texts = docstrings()[100 : 100 + NUM_DOCUMENTS]
    pages = [f"<html><body>{'<p class=x></p>' * 50}{text}</body></html>" for text in texts]
    ids = [f"p{n}" for n in range(len(texts))]
    table = pa.table({"id": ids, "html": pages, "text": texts, "lang": ["en"] * len(texts)})
    pq.write_table(table.slice(0, 30), folder / "part-0.parquet")
    pq.write_table(table.slice(30), folder / "part-1.parquet")


def pages(folder: Path) -> None:
    """HTML files in two folders."""
    for n, text in enumerate(docstrings()[200 : 200 + NUM_DOCUMENTS]):
        place = folder / ("old" if n % 2 else "new")
        place.mkdir(parents=True, exist_ok=True)
        body = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
        head = f"<!DOCTYPE html><html><head><title>Page {n}</title></head>"
        (place / f"page{n}.html").write_text(f"{head}<body>{body}</body></html>")


def texts(folder: Path) -> None:
    """Text files, one empty and one in another charset."""
    folder.mkdir(parents=True)
    for n, text in enumerate(docstrings()[300 : 300 + NUM_DOCUMENTS]):
        (folder / f"{n:03d}.txt").write_text(text)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "old.txt").write_bytes("Grüße, schöne Größe".encode("latin-1"))


def mixed(folder: Path) -> None:
    """All of these, programs, and what is no data."""
    json_lines(folder / "articles")
    parquet(folder / "table")
    pages(folder / "site")
    texts(folder / "notes")
    (folder / "code").mkdir()
    for n in range(5):
        (folder / "code" / f"module{n}.py").write_text(CODE.replace("sum", f"sum, {n} times"))
    (folder / "README.md").write_text("What this is.")
    (folder / ".hidden.jsonl").write_text('{"text": "not this"}\n')
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7 and more")


FOLDERS = {
    "jsonl": json_lines,
    "parquet": parquet,
    "html": pages,
    "text": texts,
    "mixed": mixed,
}
