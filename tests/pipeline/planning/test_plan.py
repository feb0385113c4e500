"""`prepare plan` predicts what `prepare run` does, and leaves nothing behind."""

import json
import random
import tempfile
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.manifest import load_manifest
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.planning.predicting import Machine, predict
from pipeline.planning.prediction import Prediction, to_values
from pipeline.planning.temporary import temporary_folder
from tests.pipeline.corpora import Corpus, docstrings, near_copy
from tests.pipeline.here import run_here
from tests.pipeline.plugins import HereRunner

WHOLE = 10**9


def plan_of(corpus: Corpus) -> Plan:
    corpus.save()
    return Plan(load_manifest(corpus.folder / "m.yaml"), corpus.folder, corpus.out)


def predicted(corpus: Corpus, sample_bytes: int) -> Prediction:
    machine = Machine(HereRunner(), 10**8, 1.0)
    with temporary_folder() as folder:
        return predict(plan_of(corpus), sample_bytes, machine, folder)


@pytest.mark.slow
def test_prediction_from_everything_is_what_the_run_did(prepared: Corpus) -> None:
    before = sorted(path.stat().st_mtime_ns for path in prepared.out.rglob("*"))
    found = predicted(prepared, WHOLE)
    actual = prepared.ledger()
    values = to_values(found)["ledger"]
    for source, entry in actual.items():
        for name in ("num_read", "num_kept", "dropped", "quarantined", "removed", "num_tokens"):
            assert values[source][name] == entry[name], (source, name)
        low, high = found.removed[source]
        assert low == high == sum(entry["removed"].values())
    assert found.num_tokens == sum(entry["num_tokens"] for entry in actual.values())
    assert found.num_shards == len(prepared.hashes())
    size = sum(path.stat().st_size for path in prepared.out.rglob("*") if path.is_file())
    assert found.disk.total == pytest.approx(size, rel=0.2)
    assert sorted(path.stat().st_mtime_ns for path in prepared.out.rglob("*")) == before


@pytest.fixture
def large(tmp_path: Path, tokenizer_folder: Path) -> Corpus:
    """Texts put together of docstrings, a fifth of them copies and near copies."""
    from tests.pipeline.corpora import base_manifest

    chance = random.Random(3)
    corpus = Corpus(tmp_path, base_manifest(tokenizer_folder))
    parts = docstrings()
    texts = ["\n\n".join(chance.sample(parts, 4)) for _ in range(1500)]
    texts += [near_copy(text, n) for n, text in enumerate(texts[:300])] + texts[:150]
    chance.shuffle(texts)
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    rows += [{"id": "short", "text": "Too short."}] * 150
    corpus.write("domain.jsonl.gz", rows[:1000])
    corpus.write("general.jsonl", rows[1000:])
    return corpus


def test_prediction_from_a_sample_is_within_a_fifth(large: Corpus) -> None:
    found = predicted(large, 1_000_000)
    assert sum(one.num_documents for one in found.sampled.values()) < 1000
    outcome: Outcome = run_here(large.folder, large.manifest)
    actual = outcome.ledger
    packed = sum(entry.num_packed for entry in actual.values())
    assert sum(e.num_read for e in found.ledger.values()) == pytest.approx(
        sum(e.num_read for e in actual.values()), rel=0.01
    )
    assert sum(e.num_packed for e in found.ledger.values()) == pytest.approx(packed, rel=0.2)
    tokens = sum(entry.num_tokens for entry in actual.values())
    assert found.num_tokens == pytest.approx(tokens, rel=0.2)
    removed = sum(entry.removed.total() for entry in actual.values())
    assert sum(low for low, _ in found.removed.values()) <= removed
    assert removed <= sum(high for _, high in found.removed.values())


def test_plan_of_the_command_leaves_nothing_and_is_json(
    large: Corpus, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large.save()
    temporary = large.folder / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    manifest = str(large.folder / "m.yaml")
    assert main(["plan", manifest, "--sample", "300KB", "--workers", "1", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["num_tokens"] > 0
    assert values["seconds"] > 0
    assert not values["is_finished"]
    assert not large.out.exists()
    assert not list(temporary.iterdir())


def test_rows_that_would_be_quarantined_are_shown_with_their_place(prepared: Corpus) -> None:
    found = predicted(prepared, WHOLE)
    examples = {one.reason: one for one in found.examples}
    assert set(examples) == {"null_text", "not_json", "not_utf8", "missing_field"}
    assert examples["not_json"].path == "general-3.jsonl"
    assert examples["not_json"].row == len('{"id": "x", "text": null}\n')


def test_plan_of_a_manifest_without_inputs_fails_as_a_run_does(
    large: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    large.manifest["sources"][0]["paths"] = ["nothing*"]
    large.save()
    assert main(["plan", str(large.folder / "m.yaml"), "--workers", "1"]) == 2
    assert "no file matches" in capsys.readouterr().err
