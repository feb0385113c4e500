"""A small run with a mix, a gate, two terms of the objective and samples."""

import shutil
from pathlib import Path

from tests.training.runs import trainer


def finished(model_dir: Path, shards: Path, folder: Path) -> Path:
    """24 steps; the directory of the run."""
    run = trainer(model_dir, shards, folder)
    mix = '{"domain": {"start": 0.5, "end": 0.9}, "general": {"start": 0.5, "end": 0.1}}'
    objective = '{"clm": 1.0, "z_loss": 0.0001}'
    sets = {"mix": mix, "gate__general": 9, "objective": objective}
    assert run("run", steps=24, eval_every=6, save_every=24, **sets) == 0
    shutil.rmtree(folder / "run" / "tensorboard", ignore_errors=True)
    return folder / "run"
