"""An erased document is known again wherever refining puts it, as a row that is quarantined too."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.erasing.matching import Matcher
from pipeline.erasing.tombstones import (
    DOCUMENT,
    QUARANTINED,
    Tombstone,
    Tombstones,
    name_digest,
)
from pipeline.files import arrow_writer
from pipeline.keys import hash_values
from pipeline.sources.schema import QUARANTINE
from tests.pipeline.corpora import Corpus, base_manifest, docstrings
from tests.pipeline.erasing.outputs import document, erase, holding, verify

WORKERS = ("--workers", "1")
HERE = {("a", "a.jsonl"): "1f"}


def _rows(*rows: tuple[int, bytes | None], source: str = "a") -> pa.RecordBatch:
    """Quarantined rows of one file."""
    values = [(source, f"{source}.jsonl", row, "clean", "too_large", "", raw) for row, raw in rows]
    columns = zip(*values, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, QUARANTINE, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE)


def _hash(text: bytes) -> str:
    digest: bytes = hash_values(pa.array([text]))[0].as_py()
    return digest.hex()


def _stone(**values: Any) -> Tombstone:
    known = {"source": "a", "key": _hash(b"key"), "kind": DOCUMENT, "id": None, "contents": None}
    known |= {"text_hash": _hash(b"text"), "place": name_digest("a", "a.jsonl#7")}
    return Tombstone(**{**known, **values})


def _found(stone: Tombstone, rows: pa.RecordBatch, source: str = "a") -> list[bool]:
    matcher = Matcher(Tombstones.of([stone]), HERE, {"a": "id"})
    found: list[bool] = matcher.quarantined(rows, source).tolist()
    return found


def test_a_quarantined_row_is_known_by_its_place_while_its_file_is_the_same() -> None:
    rows = _rows((7, b"other bytes"), (8, b"more"), (7, None))
    assert _found(_stone(contents="1f"), rows) == [True, False, True]
    assert _found(_stone(contents="2e"), rows) == [False] * 3
    assert _found(_stone(contents=None), rows) == [False] * 3


def test_a_quarantined_row_is_known_by_its_bytes_wherever_they_stand() -> None:
    rows = _rows((3, b"text"), (4, None), (5, b""), (6, b"texts"))
    assert _found(_stone(), rows) == [True, False, False, False]
    assert _found(_stone(kind=QUARANTINED), rows) == [True, False, False, False]
    nothing = _stone(kind=QUARANTINED, text_hash=_hash(b""))
    assert _found(nothing, rows) == [False] * 4, "what has no bytes is not like another"
    moved = _rows((3, b"text"), source="b")
    assert _found(_stone(kind=QUARANTINED), moved, "b") == [True]


@pytest.mark.parametrize(
    ("raw", "is_it"),
    [
        (b'{"id": "d1"}', True),
        (b'{"text": "cut off, "id" : "d1"', True),
        (b'{"id": "d\\u0031", "text": 1}', True),
        (b'{"id": "d11"}', False),
        (b'{"text": "\\"id\\": \\"d1\\""}', False),
        (b'{"of": {"id": "d1"}}', False),
        (b'["d1"]', False),
        (b'{"id": null}', False),
        (b"\xff", False),
        (None, False),
    ],
)
def test_a_quarantined_line_is_known_by_the_id_in_it(raw: bytes | None, is_it: bool) -> None:
    stone = _stone(id=name_digest("a", "d1"), place=name_digest("a", "a.jsonl#1"))
    assert _found(stone, _rows((3, raw))) == [is_it]


def test_a_blank_row_is_not_erased_again() -> None:
    nothing = _stone(contents="1f", place=name_digest("a", "a.jsonl#-1"))
    assert _found(nothing, _rows((-1, b"x"))) == [False]


@pytest.mark.slow
def test_a_document_that_another_limit_quarantines_is_blank(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    values = base_manifest(tokenizer_folder)
    values |= {"sources": values["sources"][:1], "filters": []}
    values["limits"] = {"max_quarantined_fraction": 0.5, "max_document_bytes": 100_000}
    corpus = Corpus(tmp_path, values)
    texts = sorted(docstrings()[:40], key=len)
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    secret = "zoe.quirk "
    corpus.write("domain.jsonl", [{"id": "large", "text": secret * 900}, *rows])
    corpus.prepare(*WORKERS)
    assert erase(corpus, "large") == 0
    values["limits"]["max_document_bytes"] = 8_000
    corpus.prepare(*WORKERS)
    assert holding(corpus.out, secret.encode()) == {}
    assert json.loads((corpus.out / "ledger.json").read_text())["domain"]["num_erased"] == 1
    quarantined = corpus.table("quarantined").to_pylist()
    assert [(row["source_row"], row["raw"]) for row in quarantined] == [(-1, None)]
    assert verify(corpus, "large") == 0


@pytest.mark.slow
def test_verify_finds_an_erased_document_and_a_name_among_quarantined_rows(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    row = document(corpus, "d3", "source_row")
    assert erase(corpus, "d3") == 0
    stray = corpus.out / "refined" / "domain" / "stray.quarantined.arrow"
    for raw, name, is_left in [(b"zoe", "", True), (b'{"id": "d990"}', "d990", False)]:
        place = ("domain", "domain.jsonl", row if is_left else 10**9)
        batch = pa.RecordBatch.from_pylist(
            [dict(zip(QUARANTINE.names, (*place, "clean", "too_large", "", raw), strict=True))],
            schema=QUARANTINE,
        )
        with arrow_writer(stray, QUARANTINE) as writer:
            writer.write_batch(batch)
        assert verify(corpus) == int(is_left)
        if name:
            assert verify(corpus, name) == 1
            assert "of source domain have a name of --ids" in capsys.readouterr().err
    assert erase(corpus, "d3") == 0
    assert verify(corpus, "d3") == 0
