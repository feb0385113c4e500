"""Everything that removes or cuts, at once: the same bytes whatever the run went through.

Compared is every file that a run leaves, the segment of the index too, but for `state/`, whose
records hold seconds.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.deduplication import SHUFFLE_ROW_BYTES, num_shuffle_rounds
from pipeline.graph.verify_pairs import VerifyItem
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.progress import Advance
from pipeline.run import run
from pipeline.stage import Context
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus
from tests.pipeline.duplicated import first_month, second_month
from tests.pipeline.plugins import HereRunner, NoReporter

WORDS: dict[str, Any] = {}
CHARACTERS: dict[str, Any] = {
    "shingles": "characters",
    "similarity": "containment",
    "candidate_threshold": 0.3,
    "threshold": 0.9,
}
ENOUGH_MEMORY = 10**9  # one range of hashes
# Of all hashes, in parts of them: of 8 partitions the sixth to the eighth, of 10 the seventh and
# eighth have one each.
LAST_RANGES = [(0.63, 0.69), (0.76, 0.79), (0.91, 0.99)]


def prepare_here(
    corpus: Corpus, memory_bytes: int = ENOUGH_MEMORY, runner: HereRunner | None = None
) -> None:
    """`prepare run` in this process, with one worker."""
    corpus.save()
    plan = Plan(load_manifest(corpus.folder / "m.yaml"), corpus.folder, corpus.out)
    run(Context(plan, runner or HereRunner(), NoReporter(), memory_bytes))


def results(corpus: Corpus) -> dict[str, str]:
    """sha256 of every file of the output and of the index."""
    folder = corpus.folder.parent
    found = {}
    for path in sorted([*corpus.out.rglob("*"), *(folder / "index").rglob("*")]):
        if path.is_file() and path.name != "lock" and corpus.out / "state" not in path.parents:
            name = path.relative_to(folder).as_posix()
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def removal_counts(corpus: Corpus) -> dict[str, Any]:
    """What the run has counted while it looked for duplicates."""
    (path,) = corpus.out.glob("state/deduplicate/*.json")
    counts: dict[str, Any] = json.loads(path.read_text())["counts"]
    return counts


def months_in(folder: Path, tokenizer_folder: Path, minhash: dict[str, Any]) -> Corpus:
    """Both months prepared, the second by one worker with a single range of hashes."""
    (folder / "before").mkdir()
    may = first_month(folder / "before", tokenizer_folder, minhash)
    prepare_here(may)
    june = second_month(folder / "after", folder / "before", tokenizer_folder, minhash)
    prepare_here(june)
    return june


def again(june: Corpus, folder: Path, minhash: dict[str, Any], **how: Any) -> Corpus:
    """The second month once more, not yet prepared."""
    tokenizer_folder = Path(june.manifest["tokenizer"]["path"])
    return second_month(folder, june.folder.parents[1] / "before", tokenizer_folder, minhash, **how)


@pytest.fixture(scope="module")
def june(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    return months_in(tmp_path_factory.mktemp("words"), tokenizer_folder, WORDS)


def memory_for(corpus: Corpus, num_ranges: int, num_workers: int = 1) -> int:
    """The budget with which the shuffle of the deduplication has so many ranges."""
    num_bands = load_manifest(corpus.folder / "m.yaml").dedup.minhash.bands  # type: ignore[union-attr]
    num_rows = sum(entry["num_kept"] for entry in corpus.ledger().values()) * (num_bands + 1)
    memory_bytes = -(-num_rows * SHUFFLE_ROW_BYTES // num_ranges) * num_workers
    assert num_shuffle_rounds(num_rows, memory_bytes, num_workers) == num_ranges
    return memory_bytes


def test_the_corpus_has_work_for_everything(june: Corpus) -> None:
    rules = set(june.removals()["rule"].to_pylist())
    assert rules == {
        "exact_duplicate",
        "near_duplicate",
        "validation_leak",
        "duplicate_in_index",
        "validation_leak_in_index",
    }
    counts = removal_counts(june)
    assert counts["num_rounds"] >= 3
    kept = june.table("kept")
    for name in ("lines", "paragraphs", "substrings", "decontaminate.cut"):
        (column,) = (c for c in kept.column_names if c.startswith(f"edited.{name}"))
        assert sum(kept[column].to_pylist()) > 0, name
    assert "decontaminate.dropped" in set(june.table("dropped")["rule"].to_pylist())
    sets = json.loads((june.out / "decontamination.json").read_text())["sets"]
    assert all(one["num_matched_items"] > 3 for one in sets)
    assert all(entry["num_packed"] for entry in june.ledger().values())
    assert list(faults(june.out)) == []


@pytest.mark.slow
def test_ranges_of_hashes_do_not_show(june: Corpus, tmp_path: Path) -> None:
    other = again(june, tmp_path, WORDS)
    prepare_here(other, memory_for(june, 8))
    assert results(other) == results(june)
    assert removal_counts(other) == removal_counts(june)


@pytest.mark.slow
def test_workers_ranges_and_the_order_of_files_on_disk_do_not_show(
    june: Corpus, tmp_path: Path
) -> None:
    other = again(june, tmp_path, WORDS, backwards=True)
    other.prepare("--workers", "2", "--memory", str(memory_for(june, 8, num_workers=2)))
    assert results(other) == results(june)
    assert removal_counts(other) == removal_counts(june)


def unnamed(corpus: Corpus) -> dict[str, set[str]]:
    """Hashes by name, less the fingerprints and what repeats them or the manifest's paths."""
    naming = {"manifest.yaml", "run.json", "index.json", "segment.json", "files.arrow"}
    found: dict[str, set[str]] = {}
    for name, digest in results(corpus).items():
        if Path(name).name not in naming:
            found.setdefault(re.sub("[0-9a-f]{32}", "*", name), set()).add(digest)
    return found


