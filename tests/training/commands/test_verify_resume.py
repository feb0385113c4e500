"""`train verify-resume`."""

from pathlib import Path

import pytest
import torch

from training.commands.verify_resume import Reading, hash_batches, verify_resume
from training.config import TrainConfig
from training.config.mix import WidthPoint
from training.data import Data, open_data
from training.errors import ConfigError, ResumeMismatchError
from training.stream import Stream


def config(shard_dir: Path, **values: object) -> TrainConfig:
    values = {"batch_rows": 16, "steps": 20} | values
    return TrainConfig(model="m", shards=(shard_dir,), out=shard_dir / "out", **values)  # type: ignore[arg-type]


def test_every_number_of_ranks_and_readers_gives_the_same_batches(shard_dir: Path) -> None:
    lines: list[str] = []
    digest = verify_resume(config(shard_dir), lines.append, num_steps=3, from_step=7)
    assert len(lines) == 4 * 2 * 2
    assert all(line.endswith(f"steps 7 to 9 · {digest}") for line in lines)
    assert {line.split(" · ")[0] for line in lines} == {f"ranks {n}" for n in (1, 2, 4, 8)}


def test_the_hash_is_of_these_steps_of_this_run(shard_dir: Path) -> None:
    def digest(first: int = 0, **values: object) -> str:
        return verify_resume(
            config(shard_dir, **values), lambda _: None, num_steps=2, from_step=first
        )

    widths = (WidthPoint(from_step=0, tokens=16), WidthPoint(from_step=1, tokens=32))
    digests = [digest(), digest(1), digest(seed=18), digest(steps=30)]
    digests.append(digest(sequence_tokens=widths))
    assert len(set(digests)) == len(digests)
    assert digest() == digests[0]


def test_ranks_that_cannot_share_the_batch_are_named_and_left_out(shard_dir: Path) -> None:
    lines: list[str] = []
    verify_resume(config(shard_dir, batch_rows=6), lines.append, num_steps=1)
    assert lines[:2] == [
        "ranks 4 · left out: they cannot share 6 rows",
        "ranks 8 · left out: they cannot share 6 rows",
    ]
    assert len(lines) == 2 + 2 * 2 * 2


def test_the_end_of_the_run_ends_the_steps_and_a_step_behind_it_is_refused(
    shard_dir: Path,
) -> None:
    lines: list[str] = []
    verify_resume(config(shard_dir), lines.append, num_steps=5, from_step=18)
    assert "steps 18 to 19" in lines[0]
    with pytest.raises(ConfigError, match="--from: got step 20, want one of the run's 0 to 19"):
        verify_resume(config(shard_dir), lines.append, from_step=20)


def test_a_stream_that_depends_on_the_ranks_is_found_out(
    shard_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Stream.batch

    def shuffled_by_rank(self: Stream, first: int, num_rows: int, step: int) -> object:
        batch = whole(self, first, num_rows, step)
        return batch.map(lambda tensor: tensor.flip(0)) if num_rows < 16 else batch

    monkeypatch.setattr(Stream, "batch", shuffled_by_rank)
    with pytest.raises(ResumeMismatchError, match="4 different hashes for the same steps"):
        verify_resume(config(shard_dir), lambda _: None, num_steps=2)


def test_the_hash_is_over_ids_positions_and_labels(shard_dir: Path) -> None:
    data: Data = open_data(config(shard_dir), 1)
    import xxhash

    digest = xxhash.xxh3_128()
    for step in range(2):
        batch = data.stream.batch(step * 16, 16, step)
        for tensor in (batch.input_ids, batch.position_ids, batch.labels):
            assert tensor.dtype == torch.int64
            digest.update(tensor.numpy().tobytes())
    reading = Reading(world_size=4, num_readers=2, prefetch=True)
    assert hash_batches(data, 16, range(2), reading) == digest.hexdigest()
