"""Strata: each document is packed with those of its kind, whatever the workers and the restarts."""

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.shards import ShardRows, read_index
from pipeline.signals import DocumentFiles, read_signal
from pipeline.verify import STAGES, faults, read_names, read_records
from pipeline.verify_strata import wrong_strata
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, near_copy

WORDS = "gopher_quality.num_words"
STRATA = {"by": WORDS, "edges": [100, 200], "names": ["short", "mid", "long"]}


def corpus_of(folder: Path, tokenizer_folder: Path) -> Corpus:
    """300 documents of a domain with strata, 60 others without; 21 of them copies of the first."""
    manifest = base_manifest(tokenizer_folder)
    gopher = {"use": "gopher_quality", "min_words": 20, "min_alpha_word_ratio": 0.5}
    manifest["filters"] = [gopher]
    manifest["strata"] = STRATA | {"sources": ["domain"]}
    manifest["pack"]["shard_tokens"] = 20_000
    corpus = Corpus(folder, manifest)
    texts = docstrings()
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts[:300])]
    corpus.write("domain-0.jsonl", rows[:180])
    corpus.write("domain-1.jsonl.gz", rows[180:])
    general = [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[300:339])]
    copies = [*(row["text"] for row in rows[:20]), near_copy(rows[0]["text"], 1)]
    general += [{"id": f"copy-{n}", "text": text} for n, text in enumerate(copies)]
    corpus.write("general.jsonl", general)
    return corpus


