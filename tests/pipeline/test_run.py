"""`prepare run` from the command line: real files, real Beam, real processes."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import datasets
import pytest

from pipeline.plan import SPOOL_BYTES
from pipeline.shards import read_index
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, mixed_corpus, near_copy


def test_every_row_is_kept_dropped_or_quarantined(prepared: Corpus) -> None:
    ledger = prepared.ledger()
    general = ledger["general"]
    assert general["quarantined"] == {
        "missing_field": 1,
        "not_json": 1,
        "not_utf8": 1,
        "null_text": 1,
    }
    for kind, num_rows in (
        ("kept", sum(entry["num_kept"] for entry in ledger.values())),
        ("dropped", sum(sum(entry["dropped"].values()) for entry in ledger.values())),
        ("quarantined", 4),
    ):
        assert prepared.table(kind).num_rows == num_rows
    assert prepared.surviving_ids()
    assert sum(entry["num_packed"] for entry in ledger.values()) == len(prepared.surviving_ids())


def test_dropped_documents_keep_text_rule_value_and_threshold(prepared: Corpus) -> None:
    rows = prepared.table("dropped").to_pylist()
    short = [row for row in rows if row["rule"] == "gopher_quality.num_words"]
    scored = [row for row in rows if row["rule"] == "language.language_score"]
    assert all(row["text"] and row["rule"] for row in rows)
    assert all(row["value"] < row["threshold"] == 20 for row in short)
    assert scored
    assert all(row["value"] < row["threshold"] == 0.3 for row in scored)


def test_copies_of_the_domain_leave_the_general_source(prepared: Corpus) -> None:
    left = prepared.surviving_ids()
    copies = {name for name in left if name.startswith("copy-") and name[5:] in left}
    assert copies == set()
    evidence = prepared.removals()
    assert set(evidence["rule"].to_pylist()) >= {"exact_duplicate", "near_duplicate"}
    assert min(evidence["similarity"].to_pylist()) >= 0.5


def test_personal_data_is_tagged_in_the_stored_text(prepared: Corpus) -> None:
    kept = prepared.table("kept").to_pylist()
    (row,) = [row for row in kept if row["id"] == "pii"]
    assert "ann@example.org" not in row["text"]
    assert row["text"].count("[EMAIL]") == row["pii.num_pii_email"] == 3


def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, prepared: Corpus) -> None:
    other = mixed_corpus(tmp_path, Path(prepared.manifest["tokenizer"]["path"]))
    other.prepare("--workers", "3", "--memory", "100KB")
    assert other.hashes() == prepared.hashes()
    assert len(prepared.hashes()) >= 4


def test_a_second_run_does_nothing_and_says_so(tmp_path: Path, prepared: Corpus) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.out.rglob("*.arrow")}
    assert "Nothing to do" in prepared.prepare()
    assert {path: path.stat().st_mtime_ns for path in prepared.out.rglob("*.arrow")} == before


@pytest.mark.parametrize(
    "moment",
    [
        "state/refine",
        pytest.param("state/tokenise", marks=pytest.mark.slow),
        pytest.param("shards", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, prepared: Corpus, moment: str
) -> None:
    corpus = mixed_corpus(tmp_path, Path(prepared.manifest["tokenizer"]["path"]))
    process = corpus.start("--workers", "2")
    deadline = time.monotonic() + 120
    while not any((corpus.out / moment).rglob("*.*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (corpus.out / "shards" / "index.json").exists()
    corpus.prepare("--workers", "2")
    assert corpus.hashes() == prepared.hashes()
    assert list(corpus.out.rglob(".tmp-*")) == []


@pytest.mark.slow
def test_another_config_reuses_what_it_can_and_leaves_nothing_stale(
    tmp_path: Path, prepared: Corpus
) -> None:
    corpus = mixed_corpus(tmp_path, Path(prepared.manifest["tokenizer"]["path"]))
    corpus.prepare("--set", "pack.sequence_tokens=128")
    assert read_index(corpus.out).sequence_tokens == 128
    refined = {path.name for path in (corpus.out / "refined").rglob("*.arrow")}
    corpus.prepare("--set", "filters.0.min_chars=900")
    assert not refined & {path.name for path in (corpus.out / "refined").rglob("*.arrow")}
    corpus.prepare()
    assert corpus.hashes() == prepared.hashes()
    on_disk = {
        p.relative_to(corpus.out / "shards").as_posix() for p in corpus.out.glob("shards/*/*/*")
    }
    assert on_disk == set(corpus.hashes())
    assert len(list(corpus.out.glob("dedup/*"))) == 1
    assert not list(corpus.out.glob("dedup/*/round-*"))
    assert not (corpus.out / "spool").exists()


@pytest.mark.slow
def test_three_near_copies_of_which_the_first_ranks_worst_leave_one(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = base_manifest(tokenizer_folder) | {"filters": []}
    corpus = Corpus(tmp_path, manifest)
    text = max(docstrings(), key=len)
    corpus.write(
        "general.jsonl", [{"id": "a", "text": text}, {"id": "b", "text": near_copy(text, 1)}]
    )
    corpus.write("domain.jsonl", [{"id": "c", "text": near_copy(text, 2)}])
    corpus.prepare("--workers", "1", "--set", "sources.0.priority=1")
    assert corpus.surviving_ids() == {"c"}


@pytest.mark.slow
def test_two_sources_may_read_one_large_file(tmp_path: Path, tokenizer_folder: Path) -> None:
    manifest = base_manifest(tokenizer_folder)
    for source in manifest["sources"]:
        source["paths"] = ["large.jsonl.gz"]
    corpus = Corpus(tmp_path, manifest)
    noise = random.Random(3)
    rows = [{"id": str(n), "text": noise.randbytes(30_000).hex()} for n in range(300)]
    assert corpus.write("large.jsonl.gz", rows).stat().st_size > SPOOL_BYTES
    corpus.prepare("--set", "filters.0.min_chars=100000")
    sources = Counter(corpus.table("dropped")["source"].to_pylist())
    assert sources == {"domain": 300, "general": 300}
    assert corpus.hashes() == {}
    assert "Nothing to do" in corpus.prepare("--set", "filters.0.min_chars=100000")
    shifted = corpus.ledger()
    corpus.write("large.jsonl.gz", rows[:-1])
    corpus.prepare("--refresh", "--set", "filters.0.min_chars=100000")
    assert corpus.ledger()["domain"]["num_read"] == shifted["domain"]["num_read"] - 1 == 299


@pytest.mark.slow
def test_one_row_in_two_files_leaves_one(tmp_path: Path, tokenizer_folder: Path) -> None:
    corpus = Corpus(tmp_path, base_manifest(tokenizer_folder) | {"filters": []})
    row = {"id": "same", "text": docstrings()[0]}
    corpus.write("domain-1.jsonl", [row])
    corpus.write("domain-2.jsonl", [row])
    corpus.write("general.jsonl", [{"id": "other", "text": docstrings()[1]}])
    corpus.prepare("--workers", "1")
    assert corpus.surviving_ids() == {"same", "other"}
    assert corpus.ledger()["domain"]["removed"] == {"exact_duplicate": 1}


def test_shards_are_read_without_headwater(prepared: Corpus) -> None:
    files = [str(prepared.out / "shards" / path) for path in prepared.hashes() if "/train/" in path]
    rows = datasets.load_dataset("arrow", data_files=files, split="train")
    index = read_index(prepared.out)
    assert len(rows) == sum(shard.num_rows for shard in index.shards if shard.split == "train")
    assert len(rows[0]["tokens"]) == 256
