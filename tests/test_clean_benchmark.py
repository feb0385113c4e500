"""What the benchmark of cleaning takes for which kind of text, and what it reads of archives."""

import json
from pathlib import Path

import pyarrow as pa
import zstandard

from benchmarks import clean

PAGE = "<!DOCTYPE html><html><head><title>T</title></head><body><p>Größe {}</p></body></html>"


def test_a_text_is_cjk_where_a_third_of_its_characters_are() -> None:
    texts = ["plain", "漢字とかな", "漢 and ten more", "Größe", "한국어 a"]
    kinds = clean.kinds_of([pa.array(texts[:2]), pa.array(texts[2:])])
    assert {name: pa.concat_arrays(found).to_pylist() for name, found in kinds.items()} == {
        "ASCII": ["plain"],
        "CJK": ["漢字とかな", "한국어 a"],
        "all": texts,
    }


def test_batches_hold_all_texts_in_order() -> None:
    texts = pa.array([f"text {n}" for n in range(2 * clean.ROW_BATCH + 1)])
    batches = clean.batches_of(texts)
    assert [len(batch) for batch in batches] == [clean.ROW_BATCH, clean.ROW_BATCH, 1]
    assert pa.concat_arrays(batches) == texts


def test_a_kind_without_texts_has_no_row() -> None:
    rows = list(clean.measure_text([pa.array(["plain"] * 10)]))
    assert [row[0].split(",")[1] for row in rows] == [" ASCII", " all"]
    assert rows[0][2] == ">= 100 MB/s"


def test_pages_are_those_of_the_first_file(tmp_path: Path) -> None:
    assert clean.pages_of(tmp_path) is None
    pages = [PAGE.format(n) for n in range(20)]
    lines = "".join(json.dumps({"html": page}) + "\n" for page in pages).encode()
    (tmp_path / "html-000.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "html-001.jsonl.zst").write_bytes(b"")
    assert clean.pages_of(tmp_path).to_pylist() == pages
    assert len(clean.first(pa.array(pages), 10 * len(pages[0].encode()) / 1e6)) in (10, 11)


def test_an_archive_of_pages_is_read_to_the_last() -> None:
    pages = pa.array([PAGE.format(n) for n in range(20)])
    assert clean.archive_rate(pages, "warc.gz") > 0
    assert clean.archive_rate(pages, "warc") > 0
