"""Checkpoints on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.conftest import tiny_llama
from training.checkpoint import Checkpoints, read_optimizer, read_record
from training.errors import CheckpointError
from training.optimizer import make_optimizer
from training.state import TrainState


def make_optimizer_of(model: Any) -> torch.optim.Optimizer:
    optimizer = make_optimizer(
        model, weight_decay=0.1, betas=(0.9, 0.95), device=torch.device("cpu")
    )
    model(input_ids=torch.arange(8)[None]).logits.sum().backward()
    optimizer.step()
    return optimizer


def make(out: Path, keep_last: int = 3) -> Checkpoints:
    tokenizer = out.parent / "tokenizer"
    tokenizer.mkdir(exist_ok=True)
    (tokenizer / "tokenizer.json").write_text("{}")
    return Checkpoints(
        out=out, keep_last=keep_last, tokenizer_path=tokenizer, identity={"shards": ["x"]}
    )


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def test_weights_moments_and_state_come_back_to_the_bit(tmp_path: Path) -> None:
    model, state = tiny_llama(), TrainState(step=7, consumed_rows=56)
    optimizer = make_optimizer_of(model)
    path = make(tmp_path / "run").save(model, optimizer, state)
    loaded = AutoModelForCausalLM.from_pretrained(path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    other = make_optimizer_of(loaded)
    read_optimizer(path, other)
    for was, now in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert all(torch.equal(was[key], now[key]) for key in was)
    record = read_record(path)
    assert TrainState.from_json(record["state"]) == state
    assert record["identity"] == {"shards": ["x"]}
    assert (path / "tokenizer.json").is_file()


def test_the_last_n_are_kept_and_last_points_at_the_newest(tmp_path: Path) -> None:
    model, out = tiny_llama(), tmp_path / "run"
    checkpoints, optimizer = make(out, keep_last=2), make_optimizer_of(model)
    for step in (5, 9, 10, 100):
        checkpoints.save(model, optimizer, TrainState(step=step))
    assert names(out) == {"checkpoint-10", "checkpoint-100", "last"}
    assert checkpoints.latest() == out / "checkpoint-100"
    assert (out / "last").resolve() == (out / "checkpoint-100").resolve()


def test_best_is_replaced_and_linked_from_the_checkpoint_of_its_step(tmp_path: Path) -> None:
    model, out = tiny_llama(), tmp_path / "run"
    checkpoints, optimizer = make(out), make_optimizer_of(model)
    for step in (3, 4):
        state = TrainState(step=step, best_step=step, best_loss=1 / step)
        checkpoints.save_best(model, state)
    path = checkpoints.save(model, optimizer, state)
    assert names(out) == {"best", "checkpoint-4", "last"}
    weights = [directory / "model.safetensors" for directory in (out / "best", path)]
    assert weights[0].stat().st_ino == weights[1].stat().st_ino
    assert '"step": 4' in (out / "best" / "best.json").read_text()
    assert not (path / "best.json").exists()
    AutoModelForCausalLM.from_pretrained(out / "best")


def test_a_failure_while_writing_leaves_no_checkpoint(tmp_path: Path) -> None:
    class Failing:
        def save_pretrained(self, directory: Path) -> None:
            (directory / "model.safetensors").write_bytes(b"half")
            raise OSError("disk full")

    model, out = tiny_llama(), tmp_path / "run"
    checkpoints, optimizer = make(out), make_optimizer_of(model)
    checkpoints.save(model, optimizer, TrainState(step=1))
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(Failing(), optimizer, TrainState(step=2))
    assert checkpoints.latest() == out / "checkpoint-1"
    checkpoints.remove_temporary()
    assert names(out) == {"checkpoint-1", "last"}


def test_a_best_that_was_being_replaced_is_put_back(tmp_path: Path) -> None:
    model, out = tiny_llama(), tmp_path / "run"
    checkpoints = make(out)
    checkpoints.save_best(model, TrainState(step=3, best_step=3))
    (out / "best").rename(out / ".tmp-77-replaced-best")
    (out / ".tmp-77-best").mkdir()
    checkpoints.remove_temporary()
    assert names(out) == {"best"}


def test_a_step_saved_twice_keeps_its_weights_and_takes_the_newer_state(tmp_path: Path) -> None:
    model, out = tiny_llama(), tmp_path / "run"
    checkpoints, optimizer = make(out), make_optimizer_of(model)
    state = TrainState(step=1)
    checkpoints.save(model, optimizer, state)
    path = checkpoints.save(model, optimizer, replace(state, evaluated_step=1))
    assert TrainState.from_json(read_record(path)["state"]).evaluated_step == 1


@pytest.mark.parametrize("file", ["trainer.json", "optimizer.pt"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str) -> None:
    model = tiny_llama()
    optimizer = make_optimizer_of(model)
    path = make(tmp_path / "run").save(model, optimizer, TrainState(step=1))
    damaged = path / "state" / file
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=f"{file}: cannot be read back .* remove .*-1 to"):
        read_record(path) and read_optimizer(path, optimizer)
