"""The order of the run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import WIDTH
from training.config import MixEntry, TrainConfig
from training.corpus import Corpus, open_shards
from training.mixing import resolve_mix, solve
from training.stream import Stream


def make_stream(shard_dir: Path, num_rows: int = 1000, key: int = 1) -> Stream:
    mix = {"domain": MixEntry(start=0.5, end=0.9), "general": MixEntry(start=0.5, end=0.1)}
    config = TrainConfig(model="m", shards=(shard_dir,), out=shard_dir, mix=mix)
    corpus = Corpus(open_shards([shard_dir]), "train")
    plan = solve(resolve_mix(config, corpus.sizes), num_rows)
    return Stream(corpus=corpus, plan=plan, key=key, sequence_tokens=WIDTH)


def test_any_cut_of_the_run_gives_the_same_rows(shard_dir: Path) -> None:
    stream = make_stream(shard_dir)
    whole = stream.rows(0, 1000)
    random = np.random.default_rng(0)
    for _ in range(50):
        first, last = sorted(random.integers(0, 1001, 2).tolist())
        if first < last:
            assert stream.rows(first, last - first).tolist() == whole[first:last].tolist()


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_ranks_share_a_batch_without_gap_or_overlap(shard_dir: Path, world_size: int) -> None:
    stream, batch_rows = make_stream(shard_dir), 16
    whole = stream.batch(3 * batch_rows, batch_rows)
    share = batch_rows // world_size
    parts = [stream.batch(3 * batch_rows + r * share, share) for r in range(world_size)]
    assert torch.equal(torch.cat([p.input_ids for p in parts]), whole.input_ids)
    assert torch.equal(torch.cat([p.labels for p in parts]), whole.labels)
    assert torch.equal(torch.cat([p.position_ids for p in parts]), whole.position_ids)
    assert sum(p.num_tokens for p in parts) == whole.num_tokens


def test_an_epoch_takes_each_row_once_and_the_next_in_another_order(shard_dir: Path) -> None:
    stream = make_stream(shard_dir)
    rows = stream.rows(0, 1000)
    drawn = rows[rows < 40]  # `domain`, the first source, has 40 rows
    epochs = [drawn[i : i + 40].tolist() for i in range(0, len(drawn) - 40, 40)]
    # Rows within a block are shuffled once more, so an epoch may reach over its end by a block.
    counts = np.bincount(drawn, minlength=40)
    assert counts.max() - counts.min() <= 2
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_mix_of_the_stream_is_the_plan(shard_dir: Path) -> None:
    stream = make_stream(shard_dir)
    for block in range(stream.plan.num_blocks):
        rows = stream.rows(0, min(1000, (block + 1) * stream.plan.block_rows))
        counts = [(rows < 40).sum(), (rows >= 40).sum()]
        assert counts == stream.plan.drawn[block + 1].tolist()


def test_another_key_is_another_order_of_the_same_mix(shard_dir: Path) -> None:
    first, second = (make_stream(shard_dir, key=key).rows(0, 1000) for key in (1, 2))
    assert (first == second).mean() < 0.1
    assert (first < 40).sum() == (second < 40).sum()


def test_the_order_does_not_change_between_versions(shard_dir: Path) -> None:
    # Whoever changes the order breaks the resuming of runs that are under way.
    order = [38, 7, 16, 37, 29, 46, 63, 96, 73, 32, 95, 94]
    assert make_stream(shard_dir).rows(0, 12).tolist() == order


def test_rows_past_the_end_are_an_error(shard_dir: Path) -> None:
    with pytest.raises(IndexError, match="of a stream of 1000"):
        make_stream(shard_dir).rows(990, 11)


def test_describe_names_rows_within_their_source(shard_dir: Path) -> None:
    stream = make_stream(shard_dir)
    rows, described = stream.rows(8, 8), stream.describe(8, 8)
    assert sorted(described["domain"]) == sorted(rows[rows < 40].tolist())
    assert sorted(described["general"]) == sorted((rows[rows >= 40] - 40).tolist())
