"""Runs in processes of their own: killed, stopped, and two at a time under torchrun."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import tiny_llama

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def command(model: Path, shards: Path, out: Path, *more: str, processes: int = 1) -> list[str]:
    start = [sys.executable, "-m", "training"]
    if processes > 1:
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        start = [sys.executable, "-m", *launcher, "-m", "training"]
    arguments = ["--model", str(model), "--shards", str(shards), "--out", str(out)]
    fixed = ["steps=60", "batch_rows=4", "lr.peak=0.01", "eval_every=20", "save_every=5"]
    return [*start, *arguments, *(f"--set={value}" for value in [*fixed, *more])]


def finish(arguments: list[str]) -> str:
    done = subprocess.run(
        arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(out: Path) -> list[tuple[int, str]]:
    return values(out, "loss")


def values(out: Path, key: str) -> list[tuple[int, str]]:
    """A figure of every step, as hexadecimal digits that keep every bit."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], float(line[key]).hex()) for line in lines if line["kind"] == "step"]


def wait_for_step(out: Path, step: int, process: "subprocess.Popen[str]") -> None:
    path = out / "metrics.jsonl"
    for _ in range(6000):
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached in a minute")


@pytest.fixture(scope="module")
def whole(model_dir: Path, shard_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    finish(command(model_dir, shard_dir, out))
    return out


def interrupt(
    arguments: list[str], out: Path, step: int, number: signal.Signals
) -> tuple[int, str]:
    """Start, send the signal once the step is done, and wait for the end."""
    with subprocess.Popen(
        arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_step(out, step, process)
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=60)
    return process.returncode, stdout


def test_a_killed_run_gives_the_losses_and_weights_of_one_that_was_not(
    model_dir: Path, shard_dir: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "run"
    arguments = command(model_dir, shard_dir, out)
    code, _ = interrupt(arguments, out, 33, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert "resuming from checkpoint-" in finish(arguments)
    assert losses(out) == losses(whole)
    assert [step for step, _ in losses(out)] == list(range(1, 61))
    weights = [(run / "last" / "model.safetensors").read_bytes() for run in (whole, out)]
    assert weights[0] == weights[1]


def test_two_processes_give_the_losses_and_scores_of_one(
    model_dir: Path, shard_dir: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "run"
    printed = finish(command(model_dir, shard_dir, out, "micro_rows=1", processes=2))
    assert "2 process(es) on cpu" in printed
    assert printed.count("step 60: saved") == 1
    assert_close(losses(out), losses(whole))
    # AdamW does not see a gradient that is off by a factor, such as DDP's average; the norm does.
    assert_close(values(out, "grad_norm"), values(whole, "grad_norm"))
    reports = [json.loads((run / "forgetting.json").read_text()) for run in (whole, out)]
    for name, source in reports[0]["sources"].items():
        other = reports[1]["sources"][name]
        assert other["num_targets"] == source["num_targets"]
        assert other["num_bytes"] == source["num_bytes"]
        assert other["loss"]["after"] == pytest.approx(source["loss"]["after"], rel=1e-3)


@pytest.mark.slow
def test_a_run_stopped_by_sigterm_goes_on_with_two_processes(
    model_dir: Path, shard_dir: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "run"
    more = ["save_every=1000"]
    code, printed = interrupt(command(model_dir, shard_dir, out, *more), out, 17, signal.SIGTERM)
    assert code == 0
    assert "run the same command again to go on" in printed
    assert len(list(out.glob("checkpoint-*"))) == 1
    stopped_at = len(losses(out))
    printed = finish(command(model_dir, shard_dir, out, *more, processes=2))
    assert f"resuming from checkpoint-{stopped_at}" in printed
    assert losses(out)[:stopped_at] == losses(whole)[:stopped_at]
    assert_close(losses(out), losses(whole))


@pytest.mark.slow
def test_sharded_ranks_resume_on_one_and_on_two_again(
    model_dir: Path, shard_dir: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "run"
    sharded = ["parallel=fsdp", "save_every=1000"]
    arguments = command(model_dir, shard_dir, out, *sharded, processes=2)
    # The launcher hands the signal on, waits for the ranks and ends with an error of its own.
    _, printed = interrupt(arguments, out, 11, signal.SIGTERM)
    assert "run the same command again to go on" in printed
    first = len(losses(out))
    code, printed = interrupt(
        command(model_dir, shard_dir, out, *sharded), out, first + 15, signal.SIGTERM
    )
    assert code == 0
    assert f"resuming from checkpoint-{first}" in printed
    finish(arguments)
    assert_close(losses(out), losses(whole))
    assert_close(values(out, "grad_norm"), values(whole, "grad_norm"))
    weights = [load_file(run / "last" / "model.safetensors") for run in (whole, out)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.allclose(weights[0][n], weights[1][n], atol=1e-4) for n in weights[0])


@pytest.mark.slow
def test_two_processes_train_what_never_reaches_the_output_embedding(
    shard_dir: Path, tmp_path: Path
) -> None:
    tiny_llama(tie_word_embeddings=False).save_pretrained(tmp_path / "untied")
    objective = "objective={contrastive: {min_tokens: 4, group_rows: 2}}"
    more = [objective, "steps=4", "eval_every=4"]
    finish(command(tmp_path / "untied", shard_dir, tmp_path / "two", *more, processes=2))
    finish(command(tmp_path / "untied", shard_dir, tmp_path / "one", *more))
    assert_close(losses(tmp_path / "two"), losses(tmp_path / "one"))


def assert_close(got: list[tuple[int, str]], wanted: list[tuple[int, str]]) -> None:
    """The same steps, and losses that differ by rounding alone."""
    assert [step for step, _ in got] == [step for step, _ in wanted]
    numbers = [[float.fromhex(text) for _, text in column] for column in (got, wanted)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)
