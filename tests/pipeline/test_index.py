"""`dedup.index` from the command line: this month's corpus against last month's."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.errors import PrepareError, UsageError
from pipeline.graph.runner import run_in_memory
from pipeline.index.segments import read, read_segment
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.progress import Advance, Progress
from pipeline.progress.plain import PlainView
from pipeline.report.terminal import print_outcome
from pipeline.run import run
from pipeline.stage import Context
from tests.pipeline.corpora import Corpus, Rows, docstrings, near_copy

NUM_OLD, NUM_NEW, NUM_COPIES = 120, 60, 30


def month(folder: Path, tokenizer_folder: Path, name: str, rows: Rows, **dedup: Any) -> Corpus:
    """A corpus of one source beside the index, which all of a folder share."""
    (folder / name).mkdir()
    manifest = {
        "version": 1,
        "name": name,
        "output": "out",
        "sources": [{"name": "news", "format": "jsonl", "paths": ["*.jsonl"], "id_field": "id"}],
        "dedup": {"index": "../index", **dedup},
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 256},
    }
    corpus = Corpus(folder / name, manifest)
    corpus.write("news.jsonl", rows)
    return corpus


@cache
def distinct_texts() -> tuple[str, ...]:
    """Real texts, no two of which share a third of their words, long enough for near copies."""
    found: dict[str, set[str]] = {}
    for text in docstrings():
        words = set(text.lower().split())
        if len(text.split()) >= 90 and all(
            3 * len(words & other) < len(words | other) for other in found.values()
        ):
            found[text] = words
    return tuple(found)


def texts(count: int, skip: int = 0) -> list[str]:
    return list(distinct_texts()[skip : skip + count])


def old_rows() -> Rows:
    return [{"id": f"old-{n}", "text": text} for n, text in enumerate(texts(NUM_OLD))]


def new_rows() -> Rows:
    """New texts, and copies of old ones: the same, in other letters, with a word replaced."""
    rows = [{"id": f"new-{n}", "text": text} for n, text in enumerate(texts(NUM_NEW, NUM_OLD))]
    for n, text in enumerate(texts(NUM_COPIES)):
        made = (text, text.upper(), near_copy(text, n))[n % 3]
        rows.append({"id": f"{('same', 'upper', 'near')[n % 3]}-{n}", "text": made})
    return rows


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`prepare` with some arguments, in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


class Here:
    """Runs each stage in this process: a pool of processes takes seconds to import Beam."""

    num_workers = 1

    def start(self) -> None:
        pass

    def run(self, transform: Any, items: Sequence[Any], done: Advance) -> None:
        done(run_in_memory((transform, items)))


def prepare(corpus: Corpus, *overrides: str) -> str:
    """What `prepare run --refresh` does, and prints."""
    corpus.save()
    manifest = load_manifest(corpus.folder / "m.yaml", overrides)
    plan = Plan(manifest, corpus.folder, corpus.out)
    reporter = Progress(PlainView(io.StringIO()))
    printed = Console(file=io.StringIO(), width=100)
    context = Context(plan, Here(), reporter, 10**9, may_change=None)
    print_outcome(run(context), plan.out, printed)
    return printed.file.getvalue()


@dataclass
class Months:
    folder: Path
    old: Corpus
    new: Corpus

    @property
    def index(self) -> Path:
        return self.folder / "index"


def two_months(folder: Path, tokenizer_folder: Path, **dedup: Any) -> Months:
    """The first month is in the index."""
    old = month(folder, tokenizer_folder, "may", old_rows(), **dedup)
    new = month(folder, tokenizer_folder, "june", new_rows(), **dedup)
    prepare(old)
    return Months(folder, old, new)


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Months:
    """Both months are in the index; tests may read, but not change."""
    made = two_months(tmp_path_factory.mktemp("months"), tokenizer_folder)
    shutil.copytree(made.index, made.folder / "index-of-may")
    prepare(made.new)
    return made


@pytest.fixture
def copied(months: Months, tmp_path: Path) -> Months:
    """The same in a folder of its own."""
    folder = tmp_path / "months"
    shutil.copytree(months.folder, folder, ignore=shutil.ignore_patterns(".tmp-*"))
    old, new = (Corpus(folder / c.folder.name, c.manifest) for c in (months.old, months.new))
    return Months(folder, old, new)


def evidence(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Rows of the removal table by the id of the document that went."""
    kept = corpus.table("kept")
    names = dict(zip(kept["key"].to_pylist(), kept["id"].to_pylist(), strict=True))
    return {names[row["key"]]: row for row in corpus.removals().to_pylist()}


