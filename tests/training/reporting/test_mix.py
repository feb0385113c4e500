"""The planned mix as a report has it, against what the stream draws; and what is to stay."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import WIDTH, random_rows
from tests.training.runs import metrics, trainer
from tests.training.shardfiles import Row, write_shards
from training.config import TrainConfig
from training.data import open_data
from training.measures.record import planned_mix
from training.reporting.mix import planned_shares, realised_shares
from training.reporting.reading import read_run
from training.reporting.roles import kept_and_learned

NAMES = ("code/a", "code/b", "domain/easy", "domain/hard", "domain/mid", "general")


@pytest.fixture(scope="module")
def strata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = {
        (name, split): [
            Row(documents=row.documents, names=tuple(f"{name} {split} {i} {d}" for d in range(9)))
            for i, row in enumerate(random_rows(10 * seed + len(split), num, high=60))
        ]
        for seed, name in enumerate(NAMES)
        for split, num in (("train", 40 + 20 * seed), ("validation", 6))
    }
    return write_shards(tmp_path_factory.mktemp("strata"), rows, sequence_tokens=WIDTH)


SETTINGS: dict[str, Any] = {
    "mix": {
        "domain": {"start": 0.6, "max_epochs": 0.3},
        "general": {"start": 0.2, "end": 0.3},
        "code": {"start": 0.2, "end": 0.1},
    },
    "curricula": {"domain": {"order": ["easy", "mid", "hard"], "overlap": 0.1}},
    "replay": {"source": "general", "ratio": 0.1},
}


@pytest.mark.parametrize("steps", [40, 150])
def test_the_planned_mix_is_what_the_stream_draws(
    strata: Path, model_dir: Path, tmp_path: Path, steps: int
) -> None:
    """With an order of strata, a source that runs out, and replay; in each quarter of the run."""
    config = TrainConfig(
        model=str(model_dir), shards=(strata,), out=tmp_path, steps=steps, batch_rows=4, **SETTINGS
    )
    data = open_data(config, 1)
    planned = planned_mix(data)
    assert list(planned["weights"]) == list(NAMES)
    weights = np.array(list(planned["weights"].values())).T  # (parts, S)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)), abs=1e-5)
    drawn, num_blocks = data.plan.drawn, data.plan.num_blocks
    for part in range(4):
        of_plan = np.array_split(weights, 4)[part].mean(axis=0)
        first, last = (num_blocks * each // 4 for each in (part, part + 1))
        tokens = (drawn[last] - drawn[first]) * data.mix.mean_tokens
        assert of_plan == pytest.approx(tokens / tokens.sum(), abs=0.06)


def test_planned_and_realised_shares_of_a_curriculum_agree(
    strata: Path, model_dir: Path, tmp_path: Path
) -> None:
    train = trainer(model_dir, strata, tmp_path)
    sets = {key: json.dumps(value) for key, value in SETTINGS.items()}
    assert train(steps=40, eval_every=20, gate='{"domain": 900, "code/a": 900}', **sets) == 0
    run = read_run(tmp_path / "run")
    planned, realised = planned_shares(run), realised_shares(run)
    lines = metrics(tmp_path / "run", "step")
    whole = sum(sum(line["source_targets"].values()) for line in lines)
    for name in NAMES:
        own = sum(line["source_targets"][name] for line in lines)
        assert realised[name] == pytest.approx(own / whole)
        assert planned[name] == pytest.approx(realised[name], abs=0.02)
    assert kept_and_learned(run) == (["code/a", "general", "domain"], ["code"])


def test_steps_that_were_refused_have_learned_nothing(tmp_path: Path) -> None:
    lines = [
        {"kind": "step", "step": 1, "source_targets": {"a": 30, "b": 10}},
        {"kind": "step", "step": 2, "source_targets": {"a": 5, "b": 95}, "refused": True},
        {"kind": "step", "step": 3, "source_targets": {"a": 5, "b": 95}, "overflowed": True},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert realised_shares(read_run(tmp_path)) == {"a": 0.75, "b": 0.25}
