"""`training.train`: the command as a function, from a script and in a notebook."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from training import Trained, train
from training.errors import ConfigError


def values_of(model_dir: Path, shard_dir: Path, out: Path) -> dict[str, Any]:
    return {
        "shards": [str(shard_dir)],
        "model": str(model_dir),
        "out": str(out),
        "steps": 3,
        "batch_rows": 4,
        "device": "cpu",
        "tensorboard": False,
    }


@pytest.fixture
def done(model_dir: Path, shard_dir: Path, tmp_path: Path) -> Trained:
    return train(values_of(model_dir, shard_dir, tmp_path / "run"), quiet=True)


def test_values_train_and_what_came_of_it_is_told(done: Trained, tmp_path: Path) -> None:
    assert (done.out, done.step, done.num_skipped) == (tmp_path / "run", 3, 0)
    assert AutoModelForCausalLM.from_pretrained(done.model).config.model_type == "llama"
    told = json.loads((done.out / "forgetting.json").read_text())
    assert done.forgetting == told
    html = done._repr_html_()
    for name, source in told["sources"].items():
        assert f"<td>{name}</td>" in html
        assert f"{source['perplexity']['after']:,.3f}" in html


def test_a_file_and_a_second_call_go_on(
    done: Trained, model_dir: Path, shard_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(json.dumps(values_of(model_dir, shard_dir, tmp_path / "run")))
    before = (done.out / "metrics.jsonl").read_bytes()
    again = train(path, quiet=True)
    assert again == done
    assert (done.out / "metrics.jsonl").read_bytes() == before


def test_a_run_that_measured_nothing_says_where_its_model_is(tmp_path: Path) -> None:
    shown = Trained(tmp_path / "<b>run</b>", 12, 0)
    assert shown.forgetting == {}
    assert "<b>" not in shown._repr_html_()
    assert "12 steps" in shown._repr_html_()


def test_a_mistake_is_an_error_to_catch(model_dir: Path, shard_dir: Path, tmp_path: Path) -> None:
    values = values_of(model_dir, shard_dir, tmp_path)
    with pytest.raises(ConfigError, match=r"^stpes: unknown key"):
        train({**values, "stpes": 3})
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        train(tmp_path / "gone.yaml")