@pytest.mark.slow
def test_the_order_of_paths_does_not_show(june: Corpus, tmp_path: Path) -> None:
    other = again(june, tmp_path, WORDS)
    for source in other.manifest["sources"]:
        names = sorted(path.name for path in other.folder.glob(source["paths"][0]))
        source["paths"] = [*reversed(names), f"{source['name']}*"]
    prepare_here(other)
    assert other.hashes() == june.hashes()
    assert other.removals() == june.removals()
    assert unnamed(other) == unnamed(june)


@pytest.mark.slow
def test_the_portable_runner_makes_the_same_bytes(
    june: Corpus, tmp_path: Path, job_service: str
) -> None:
    other = again(june, tmp_path, WORDS)
    endpoint = f"--job_endpoint={job_service}"
    other.prepare("--", "--runner=PortableRunner", endpoint, "--environment_type=LOOPBACK")
    assert results(other) == results(june)
    assert removal_counts(other) == removal_counts(june)


MOMENTS = ("repeats", "candidates", "verify", "index")


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_makes_the_same_bytes(
    june: Corpus, tmp_path: Path
) -> None:
    other = again(june, tmp_path, WORDS)
    for n, moment in enumerate(MOMENTS):
        workers = 1 + n % 2  # of another number: another cutting of the hashes
        memory_bytes = memory_for(june, (4, 5, 8)[n % 3], num_workers=workers)
        arguments = ("--workers", str(workers), "--memory", str(memory_bytes))
        _kill_in(other, moment, arguments)
        assert not (other.folder.parent / "index" / "june" / "segment.json").exists()
    other.prepare(*arguments)
    assert results(other) == results(june)
    assert removal_counts(other) == removal_counts(june)


def _kill_in(corpus: Corpus, stage: str, arguments: tuple[str, ...]) -> None:
    """Start a run, and kill it as soon as one more item of a stage is done."""
    before = _num_records(corpus, stage)
    process = corpus.start(*arguments)
    deadline = time.monotonic() + 200
    while _num_records(corpus, stage) <= before and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _num_records(corpus: Corpus, stage: str) -> int:
    return len(list((corpus.out / "state" / stage).glob("[!.]*.json")))


@pytest.mark.slow
def test_estimates_where_the_texts_of_the_index_are_gone_in_any_number_of_ranges(
    june: Corpus, tmp_path: Path
) -> None:
    made = []
    for num_ranges in (1, 8):
        (folder := tmp_path / str(num_ranges)).mkdir()
        made.append(again(june, folder, WORDS))
        shutil.rmtree(folder / "may" / "out")
        prepare_here(made[-1], memory_for(june, num_ranges))
    one, other = made
    assert "estimated" in set(one.removals()["method"].to_pylist())
    assert results(other) == results(one)
    assert removal_counts(other) == removal_counts(one)


class StoppedRunner(HereRunner):
    """Is killed before the first pair is verified."""

    def run(self, transform: Any, items: Sequence[Any], done: Advance) -> None:
        if isinstance(items[0], VerifyItem):
            raise KeyboardInterrupt
        super().run(transform, items, done)


def test_ranges_of_another_run_are_not_taken_for_those_of_this_one(
    june: Corpus, tmp_path: Path
) -> None:
    """Of 4 ranges and of 5 the files of the last are as long, and hold other pairs."""
    hashes = june.table("signatures")["exact"].to_numpy() / 2.0**64
    places = [np.flatnonzero((a < hashes) & (hashes < b))[0] for a, b in LAST_RANGES]
    texts = june.table("kept")["text"].take(places).to_pylist()
    source = {"name": "pairs", "format": "jsonl", "paths": ["pairs.jsonl"], "id_field": "id"}
    kept = ("version", "name", "output", "tokenizer", "pack")
    manifest = {name: june.manifest[name] for name in kept}
    corpus = Corpus(tmp_path, manifest | {"sources": [source], "dedup": {"minhash": None}})
    corpus.write("pairs.jsonl", [{"id": f"{n}", "text": texts[n % 3]} for n in range(6)])
    for num_ranges in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            prepare_here(corpus, 6 * SHUFFLE_ROW_BYTES // num_ranges, StoppedRunner())
    prepare_here(corpus, 6 * SHUFFLE_ROW_BYTES // 4)
    assert len(corpus.surviving_ids()) == 3


@pytest.mark.slow
def test_containment_of_characters_in_any_number_of_ranges(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path
) -> None:
    folder = tmp_path_factory.mktemp("characters")
    one = months_in(folder, tokenizer_folder, CHARACTERS)
    other = again(one, tmp_path_factory.mktemp("again"), CHARACTERS)
    prepare_here(other, memory_for(one, 8))
    assert "contained_duplicate" in set(one.removals()["rule"].to_pylist())
    assert results(other) == results(one)
    assert removal_counts(other) == removal_counts(one)
