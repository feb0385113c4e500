"""`train compare`: what differs between two runs, and how sure what it did is."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.training.conftest import HOSTILE
from tests.training.runs import Train, metrics
from training.cli import main
from training.reporting.comparing import read_pair, sentences


@pytest.fixture
def other(spoken: Train, tmp_path: Path) -> Path:
    """A longer run with a higher learning rate, without the mix."""
    assert spoken("other", steps=30, eval_every=10, lr__peak=0.02) == 0
    return tmp_path / "other"


def test_differences_intervals_and_samples_of_two_runs(
    finished_run: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    page = tmp_path / "both.html"
    assert main(["compare", str(finished_run), str(other), "--output", str(page)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"lr\.peak +0\.01 +0\.02", printed)
    assert "The last evaluations are of different steps: 24 and 30." in printed
    values = [metrics(out, "eval")[-1]["sources"]["domain"] for out in (finished_run, other)]
    change = 100 * (values[1]["perplexity"] / values[0]["perplexity"] - 1)
    pair = read_pair(finished_run, other)
    (domain,) = [result for result in pair.results if result.name == "domain"]
    assert domain.change.value == pytest.approx(change)
    assert domain.num_paired > 10
    assert domain.change.low is not None
    assert domain.change.low < change
    assert domain.change.high is not None
    assert domain.change.high > change
    html = page.read_text()
    assert HOSTILE not in html
    assert "lr.peak" in html
    assert html.count("<svg") >= 3


def test_a_run_and_its_copy_do_not_differ(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "copy", symlinks=True)
    pair = read_pair(finished_run, tmp_path / "copy")
    assert not pair.config
    assert not pair.origin
    assert all(result.change.value == 0 and not result.change.is_clear for result in pair.results)
    assert "The configs are the same." in sentences(pair)


def test_perplexities_of_two_tokenizers_are_not_compared(
    finished_run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "copy", symlinks=True)
    record = json.loads((copy / "run.json").read_text())
    record["shards"][0]["tokenizer"] = "another"
    (copy / "run.json").write_text(json.dumps(record))
    pair = read_pair(finished_run, copy)
    assert all(result.perplexity is None and not result.num_paired for result in pair.results)
    said = " ".join(sentences(pair))
    assert "perplexities are not compared, bits per byte are" in said
    assert "bits per byte of copy" in said


def test_runs_without_scores_of_documents_are_compared_without_intervals(
    finished_run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "copy", symlinks=True)
    (copy / "evaluation.arrow").unlink()
    (copy / "run.json").unlink()
    pair = read_pair(finished_run, copy)
    assert all(result.change.low is None for result in pair.results)
    said = " ".join(sentences(pair))
    assert "has no interval" in said
    assert "wrote no run.json" in said


def test_one_run_given_twice_is_refused(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(finished_run), str(finished_run)]) == 2
    assert "given twice" in capsys.readouterr().err


def test_names_of_sources_do_nothing_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"loss": 1.0, "perplexity": 2.7, "bits_per_byte": 1.0}
    line = {"kind": "eval", "step": 0, "sources": {"\x1b]0;owned\x07": scores}}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert "␛]0;owned␇" in out
    assert not {"\x1b", "\x07"} & set(out)
