"""The format of a file is found by its contents, whatever it is called."""

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.initialising.heads import HEAD_BYTES, count_lines, read_head
from pipeline.initialising.listing import File
from pipeline.initialising.sniffing import Sniffed, sniff

ROWS = b'{"text": "one"}\n{"text": "two"}\n'


def file_of(folder: Path, name: str, data: bytes) -> File:
    path = folder / name
    path.write_bytes(data)
    return File(path, name, len(data))


def sniffed(folder: Path, name: str, data: bytes) -> Sniffed:
    file = file_of(folder, name, data)
    return sniff(file, read_head(file))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.txt", ROWS, "jsonl"),
        ("a.json", ROWS[:16], "jsonl"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n' + ROWS, "jsonl"),  # one line that is not UTF-8
        ("a.jsonl", b"not json\n" + ROWS, "jsonl"),
        ("a.json", b'[{"text": "one"},\n {"text": "two"}]', "hf"),
        ("a.json", b'{\n  "name": "settings"\n}\n', None),
        ("a.txt", b"Only words.\n", "text"),
        ("a", b"<!DOCTYPE html><html><body>Hi</body></html>", "html"),
        ("a.html", "<html><body>Größe".encode("latin-1"), "html"),
        ("a.txt", "Größe".encode("latin-1"), None),
        ("a.py", b"import os\n", "text"),
        ("a.warc", b"WARC/1.0\r\nWARC-Type: response\r\n", "warc"),
        ("a.csv", b"id,text\n1,one\n2,two\n", "csv"),
        ("a.csv", b"id\ttext\n1\tone\n2\ttwo\n", "tsv"),
        ("a.csv", b"id;text\n1;one\n2;two\n", None),
        ("a.csv", b"1,one\n2,two\n", None),  # without names
        ("a.xml", b"<?xml version='1.0'?><a/>", None),
        ("a.bin", bytes(range(256)) * 10, None),
        ("a.pdf", b"%PDF-1.4", None),
        ("a.csv", b"id,text\r1,one\r2,two\r", "csv"),  # lines end as on an old Mac
        ("a.json", b'["one", "two"]', None),
        ("a.ipynb", b'{\n "cells": []\n}\n', None),
        ("a.rtf", b"{\\rtf1 Words.}", None),
        ("a.html", "<html><body>Hi".encode("utf-16"), "html"),
    ],
)
def test_format_is_what_the_contents_are(
    tmp_path: Path, name: str, data: bytes, kind: str | None
) -> None:
    found = sniffed(tmp_path, name, data)
    assert found.format == kind, found
    assert (found.why == "") == (kind is not None)


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_text_of_wide_characters_is_named_with_the_way_to_convert_it(
    tmp_path: Path, codec: str
) -> None:
    found = sniffed(tmp_path, "a.txt", "Only words.\n".encode(codec))
    assert found.format is None
    assert f"iconv -f {codec.upper()} " in found.why


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes]
)
def test_compression_is_found_whatever_the_name_says(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    assert sniffed(tmp_path, "rows.dat", pack(ROWS)).format == "jsonl"


def test_tables_of_arrow_and_parquet_are_found_without_a_name(tmp_path: Path) -> None:
    table = pa.table({"text": ["one"]})
    pq.write_table(table, tmp_path / "a")
    with pa.ipc.new_file(tmp_path / "b", table.schema) as writer:
        writer.write_table(table)
    for name, kind in (("a", "parquet"), ("b", "arrow")):
        file = File(tmp_path / name, name, (tmp_path / name).stat().st_size)
        assert sniff(file, read_head(file)).format == kind


def test_only_the_beginning_of_a_large_file_is_held(tmp_path: Path) -> None:
    file = file_of(tmp_path, "big.jsonl", ROWS * 200_000)
    head = read_head(file)
    assert HEAD_BYTES <= len(head.data) < 3 * HEAD_BYTES
    assert not head.is_whole
    about = count_lines(file, HEAD_BYTES)
    assert not about.is_exact
    assert about.num_lines == pytest.approx(400_000, rel=0.05)
    assert count_lines(file, 1 << 30).num_lines == 400_000


def test_row_longer_than_the_head_is_still_a_row(tmp_path: Path) -> None:
    data = b'{"text": "' + b"word " * HEAD_BYTES + b'"}\n'
    assert sniffed(tmp_path, "long.jsonl", data).format == "jsonl"
