"""Without a target there is no loss, and none is not a loss of 0."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import WIDTH, random_rows
from tests.training.runs import Train, metrics
from tests.training.shardfiles import Row, write_shards
from training.errors import ConfigError, DataError
from training.measures.documents import Pieces, Score, group_by_document
from training.measures.gate import check_gate_names, check_is_measured
from training.measures.targets import check_targets, scored_rows, without_targets
from training.sources.corpus import Corpus, open_shards


def masked(rows: list[Row]) -> list[Row]:
    return [replace(row, is_learned=False) for row in rows]


def shards(folder: Path, **changes: list[Row]) -> Path:
    """Sources `a` and `b` with rows to train on and to validate, but for what is given."""
    rows = {
        "a_train": random_rows(1, 40),
        "a_validation": random_rows(2, 9),
        "b_train": random_rows(3, 40),
        "b_validation": random_rows(4, 9),
        **changes,
    }
    parts = {(name[0], name[2:]): own for name, own in rows.items()}
    return write_shards(folder, parts, sequence_tokens=WIDTH)


def test_a_source_without_targets_is_left_out_of_all_measures(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shards(tmp_path / "shards", a_validation=masked(random_rows(2, 9)))
    assert train(shards=folder, tensorboard="false") == 0
    out = tmp_path / "run"
    assert all(set(line["sources"]) == {"b"} for line in metrics(out, "eval"))
    assert set(json.loads((out / "forgetting.json").read_text())["sources"]) == {"b"}
    printed = capsys.readouterr().out
    assert "a: none of its 9 validation rows has a target: left out of all measures" in printed
    assert "1.000" not in printed


def test_where_nothing_is_measured_there_is_no_best(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {f"{name}_validation": masked(random_rows(ord(name), 9)) for name in "ab"}
    assert train(shards=shards(tmp_path / "shards", **rows), tensorboard="false") == 0
    assert not list((tmp_path / "run").glob("best*"))
    assert not metrics(tmp_path / "run", "eval")
    assert "no source has validation targets: nothing was measured" in capsys.readouterr().out


def test_a_gate_on_it_is_refused_before_training(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shards(tmp_path / "shards", a_validation=masked(random_rows(2, 9)))
    assert train(shards=folder, gate__a=0.01) != 0
    assert "gate.a: no validation row of a has a target" in capsys.readouterr().err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_run_that_can_learn_nothing_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {f"{name}_train": masked(random_rows(ord(name), 40)) for name in "ab"}
    assert train(shards=shards(tmp_path / "shards", **rows)) != 0
    assert "a, b: no training row has a target" in capsys.readouterr().err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_sources_are_refused_only_where_all_that_are_drawn_have_none(tmp_path: Path) -> None:
    folder = shards(tmp_path, a_train=[*masked(random_rows(1, 39)), *random_rows(5, 1)])
    corpus = Corpus(open_shards([folder]), "train")
    assert check_targets(corpus, np.array([3, 3]), WIDTH, is_masked=False) == []
    folder = shards(tmp_path / "none", a_train=masked(random_rows(1, 40)))
    corpus = Corpus(open_shards([folder]), "train")
    assert check_targets(corpus, np.array([3, 3]), WIDTH, is_masked=False) == ["a"]
    assert check_targets(corpus, np.array([0, 3]), WIDTH, is_masked=False) == []
    with pytest.raises(DataError, match="a: no training row has a target"):
        check_targets(corpus, np.array([3, 0]), WIDTH, is_masked=False)


def test_only_the_rows_that_are_scored_count(tmp_path: Path) -> None:
    rows = random_rows(2, 9)
    folder = shards(tmp_path, a_validation=[*masked(rows[:8]), rows[8]])
    corpus = Corpus(open_shards([folder]), "validation")
    for num_rows, names in ((4, ["a"]), (9, [])):
        scored = scored_rows(corpus, num_rows)
        assert without_targets(corpus, scored, WIDTH, is_masked=False) == names


def test_single_tokens_are_targets_only_where_they_may_be_masked(tmp_path: Path) -> None:
    alone = [Row(documents=((7,), (8,), (9,)))]
    corpus = Corpus(open_shards([shards(tmp_path, a_validation=alone)]), "validation")
    rows = scored_rows(corpus, 1)
    assert without_targets(corpus, rows, WIDTH, is_masked=False) == ["a"]
    assert without_targets(corpus, rows, WIDTH, is_masked=True) == []


def test_figures_without_targets_are_not_known() -> None:
    score = Score(nats=0.0, num_targets=0, num_bytes=12)
    assert all(math.isnan(v) for v in (score.loss, score.perplexity, score.bits_per_byte))


def test_documents_of_which_nothing_is_learned_are_none() -> None:
    pieces = Pieces(
        sources=np.array([0, 0, 0, 1]),
        rows=np.arange(4),
        places=np.zeros(4, np.int64),
        keys=np.array([[1, 1], [2, 2], [3, 3], [4, 4]], np.uint64),
        nats=np.array([5.0, 0.0, 0.0, 0.0]),
        num_targets=np.array([9, 0, 0, 0]),
        num_bytes=np.array([20.0, 0.0, 4.0, 7.0]),
    )
    found = group_by_document([pieces], ["a", "b"])
    assert found.keys() == {"a"}
    assert found["a"].keys[:, 0].tolist() == [1, 3]  # the third has bytes that were context
    assert found["a"].score().num_bytes == 24


def test_a_gate_names_the_strata_that_have_none() -> None:
    names = ["a/x", "a/y", "a/z", "b/x", "b/y"]
    check_gate_names({"a": 0.1, "b/y": 0.1}, names, ["a/x", "b/x"])
    with pytest.raises(ConfigError, match=r"gate.b: no validation row of b/x has a target"):
        check_gate_names({"b": 0.1}, names, ["b/x"])
    with pytest.raises(ConfigError, match=r"gate.c: got 'c', which has no validation rows"):
        check_gate_names({"c": 0.1}, names, ["b/x"])
    with pytest.raises(ConfigError, match=r"gate.b: no target was drawn"):
        check_is_measured({"b": 0.1}, {})