def test_what_the_first_month_has_leaves_the_second_with_evidence(months: Months) -> None:
    gone = evidence(months.new)
    assert months.new.surviving_ids() == {f"new-{n}" for n in range(NUM_NEW)}
    assert len(gone) == NUM_COPIES
    methods = {"same": "exact", "upper": "exact", "near": "jaccard"}
    for name, row in gone.items():
        kind, _, number = name.partition("-")
        assert (row["corpus"], row["survivor_id"]) == ("may", f"old-{number}")
        assert (row["rule"], row["method"]) == ("duplicate_in_index", methods[kind])
        assert row["survivor_doc"] is None
        assert row["threshold"] == 0.8 <= row["similarity"]
        assert (row["similarity"] == 1.0) == (kind != "near")
    assert months.new.ledger()["news"]["removed"] == {"duplicate_in_index": NUM_COPIES}


def test_each_corpus_is_a_segment_of_what_stays(months: Months) -> None:
    may, june = (read_segment(months.index, name) for name in ("may", "june"))
    assert may is not None
    assert june is not None
    assert (may.contents.number, june.contents.number) == (1, 2)
    assert may.contents.num_documents == len(months.old.surviving_ids())
    documents = read(june.data / "documents.arrow")
    assert set(documents["id"].to_pylist()) == months.new.surviving_ids()
    buckets = read(june.data / "buckets-00000.arrow")["bucket"].to_pylist()
    assert len(buckets) == 15 * june.contents.num_documents
    assert buckets == sorted(buckets)


def test_reruns_of_both_months_do_nothing(months: Months) -> None:
    before = {path: path.stat().st_mtime_ns for path in months.folder.rglob("*.arrow")}
    assert "Nothing to do" in prepare(months.old)
    assert "Nothing to do" in prepare(months.new)
    assert {path: path.stat().st_mtime_ns for path in months.folder.rglob("*.arrow")} == before


def test_prepare_verify_and_the_list_know_of_the_index(months: Months) -> None:
    assert "complete" in command(months.folder, "verify", str(months.new.out)).stdout
    listed = command(months.folder, "index", "index").stdout
    assert [line.split()[1] for line in listed.splitlines() if "there" in line] == ["may", "june"]


