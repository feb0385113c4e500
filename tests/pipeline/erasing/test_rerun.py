"""The bytes of an output are a function of inputs, config and tombstones, however one got there."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus, base_manifest, docstrings
from tests.pipeline.erasing.outputs import (
    arrow_hashes,
    copied,
    document,
    erase,
    holding,
    removed,
    tombstones,
    verify,
)

WORKERS = ("--workers", "1")


def _fresh(corpus: Corpus, folder: Path) -> Corpus:
    """The inputs and the manifest of a corpus, and of its output the tombstones alone."""
    shutil.copytree(corpus.folder, folder, ignore=shutil.ignore_patterns("out"))
    made = Corpus(folder, corpus.manifest)
    made.out.mkdir()
    shutil.copy(corpus.out / "tombstones.json", made.out)
    return made


def _names(corpus: Corpus) -> list[str]:
    """A copy's survivor, one side of a near pair, a quarantined row, a dropped one, a lone one."""
    dropped = corpus.table("dropped")["id"][0].as_py()
    copy = removed(corpus, "exact_duplicate")[0][1]
    near = removed(corpus, "near_duplicate")[1][1]
    return [copy, near, "general-2.jsonl#0", dropped, "g5"]


def test_after_an_erasure_there_is_nothing_to_do(corpus: Corpus) -> None:
    assert erase(corpus, *_names(corpus)) == 0
    before = arrow_hashes(corpus.out)
    assert "Nothing to do" in corpus.prepare(*WORKERS)
    assert arrow_hashes(corpus.out) == before
    assert verify(corpus, "g5") == 0
    assert "Nothing to do" in corpus.prepare(*WORKERS)  # by its seal


def test_a_fresh_run_with_the_tombstones_gives_the_same_bytes(
    corpus: Corpus, tmp_path: Path
) -> None:
    assert erase(corpus, *_names(corpus)) == 0
    fresh = _fresh(corpus, tmp_path / "fresh")
    fresh.prepare(*WORKERS)
    assert arrow_hashes(fresh.out) == arrow_hashes(corpus.out)
    for name in ("ledger.json", "pii.json", "tombstones.json"):
        assert (fresh.out / name).read_bytes() == (corpus.out / name).read_bytes(), name
    assert verify(fresh, "g5") == 0


@pytest.mark.slow
def test_a_new_file_brings_neither_the_document_nor_a_removed_duplicate_back(
    corpus: Corpus, tmp_path: Path
) -> None:
    near, survivor = removed(corpus, "near_duplicate")[0]
    text = corpus.table("kept").to_pylist()
    (row,) = [one for one in text if one["id"] == survivor]
    raw = [json.loads(line) for line in (corpus.folder / "domain.jsonl").open()]
    (original_text,) = [one["text"] for one in raw if one["id"] == survivor]
    assert erase(corpus, survivor) == 0
    corpus.write("general-9.jsonl", [{"id": "again", "text": original_text}])
    corpus.prepare(*WORKERS, "--refresh")
    kept = corpus.table("kept")
    assert {survivor, "again"}.isdisjoint(kept["id"].to_pylist())
    assert document(corpus, near, "key") in corpus.removals()["key"].to_pylist()
    assert holding(corpus.out / "shards", row["key"]) == {}
    assert verify(corpus, survivor, "again") == 0
    fresh = _fresh(corpus, tmp_path / "fresh")
    fresh.prepare(*WORKERS)
    assert arrow_hashes(fresh.out) == arrow_hashes(corpus.out)


@pytest.mark.slow
def test_another_packing_reads_only_items_with_erased_documents_again(
    corpus: Corpus, tmp_path: Path
) -> None:
    assert erase(corpus, "g5") == 0
    corpus.manifest["pack"] = {"sequence_tokens": 128, "shard_tokens": 8_000}
    corpus.prepare(*WORKERS)
    fresh = _fresh(corpus, tmp_path / "fresh")
    fresh.prepare(*WORKERS)
    assert arrow_hashes(fresh.out) == arrow_hashes(corpus.out)
    assert verify(corpus, "g5") == 0


@pytest.mark.slow
def test_a_document_whose_text_is_cleaned_otherwise_is_known_by_its_id(corpus: Corpus) -> None:
    assert erase(corpus, "d3") == 0
    corpus.manifest["pii"] = {"mode": "tag", "kinds": ["email"]}
    corpus.prepare(*WORKERS)
    hashes = [bytes.fromhex(stone["text_hash"]) for stone in tombstones(corpus.out)]
    assert holding(corpus.out, *hashes) == {}
    for kind in ("kept", "dropped"):
        assert "d3" not in corpus.table(kind)["id"].to_pylist()
    assert verify(corpus, "d3") == 0


def test_lost_tombstones_stop_the_run(corpus: Corpus) -> None:
    assert erase(corpus, "d3") == 0
    (corpus.out / "tombstones.json").unlink()
    done = corpus.run(*WORKERS)
    assert done.returncode == 1
    assert "tombstones are gone" in done.stderr
    assert verify(corpus) == 1


def test_a_threshold_cannot_be_changed_without_the_inputs(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import main

    assert erase(corpus, "d3") == 0
    code = main(["refilter", str(corpus.out), "--workers", "1", "--set", "filters.0.min_chars=60"])
    assert code == 2
    assert "prepare run" in capsys.readouterr().err
    assert verify(corpus, "d3") == 0


@pytest.mark.slow
def test_a_split_into_other_items_and_workers_gives_the_same_shards(
    corpus: Corpus, tmp_path: Path
) -> None:
    assert erase(corpus, *_names(corpus)) == 0
    other = copied(corpus, tmp_path / "other")
    shutil.rmtree(other.out)
    other.out.mkdir()
    shutil.copy(corpus.out / "tombstones.json", other.out)
    other.prepare("--workers", "2")
    assert other.hashes() == corpus.hashes()


@pytest.mark.slow
def test_a_quarantined_row_stays_away_when_it_can_be_read_later(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    values = base_manifest(tokenizer_folder)
    values |= {"sources": values["sources"][:1], "filters": []}
    values["limits"] = {"max_quarantined_fraction": 0.5, "max_document_bytes": 2_000}
    corpus = Corpus(tmp_path, values)
    texts = sorted(docstrings()[:40], key=len)
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    corpus.write("domain.jsonl", [{"id": "large", "text": texts[0] * 9}, *rows])
    corpus.prepare(*WORKERS)
    assert erase(corpus, "domain.jsonl#0") == 0
    values["limits"]["max_document_bytes"] = 100_000
    corpus.prepare(*WORKERS)
    kept = corpus.table("kept")["id"].to_pylist()
    assert "large" not in kept
    assert "d39" in kept
    assert verify(corpus, "large", "domain.jsonl#0") == 0

    corpus.write("domain.jsonl", rows)  # the next one begins at this place now
    corpus.prepare(*WORKERS, "--refresh")
    assert {"d0", "d39"} <= set(corpus.table("kept")["id"].to_pylist())
