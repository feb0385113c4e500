"""The train config."""

from pathlib import Path

import pytest

from training.config import FREE_KEYS, TrainConfig, fixed_values, read_config
from training.errors import ConfigError

EXAMPLE = """\
model: models/smollm2
shards: [build/python-docs]
out: runs/python
seed: 17
steps: 2000
batch_rows: 64
sequence_tokens: 2048
mix:
  domain:  {start: 0.5, end: 0.9, schedule: linear, max_epochs: 4}
  general: {start: 0.5, end: 0.1}
replay: {source: general, ratio: 0.05}
objective: {clm: 1.0}
lr: {peak: 1.0e-5, warmup: 0.03, decay: cosine, floor: 0.1}
weight_decay: 0.01
max_grad_norm: 1.0
precision: bf16
save_every: 500
eval_every: 250
keep_last: 3
keep_best: 1
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_documented_config_is_read(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "train.yaml", EXAMPLE))
    assert config.shards == (Path("build/python-docs"),)
    assert config.mix is not None
    assert config.mix["domain"].weight(0.5) == pytest.approx(0.7)
    assert config.mix["general"].weight(0.5) == pytest.approx(0.3)


def test_flags_and_then_set_override_the_file(tmp_path: Path) -> None:
    config = read_config(
        write(tmp_path / "train.yaml", EXAMPLE),
        shards=[Path("a"), Path("b: c")],
        out=Path("elsewhere"),
        overrides=["lr.peak=3e-4", "steps=7", "mix.domain.max_epochs=2.5"],
    )
    assert config.shards == (Path("a"), Path("b: c"))
    assert (config.out, config.steps, config.lr.peak) == (Path("elsewhere"), 7, 3e-4)
    assert config.mix is not None
    assert config.mix["domain"].max_epochs == 2.5


def test_no_file_is_needed() -> None:
    config = read_config(None, shards=[Path("a")], model="m", out=Path("o"))
    assert config == TrainConfig(model="m", shards=(Path("a"),), out=Path("o"))


def test_without_a_file_the_missing_flags_are_named() -> None:
    with pytest.raises(ConfigError, match="got no --model, --out; give them"):
        read_config(None, shards=[Path("a")])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bach_rows: 3", r"train.yaml:4: bach_rows: unknown key \(did you mean 'batch_rows'\?\)"),
        ("batch_rows: 0", r"train.yaml:4: batch_rows: got 0: input should be greater than or eq"),
        ("lr: {peak: -1}", r"train.yaml:4: lr.peak: got -1: input should be greater than 0"),
        ("lr: {decay: step}", r"train.yaml:4: lr.decay: got 'step'.*'cosine', 'linear'"),
        ("mix: {a: {start: 0.5}}", r"the weights of mix add up to 0.5 at the start, want 1"),
        ("mix: {a: {start: 1, end: 0.2}}", r"add up to 0.2 at the end, want 1"),
        ("mix: {a: {start: 1, end: 0, schedule: fixed}}", r"a fixed schedule has no other end"),
        ("objective: {kl: 0.1}", r"objective.kl: unknown key.*known keys: clm"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    text = f"model: m\nshards: [s]\nout: o\n{line}\n"
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path / "train.yaml", text))


def test_what_may_change_on_resume_is_told_from_what_may_not() -> None:
    config = TrainConfig(model="m", shards=(Path("a"),), out=Path("o"))
    assert not FREE_KEYS & fixed_values(config).keys()
    assert FREE_KEYS | fixed_values(config).keys() == TrainConfig.model_fields.keys()
