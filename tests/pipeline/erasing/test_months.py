"""Two corpora of one index with the same ids, as two crawls of one site have them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, near_copy
from tests.pipeline.erasing.outputs import erase, holding, tombstones, verify

pytestmark = pytest.mark.slow  # each test is several runs

TEXTS = docstrings()[:24]


def _manifest(name: str, tokenizer_folder: Path) -> dict[str, Any]:
    values = base_manifest(tokenizer_folder)
    values |= {"name": name, "sources": values["sources"][:1], "filters": []}
    values["dedup"] = {"index": "../index", "minhash": {"signatures": True}}
    return values


def _month(folder: Path, name: str, tokenizer_folder: Path) -> Corpus:
    made = Corpus(folder / name, _manifest(name, tokenizer_folder))
    made.folder.mkdir()
    return made


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("months")
    may = _month(folder, "may", tokenizer_folder)
    may.write("domain.jsonl", [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS[:12])])
    may.prepare("--workers", "1")
    june = _month(folder, "june", tokenizer_folder)
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS[:4])]
    rows += [{"id": "other-4", "text": TEXTS[4]}]
    rows += [{"id": "near-5", "text": near_copy(TEXTS[5], 5)}]
    rows += [{"id": f"j{n}", "text": text} for n, text in enumerate(TEXTS[12:])]
    june.write("domain.jsonl", rows)
    june.prepare("--workers", "1")
    return folder


@pytest.fixture
def may_and_june(prepared: Path, tmp_path: Path, tokenizer_folder: Path) -> tuple[Corpus, Corpus]:
    folder = shutil.copytree(prepared, tmp_path / "copy")
    may, june = (
        Corpus(folder / name, _manifest(name, tokenizer_folder)) for name in ("may", "june")
    )
    return may, june


def _removed_for(june: Corpus) -> list[str | None]:
    return june.removals()["survivor_id"].to_pylist()


def test_an_id_that_the_document_of_the_other_month_has_too_is_gone(
    may_and_june: tuple[Corpus, Corpus],
) -> None:
    _, june = may_and_june
    assert "d1" in _removed_for(june)
    assert erase(june, "d1") == 0
    assert "d1" not in _removed_for(june)
    assert "d2" in _removed_for(june)
    assert verify(june, "d1") == 0


def test_copies_of_a_document_of_the_other_month_go_by_its_id(
    may_and_june: tuple[Corpus, Corpus], capsys: pytest.CaptureFixture[str]
) -> None:
    _, june = may_and_june
    assert verify(june, "d4", "d5") == 1
    assert erase(june, "d4", "d5") == 0
    told = capsys.readouterr().out
    assert "erased 0 documents, 1 copies" in told
    assert "near-5 of domain" in told
    assert {"d4", "d5"}.isdisjoint(_removed_for(june))
    kept = june.table("kept")["id"].to_pylist()
    assert "other-4" not in kept
    assert "near-5" in kept
    assert verify(june, "d4", "d5", "other-4") == 0
    assert erase(june, "d4") == 0
    assert "1 were erased before" in capsys.readouterr().out


def test_the_other_month_is_named_with_how_many_of_it_would_come_back(
    may_and_june: tuple[Corpus, Corpus], capsys: pytest.CaptureFixture[str]
) -> None:
    may, june = may_and_june
    assert erase(may, "d4", "d6") == 0
    told = capsys.readouterr().out
    assert "1 document of it went for them" in told
    assert erase(june, "d4", "d6", ignore_missing=True) == 0
    june.prepare("--workers", "1")
    assert "other-4" not in june.table("kept")["id"].to_pylist()
    assert verify(june, "d4", "other-4") == 0


def test_what_was_deleted_from_the_index_before_is_blank_there_too(
    may_and_june: tuple[Corpus, Corpus],
) -> None:
    may, june = may_and_june
    index, ids = june.folder.parent / "index", june.folder / "deleted.txt"
    ids.write_text("d7\n")
    assert main(["index", str(index), "--delete-ids", str(ids)]) == 0
    assert erase(may, "d7") == 0
    digests = [bytes.fromhex(s[k]) for s in tombstones(may.out) for k in ("key", "text_hash")]
    assert holding(index, *digests) == {}
    segment = json.loads((index / "may" / "segment.json").read_text())
    assert segment["num_documents"] == 12
    assert verify(may, "d7") == 0