@pytest.mark.slow
def test_workers_ranges_and_kills_do_not_change_a_byte(months: Months, tmp_path: Path) -> None:
    shutil.copytree(months.folder / "index-of-may", tmp_path / "index")
    shutil.copytree(months.old.folder, tmp_path / "may")
    other = month(tmp_path, Path(months.new.manifest["tokenizer"]["path"]), "june", new_rows())
    arguments = ("--workers", "2", "--memory", "100KB")
    process = other.start(*arguments)
    deadline = time.monotonic() + 120
    while not list(other.out.glob("state/look_up/*.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "index" / "june").exists()
    other.prepare(*arguments)
    assert other.removals() == months.new.removals()
    assert other.hashes() == months.new.hashes()
    ours, theirs = (read_segment(folder / "index", "june") for folder in (tmp_path, months.folder))
    assert ours is not None
    assert theirs is not None
    assert ours.contents.fingerprint == theirs.contents.fingerprint


def test_deleted_documents_are_found_no_more_and_stay_deleted(copied: Months) -> None:
    (copied.folder / "ids.txt").write_text("old-0\nold-2\n\n")
    done = command(copied.folder, "index", "index", "--delete-ids", "ids.txt", "--segment", "may")
    assert "may: 2 documents deleted" in done.stdout
    refined = {p: p.stat().st_mtime_ns for p in (copied.new.out / "refined").rglob("*.arrow")}
    prepare(copied.new)
    assert {"same-0", "near-2"} <= copied.new.surviving_ids()
    assert refined == {
        p: p.stat().st_mtime_ns for p in (copied.new.out / "refined").rglob("*.arrow")
    }
    copied.old.write("news.jsonl", [*old_rows(), {"id": "late", "text": texts(1, 190)[0]}])
    prepare(copied.old)
    may = read_segment(copied.index, "may")
    assert may is not None
    assert (may.contents.number, len(may.deleted())) == (1, 2)
    assert "Nothing to do" not in prepare(copied.new)
    assert {"same-0", "near-2"} <= copied.new.surviving_ids()


def test_a_deleted_segment_is_forgotten(copied: Months) -> None:
    assert (
        "segment may deleted" in command(copied.folder, "index", "index", "--delete", "may").stdout
    )
    assert not (copied.index / "may").exists()
    prepare(copied.new)
    assert len(copied.new.surviving_ids()) == NUM_NEW + NUM_COPIES
    wrong = command(copied.folder, "index", "index", "--delete", "may")
    assert wrong.returncode == 2
    assert "want one of june" in wrong.stderr


def test_where_the_text_is_gone_only_equal_words_are_known(copied: Months) -> None:
    shutil.rmtree(copied.old.out)
    shutil.rmtree(copied.new.out)
    command(copied.folder, "index", "index", "--delete", "june")
    printed = prepare(copied.new)
    assert f"{NUM_COPIES // 3} documents stay because the text" in " ".join(printed.split())
    gone = evidence(copied.new)
    assert {name.partition("-")[0] for name in gone} == {"same", "upper"}
    methods = {name.partition("-")[0]: row["method"] for name, row in gone.items()}
    assert methods == {"same": "exact", "upper": "estimated"}
    assert "gone" in command(copied.folder, "index", "index").stdout
    assert "Nothing to do" in prepare(copied.new)


def test_where_the_text_is_gone_stored_signatures_give_an_estimate(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    made = two_months(tmp_path, tokenizer_folder, minhash={"signatures": True})
    shutil.rmtree(made.old.out)
    prepare(made.new)
    near = {name: row for name, row in evidence(made.new).items() if name.startswith("near")}
    assert len(near) >= NUM_COPIES // 3 - 2
    assert {row["method"] for row in near.values()} == {"estimated"}
    assert min(row["similarity"] for row in near.values()) >= 0.8
    prepare(
        made.new,
        "dedup.index={path: ../index, estimate: false}",
    )
    assert {name.partition("-")[0] for name in evidence(made.new)} == {"same"}


def test_a_source_of_higher_priority_keeps_its_documents(copied: Months) -> None:
    prepare(copied.new, "sources.0.priority=1")
    assert len(copied.new.surviving_ids()) == NUM_NEW + NUM_COPIES
    prepare(copied.new, "sources.0.priority=1", "dedup.survivor=[longest, id]")
    assert len(copied.new.surviving_ids()) == NUM_NEW


def test_documents_on_the_other_side_of_the_split_are_leaks(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    minhash = {"bands": 56, "rows": 2, "threshold": 0.95}
    made = two_months(tmp_path, tokenizer_folder, minhash=minhash)
    fraction = "sources.0.validation_fraction=0.5"
    prepare(made.new, fraction)
    leaks = {k: v for k, v in evidence(made.new).items() if v["rule"] == "validation_leak_in_index"}
    assert leaks
    assert {name.partition("-")[0] for name in leaks} == {"near"}
    assert all(0.5 <= row["similarity"] < 0.95 for row in leaks.values())
    assert all((row["corpus"], row["threshold"]) == ("may", 0.5) for row in leaks.values())
    removed = made.new.ledger()["news"]["removed"]
    assert removed["validation_leak_in_index"] == len(leaks)
    june = read_segment(made.index, "june")
    assert june is not None
    held_out = read(june.data / "documents.arrow")
    held = {row["id"] for row in held_out.to_pylist() if row["validates"]}
    assert not {name for name in held if name.startswith("near")}


def test_other_parameters_and_a_busy_index_stop_the_run_before_any_work(copied: Months) -> None:
    shutil.rmtree(copied.new.out)
    with pytest.raises(UsageError, match="segment may: ngram: got 7, the segment has 5"):
        prepare(copied.new, "dedup.minhash.ngram=7")
    with (copied.index / "lock").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another `prepare` is writing here"):
            prepare(copied.new)
    assert not (copied.new.out / "state").exists()


def test_a_damaged_segment_says_how_to_mend_it(copied: Months) -> None:
    may = read_segment(copied.index, "may")
    assert may is not None
    (may.data / "buckets-00000.arrow").write_bytes(b"cut short")
    with pytest.raises(PrepareError, match=r"prepare index .* --delete may"):
        prepare(copied.new)
    assert command(copied.folder, "index", "index", "--delete", "may").returncode == 0
    values = json.loads((copied.index / "june" / "segment.json").read_text())
    values["format"] = 99
    (copied.index / "june" / "segment.json").write_text(json.dumps(values))
    assert "got format 99, want 1" in command(copied.folder, "index", "index").stderr