@pytest.fixture(scope="module")
def stratified(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    corpus = corpus_of(tmp_path_factory.mktemp("stratified"), tokenizer_folder)
    (corpus.folder / "printed.txt").write_text(corpus.prepare("--workers", "1"))
    return corpus


@pytest.fixture
def copied(stratified: Corpus, tmp_path: Path) -> Corpus:
    """The prepared corpus as one that a test may change."""
    folder = shutil.copytree(stratified.folder, tmp_path / "copied")
    return Corpus(folder, json.loads(json.dumps(stratified.manifest)))


def survivors(corpus: Corpus) -> dict[bytes, dict[str, Any]]:
    """The documents that deduplication left, by key."""
    gone = set(corpus.removals()["key"].to_pylist())
    return {row["key"]: row for row in corpus.table("kept").to_pylist() if row["key"] not in gone}


def packed(corpus: Corpus) -> dict[bytes, set[tuple[str, str | None]]]:
    """In which source and stratum the shards have each document."""
    places: dict[bytes, set[tuple[str, str | None]]] = {}
    for shard in read_index(corpus.out).shards:
        table = pa.ipc.open_file(corpus.out / "shards" / shard.path).read_all()
        for keys in table["doc_key"].to_pylist():
            for key in keys:
                places.setdefault(key, set()).add((shard.source, shard.stratum))
    return places


def named(num_words: int) -> str:
    return "short" if num_words < 100 else "mid" if num_words < 200 else "long"


def test_each_document_stands_once_in_the_stratum_of_its_signal(stratified: Corpus) -> None:
    wanted = {
        key: {(row["source"], named(row[WORDS]) if row["source"] == "domain" else None)}
        for key, row in survivors(stratified).items()
    }
    assert packed(stratified) == wanted
    num_by_stratum = Counter(name for places in wanted.values() for _, name in places if name)
    assert stratified.ledger()["domain"]["strata"] == num_by_stratum
    assert stratified.ledger()["general"]["strata"] == {}
    assert min(num_by_stratum[name] for name in ("short", "mid", "long")) > 20
    assert list(faults(stratified.out)) == []


def test_paths_the_index_and_the_summary_name_the_strata(stratified: Corpus) -> None:
    for shard in read_index(stratified.out).shards:
        folders = [shard.source, shard.split] + ([shard.stratum] if shard.stratum else [])
        assert shard.path.rpartition("/")[0] == "/".join(folders)
    entries = read_index(stratified.out).select("train")
    assert set(entries) == {"domain/long", "domain/mid", "domain/short", "general"}
    assert max(len(shards) for shards in entries.values()) > 1  # long documents fill several parts
    printed = (stratified.folder / "printed.txt").read_text()
    num_tokens = sum(shard.num_tokens for shard in entries["domain/mid"])
    assert f"documents, {num_tokens:,} tokens to train on" in printed
    assert printed.index("domain/short:") < printed.index("domain/mid:")


def test_a_curriculum_of_the_trainer_opens_over_the_strata(stratified: Corpus) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    from training import data as data_module
    from training.config import TrainConfig

    order = ("short", "mid", "long")
    data = data_module.open_data(
        TrainConfig(
            model="m",
            shards=(stratified.out,),
            out=stratified.folder / "run",
            batch_rows=2,
            epochs=1,
            mix={"domain": {"start": 0.8}, "general": {"start": 0.2}},
            curricula={"domain": {"order": order}},
        ),
        1,
    )
    assert data.names == ("domain/long", "domain/mid", "domain/short", "general")
    entries = read_index(stratified.out).select("train")
    for size in data.mix.sizes:
        assert size.num_rows == sum(shard.num_rows for shard in entries[size.name])
    drawn = dict(zip(data.names, data.plan.drawn[-1].tolist(), strict=True))
    assert all(drawn[f"domain/{name}"] > 0 for name in order)


@pytest.mark.slow
def test_a_killed_run_with_other_workers_makes_the_same_bytes(
    tmp_path: Path, stratified: Corpus, tokenizer_folder: Path
) -> None:
    corpus = corpus_of(tmp_path, tokenizer_folder)
    process = corpus.start("--workers", "2")
    deadline = time.monotonic() + 200
    while not any((corpus.out / "strata").rglob("*.arrow")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (corpus.out / "shards" / "index.json").exists()
    corpus.prepare("--workers", "2")
    assert corpus.hashes() == stratified.hashes()
    assert corpus.ledger() == stratified.ledger()


@pytest.mark.slow
def test_other_strata_refine_and_tokenise_nothing_again(copied: Corpus) -> None:
    def times(*folders: str) -> dict[Path, int]:
        paths = [path for folder in folders for path in (copied.out / folder).rglob("*.arrow")]
        return {path: path.stat().st_mtime_ns for path in paths}

    before, shards = times("refined", "tokens", "dedup"), copied.hashes()
    general = {path: digest for path, digest in shards.items() if path.startswith("general/")}
    copied.prepare(
        *("--workers", "1", "--set", "strata.edges=[150]", "--set", "strata.names=[mid, high]")
    )
    assert times("refined", "tokens", "dedup") == before
    assert general.items() <= copied.hashes().items()
    rows = survivors(copied)
    assert {
        key: {name for _, name in places}
        for key, places in packed(copied).items()
        if rows[key]["source"] == "domain"
    } == {
        key: {"mid" if row[WORDS] < 150 else "high"}
        for key, row in rows.items()
        if row["source"] == "domain"
    }
    folders = {path.name for path in (copied.out / "shards" / "domain" / "train").iterdir()}
    assert folders == {"mid", "high"}
    orders = sorted((copied.out / "strata").rglob("*.arrow"))
    assert [path.name.split(".")[1] for path in orders] == ["train", "validation"]
    assert list(faults(copied.out)) == []


@pytest.mark.slow
def test_without_strata_the_shards_are_those_of_a_source_alone(copied: Corpus) -> None:
    del copied.manifest["strata"]
    copied.prepare("--workers", "1")
    index = read_index(copied.out)
    assert set(index.select("train")) == {"domain", "general"}
    assert list((copied.out / "strata").rglob("*.arrow")) == []
    on_disk = {
        p.relative_to(copied.out / "shards").as_posix() for p in copied.out.glob("shards/*/*/*")
    }
    assert on_disk == set(copied.hashes())
    assert list(faults(copied.out)) == []


@pytest.mark.parametrize(
    ("source", "stratum", "claimed", "message"),
    [
        ("domain", "mid", "long", "of stratum long, but .* pieces are of documents of mid by gop"),
        ("domain", "mid", None, "of no stratum, but .* of documents of mid"),
        ("general", None, "mid", "of stratum mid, but general has no strata"),
    ],
)
def test_verify_names_shards_of_another_stratum(
    stratified: Corpus,
    tmp_path: Path,
    source: str,
    stratum: str | None,
    claimed: str | None,
    message: str,
) -> None:
    out = Path(shutil.copytree(stratified.out, tmp_path / "out"))
    path = out / "shards" / "index.json"
    index = json.loads(path.read_text())
    shard = next(s for s in index["shards"] if (s["source"], s["stratum"]) == (source, stratum))
    shard["stratum"] = claimed
    path.write_text(json.dumps(index))
    (fault,) = faults(out)
    assert f"{shard['path']}: stratum is {claimed!r}, its record has {stratum!r}" in fault
    names = read_names(out)
    records = {stage: read_records(out, stage, names[stage]) for stage in STAGES}
    (fault,) = wrong_strata(out, records, read_index(out))
    assert shard["path"] in fault
    assert re.search(message, fault), fault


def test_a_signal_is_the_number_that_it_is_named_after(stratified: Corpus) -> None:
    kept = sorted((stratified.out / "refined" / "domain").glob("*.kept.arrow"))
    tokens = sorted((stratified.out / "tokens" / "domain").glob("*.arrow"))
    (removals,) = stratified.out.glob("dedup/*/removals.arrow")
    files = DocumentFiles(kept, tokens, removals)
    rows = {key: row for key, row in survivors(stratified).items() if row["source"] == "domain"}
    keys = pa.array(list(rows), pa.binary(16))
    texts = [row["text"] for row in rows.values()]
    gone = stratified.removals().to_pylist()
    copies = Counter(row["survivor_key"] for row in gone if row["rule"] != "validation_leak")
    sizes = num_tokens(stratified)
    assert sum(copies[key] for key in rows) >= 20
    expected = {
        WORDS: [row[WORDS] for row in rows.values()],
        "num_bytes": [len(text.encode()) for text in texts],
        "num_chars": [len(text) for text in texts],
        "num_tokens": [sizes[key] for key in rows],
        "num_duplicates": [copies[key] for key in rows],
    }
    for name, values in expected.items():
        assert read_signal(name, files).of(keys).tolist() == values, name


def num_tokens(corpus: Corpus) -> Counter[bytes]:
    """Tokens of each document, from the shards."""
    found: Counter[bytes] = Counter()
    for shard in read_index(corpus.out).shards:
        rows = ShardRows(corpus.out / "shards" / shard.path)
        table = pa.ipc.open_file(corpus.out / "shards" / shard.path).read_all()
        for number, keys in enumerate(table["doc_key"].to_pylist()):
            ends = [*rows.doc_starts(number).tolist()[1:], int(rows.num_tokens[number])]
            for key, start, end in zip(keys, rows.doc_starts(number).tolist(), ends, strict=True):
                found[key] += end - start
    return found
