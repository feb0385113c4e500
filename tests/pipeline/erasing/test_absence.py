"""`prepare verify` proves absence: what is put back is found."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import erase, verify


@pytest.mark.parametrize("kind", ["kept", "dropped", "quarantined", "tokens", "dedup"])
def test_a_file_of_before_is_found(
    kind: str, original: Corpus, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another name, as an unfinished run would leave it: no record is of it."""
    dropped = corpus.table("dropped")["id"][0].as_py()
    assert erase(corpus, "d3", "d5", dropped, "general-2.jsonl#0", near=True) == 0
    assert verify(corpus) == 0
    folder = kind if kind in ("tokens", "dedup") else "refined"
    pattern = f"*{kind}.arrow" if folder == "refined" else "*.arrow"
    paths = [path.relative_to(original.out) for path in (original.out / folder).rglob(pattern)]
    changed = [
        path
        for path in paths
        if (original.out / path).read_bytes() != (corpus.out / path).read_bytes()
    ]
    assert changed, "this kind of file held something"
    target = corpus.out / changed[0].with_name("stray.arrow")
    shutil.copy(original.out / changed[0], target)
    capsys.readouterr()
    assert verify(corpus) == 1
    assert "stray.arrow" in capsys.readouterr().err


def test_a_part_of_before_is_found(original: Corpus, corpus: Corpus) -> None:
    assert erase(corpus, "d3") == 0
    shutil.rmtree(corpus.out / "shards")
    shutil.copytree(original.out / "shards", corpus.out / "shards")
    assert verify(corpus) == 1


def test_ids_that_are_there_are_faults(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    row = corpus.table("kept").slice(0, 1).to_pylist()[0]
    assert verify(corpus, "no such document") == 0
    assert verify(corpus, row["id"]) == 1
    assert "have a name of --ids" in capsys.readouterr().err
    assert verify(corpus, f"{row['source_path']}#{row['source_row']}") == 1
    assert verify(corpus, "general-2.jsonl#0") == 1


def test_a_report_that_names_it_is_found(corpus: Corpus, tmp_path: Path) -> None:
    assert erase(corpus, "d3") == 0
    document = {"source": "domain", "id": "d3", "num_ngrams": 1}
    report = {"sets": [{"items": {"0": {"documents": [document]}}}]}
    (corpus.out / "decontamination.json").write_text(json.dumps(report, indent=1))
    assert verify(corpus, "d3") == 1
