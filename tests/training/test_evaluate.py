"""Validation scores."""

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import tiny_llama
from training.batch import make_batch
from training.corpus import Corpus, open_shards
from training.evaluate import Evaluator, Score, weighted_loss
from training.parallel import Workers


def make_evaluator(
    shard_dir: Path, num_rows: int, *, micro_rows: int = 2, **ranks: int
) -> Evaluator:
    workers = Workers(**({"rank": 0, "size": 1} | ranks), device=torch.device("cpu"))
    return Evaluator(
        corpus=Corpus(open_shards([shard_dir]), "validation"),
        num_rows=num_rows,
        sequence_tokens=16,
        micro_rows=micro_rows,
        workers=workers,
        autocast=nullcontext,
    )


def test_scores_are_sums_over_the_first_rows_of_each_source(shard_dir: Path) -> None:
    model, evaluator = tiny_llama(), make_evaluator(shard_dir, 4)
    heard: list[int] = []
    scores = evaluator.evaluate(model, heard.append)
    assert list(scores) == ["domain", "general"]
    assert sum(heard) == evaluator.num_local_rows == 8
    for name, first in (("domain", 0), ("general", 6)):
        batch = make_batch(evaluator.corpus.gather(np.arange(first, first + 4)), 16)
        logits = model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
        ).logits
        nats = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), reduction="sum"
        )
        assert scores[name].nats == pytest.approx(nats.item(), rel=1e-6)
        assert scores[name].num_targets == int((batch.labels >= 0).sum())
        assert scores[name].num_bytes == batch.num_bytes


def test_fewer_rows_than_asked_for_are_all_used(shard_dir: Path) -> None:
    assert make_evaluator(shard_dir, 100).num_local_rows == 12


def test_ranks_score_every_row_once(shard_dir: Path) -> None:
    rows = [
        number
        for rank in range(3)
        for _, numbers in make_evaluator(shard_dir, 5, rank=rank, size=3)._rows()
        for number in numbers
    ]
    assert sorted(rows) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_dropout_is_off_and_training_goes_on_after(shard_dir: Path) -> None:
    model = tiny_llama(attention_dropout=0.5)
    evaluator = make_evaluator(shard_dir, 2)
    assert evaluator.evaluate(model, id) == evaluator.evaluate(model, id)
    assert model.training


def test_figures_are_divided_once() -> None:
    score = Score(nats=100.0, num_targets=50, num_bytes=200)
    assert score.loss == 2.0
    assert score.perplexity == pytest.approx(math.exp(2))
    assert score.bits_per_byte == pytest.approx(100 / math.log(2) / 200)
    assert Score(nats=1e9, num_targets=1, num_bytes=1).perplexity < math.inf


def test_the_weighted_loss_leaves_out_what_was_not_scored() -> None:
    scores = {
        "domain": Score(nats=20, num_targets=10, num_bytes=1),
        "general": Score(nats=40, num_targets=10, num_bytes=1),
    }
    assert weighted_loss(scores, {"domain": 0.9, "general": 0.1}) == pytest.approx(2.2)
    assert weighted_loss(scores, {"domain": 0.3, "other": 0.7}) == pytest.approx(2.0)
    assert weighted_loss(scores, {"other": 1.0}) == pytest.approx(3.0)
