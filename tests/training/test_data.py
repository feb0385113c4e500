"""Opening the data of a run."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.training.conftest import WIDTH, random_rows
from tests.training.shardfiles import Row, write_shards
from training.config import TrainConfig
from training.config.mix import OnlineMixing, WidthPoint
from training.data import open_data
from training.errors import ConfigError, DataError, ResumeError
from training.mix.control import skip_event, weights_event

WIDTHS = (WidthPoint(from_step=0, tokens=8), WidthPoint(from_step=3, tokens=9))
VALUES = {"batch_rows": 8, "steps": 40}


def config(out: Path, *shards: Path, **values: object) -> TrainConfig:
    return TrainConfig(model="m", shards=shards, out=out, **(VALUES | values))  # type: ignore[arg-type]


def make(path: Path, seed: int, *names: str) -> Path:
    rows: dict[tuple[str, str], list[Row]] = {}
    for number, name in enumerate(names):
        rows[name, "train"] = random_rows(10 * seed + number, 30)
        rows[name, "validation"] = random_rows(10 * seed + number + 5, 3)
    return write_shards(path, rows, sequence_tokens=WIDTH)


def test_the_data_of_a_run_knows_its_length_sources_and_rows(
    tmp_path: Path, shard_dir: Path
) -> None:
    data = open_data(config(tmp_path, shard_dir), 2)
    assert (data.num_steps, data.plan.num_rows) == (40, 320)
    assert data.names == ("domain", "general")
    assert data.sequence_tokens == WIDTH
    assert data.final_weights() == pytest.approx({"domain": 0.9, "general": 0.1})
    assert len(data.fingerprints) == 1
    domain, general = data.describe()
    assert domain == "domain: 223 rows drawn of 40 (5.58 epochs), weight 0.5 to 0.9"
    assert general.startswith("general: 97 rows drawn of 60 (1.62 epochs)")


@pytest.mark.parametrize(
    ("values", "world_size", "message"),
    [
        ({"batch_rows": 6}, 4, r"batch_rows: got 6, which 4 processes cannot share.*such as 4"),
        ({"batch_rows": 2}, 8, r"batch_rows: got 2.*want a multiple of 8, such as 8"),
        ({"sequence_tokens": 24}, 1, r"sequence_tokens: got 24, want a divisor.*32, such as 16"),
        (
            {"sequence_tokens": WIDTHS},
            1,
            r"sequence_tokens: got 9, want a divisor of the shards' 32, such as 8",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_with_a_number_that_can(
    tmp_path: Path, shard_dir: Path, values: dict[str, object], world_size: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_data(config(tmp_path, shard_dir, **values), world_size)


def test_a_length_warm_up_is_validated_at_its_widest(tmp_path: Path, shard_dir: Path) -> None:
    widths = (WidthPoint(from_step=0, tokens=8), WidthPoint(from_step=9, tokens=16))
    data = open_data(config(tmp_path, shard_dir, sequence_tokens=widths), 1)
    assert data.sequence_tokens == 16
    assert data.stream.batch(0, 8, 0).input_ids.shape == (32, 8)


def test_shards_without_training_rows_are_refused(tmp_path: Path) -> None:
    shards = write_shards(
        tmp_path / "s", {("a", "validation"): random_rows(0, 3)}, sequence_tokens=WIDTH
    )
    with pytest.raises(DataError, match="no training rows"):
        open_data(config(tmp_path, shards), 1)


def test_online_mixing_of_one_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to choose between"):
        open_data(config(tmp_path, make(tmp_path / "s", 1, "a"), online=OnlineMixing()), 1)


def damage(shards: Path) -> Path:
    path = shards / "shards/a/train/part-00000.arrow"
    data = bytearray(path.read_bytes())
    tokens = pa.ipc.open_file(path.read_bytes()).read_all()["tokens"].combine_chunks().flatten()
    data[data.index(tokens.to_numpy()[:8].tobytes())] ^= 1
    path.write_bytes(data)
    return path


def test_a_part_that_fails_its_hash_is_refused_before_anything_else_is_done(
    tmp_path: Path,
) -> None:
    shards = make(tmp_path / "s", 1, "a")
    path = damage(shards)
    out = tmp_path / "out"
    with pytest.raises(DataError, match=rf"{path}: sha256 is .*run `prepare verify`"):
        open_data(config(out, shards), 1)
    assert not (out / "verified.json").exists()
    assert open_data(config(out, shards), 2, rank=1)  # the main rank says so
    assert open_data(config(out, shards, verify_shards=False), 1)


def test_what_was_hashed_is_not_hashed_again_unless_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    import training.sources.verified as verified

    def count(shards: Path, index: object) -> list[str]:
        hashed.extend(shard.path for shard in index.shards)  # type: ignore[attr-defined]
        return list(damaged(shards, index))

    damaged = verified.damaged_shards
    monkeypatch.setattr(verified, "damaged_shards", count)
    shards, out = make(tmp_path / "s", 1, "a", "b"), tmp_path / "out"
    open_data(config(out, shards), 1)
    assert len(hashed) == 4
    open_data(config(out, shards), 1)
    assert len(hashed) == 4
    damage(shards)
    with pytest.raises(DataError, match="sha256"):
        open_data(config(out, shards), 1)
    assert hashed[4:] == ["a/train/part-00000.arrow"]


def test_resuming_takes_the_shards_in_any_order(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", 1, "a", "b"), make(tmp_path / "2", 2, "b", "c")
    begun = open_data(config(tmp_path, one, two), 1)
    resumed = open_data(config(tmp_path, two, one), 1, fingerprints=begun.fingerprints)
    assert resumed.fingerprints == begun.fingerprints
    assert resumed.stream.key == begun.stream.key
    batches = [data.stream.batch(0, 320, 0) for data in (begun, resumed)]
    assert batches[0].input_ids.tolist() == batches[1].input_ids.tolist()


def test_an_extended_run_goes_on_from_the_next_block_and_resumes_by_its_log(
    tmp_path: Path,
) -> None:
    one, two = make(tmp_path / "1", 1, "m", "n"), make(tmp_path / "2", 2, "a")
    begun = open_data(config(tmp_path, one), 1)
    extended = open_data(
        config(tmp_path, two, one), 1, fingerprints=begun.fingerprints, extend=True,
        consumed_rows=101,
    )  # fmt: skip
    assert extended.new_event is not None
    assert extended.new_event["row"] == 105  # blocks are of 5 rows
    assert extended.new_event["sources"]["a"] / 65536 == pytest.approx(1 / 3, abs=0.02)
    assert extended.names == ("m", "n", "a")
    assert extended.fingerprints == begun.fingerprints
    before = extended.stream.batch(0, 105, 0)
    assert before.input_ids.tolist() == begun.stream.batch(0, 105, 0).input_ids.tolist()
    assert 2 in extended.stream.batch(105, 20, 0).sources.tolist()
    assert [size.name for size in extended.validation.sizes] == ["m", "n", "a"]
    log = json.loads(json.dumps(extended.stream.log))
    resumed = open_data(config(tmp_path, one, two), 1, fingerprints=begun.fingerprints, control=log)
    assert resumed.new_event is None
    assert resumed.stream.rows(0, 320).tolist() == extended.stream.rows(0, 320).tolist()
    assert resumed.final_weights() == extended.final_weights()


def test_a_rewound_run_reads_by_the_log_of_its_checkpoint(tmp_path: Path, shard_dir: Path) -> None:
    data = open_data(config(tmp_path, shard_dir), 1)
    events = [weights_event(row, ["domain", "general"], np.array([0.1, 0.9])) for row in (100, 200)]
    lived = data.stream.with_event(events[0])
    spiked = lived.with_event(events[1])
    spiked.rows(200, 100)
    rewound = data.replayed(lived.log).with_event(skip_event(192, 208))
    assert rewound.rows(0, 320).tolist() == lived.rows(0, 320).tolist()
    assert rewound.rows(200, 120).tolist() != data.stream.rows(200, 120).tolist()
    assert rewound.is_skipped(192, 8)


def test_shards_that_are_new_or_gone_are_refused_by_name(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", 1, "m"), make(tmp_path / "2", 2, "a")
    begun = open_data(config(tmp_path, one), 1).fingerprints
    with pytest.raises(ResumeError, match=rf"has not seen {two}/shards; give --extend"):
        open_data(config(tmp_path, one, two), 1, fingerprints=begun)
    with pytest.raises(ResumeError, match=rf"fingerprint {begun[0]}, which are not there"):
        open_data(config(tmp_path, two), 1, fingerprints=begun, extend=True)
    with pytest.raises(ResumeError, match="add the new directory"):
        open_data(config(tmp_path, one), 1, fingerprints=begun, extend=True)


@pytest.mark.parametrize(
    ("names", "consumed", "message"),
    [
        (("m", "x"), 100, r"source 'm' is in the run already.*rename the source"),
        (("x",), 316, r"come after the last block of the run"),
    ],
)
def test_an_extension_that_cannot_be_is_refused(
    tmp_path: Path, names: tuple[str, ...], consumed: int, message: str
) -> None:
    one, two = make(tmp_path / "1", 1, "m"), make(tmp_path / "2", 2, *names)
    begun = open_data(config(tmp_path, one), 1).fingerprints
    with pytest.raises(DataError, match=message):
        open_data(
            config(tmp_path, one, two), 1, fingerprints=begun, extend=True, consumed_rows=consumed
        )
