"""A corpus in an index, with edits and evaluation sets: nothing of a document stays there."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus
from tests.pipeline.duplicated import first_month
from tests.pipeline.erasing.outputs import arrow_hashes, erase, holding, tombstones, verify


@pytest.fixture
def month(tmp_path: Path, tokenizer_folder: Path) -> Corpus:
    made = first_month(tmp_path, tokenizer_folder, {})
    made.prepare("--workers", "1")
    return made


@pytest.mark.slow
def test_a_document_leaves_index_and_reports(month: Corpus, tmp_path: Path) -> None:
    report = json.loads((month.out / "decontamination.json").read_text())
    named = [
        document
        for one in report["sets"]
        for item in one["items"].values()
        for document in item["documents"]
    ]
    kept = month.table("kept")["id"].to_pylist()
    name = next(document["id"] for document in named if document["id"] in kept)
    other = next(each for each in month.surviving_ids() if each.startswith("g"))
    assert erase(month, name, other, near=True) == 0
    digests = [bytes.fromhex(s[k]) for s in tombstones(month.out) for k in ("key", "text_hash")]
    for folder in (month.out, tmp_path / "index"):
        assert holding(folder, *digests) == {}
    after = (month.out / "decontamination.json").read_text()
    assert f'"id": "{name}"' not in after
    assert verify(month, name, other) == 0
    assert "Nothing to do" in month.prepare("--workers", "1")
    assert verify(month, name, other) == 0

    fresh = Corpus(tmp_path / "fresh" / "may", month.manifest)
    shutil.copytree(month.folder, fresh.folder, ignore=shutil.ignore_patterns("out"))
    shutil.copytree(tmp_path / "eval", tmp_path / "fresh" / "eval")
    fresh.out.mkdir()
    shutil.copy(month.out / "tombstones.json", fresh.out)
    fresh.prepare("--workers", "1")
    assert arrow_hashes(fresh.out) == arrow_hashes(month.out)
    assert holding(tmp_path / "fresh" / "index", *digests) == {}
    of_index = ("buckets-00000.arrow", "deleted.arrow", "documents.arrow", "signatures.arrow")
    for name_of_file in of_index:
        (one,), (two,) = (
            list(folder.glob(f"may/*/{name_of_file}"))
            for folder in (tmp_path / "index", tmp_path / "fresh" / "index")
        )
        assert one.read_bytes() == two.read_bytes(), name_of_file
    assert verify(fresh, name, other) == 0
