"""Runs of `train` in this process, and what they left."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from training import loop
from training.cli import main
from training.running import Run

Train = Callable[..., int]


def trainer(model_dir: Path, shard_dir: Path, tmp_path: Path) -> Train:
    """Run `train` on the tiny model and shards, with `--set` from keyword arguments."""

    def run(
        out: str = "run",
        model: Path = model_dir,
        shards: Path = shard_dir,
        more: Sequence[str] = (),
        **sets: Any,
    ) -> int:
        values = {"steps": 8, "batch_rows": 4, "lr.peak": 0.01, "eval_every": 4, "save_every": 3}
        values["report"] = "false"  # seconds of drawing, in hundreds of runs
        values |= {key.replace("__", "."): value for key, value in sets.items()}
        arguments = ["--shards", str(shards), "--out", str(tmp_path / out), *more]
        values["model"] = model
        return main([*arguments, *(f"--set={key}={value}" for key, value in values.items())])

    return run


def metrics(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def losses(out: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in metrics(out, "step")]


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ask the next run to stop when this step is done, as a signal does."""
    take_step = loop.take_step

    def stopping(run: Run, state: Any) -> Any:
        result = take_step(run, state)
        run.stop.requested = result[0].step == step
        return result

    monkeypatch.setattr(loop, "take_step", stopping)
