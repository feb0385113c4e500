"""Checkpoints: `out/checkpoint-<step>/`, complete by the time the name is there.

    checkpoint-<step>/          Hugging Face files (float32 weights, tokenizer): `from_pretrained`
    checkpoint-<step>/state/    trainer.json (state and identity of the run), optimizer.pt
    last                        symbolic link to the newest one
    best/                       Hugging Face files of the best evaluated step, best.json

A directory is written under a temporary name, every file is fsynced, then it is renamed. A crash
leaves a `.tmp-*` directory, which the next run removes.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.errors import CheckpointError
from training.state import TrainState

NAME = re.compile(r"checkpoint-(\d+)")
TEMPORARY = ".tmp-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """The checkpoints of one run directory. Only the main rank writes."""

    out: Path
    keep_last: int
    tokenizer_path: Path  # copied beside the weights where it exists
    identity: dict[str, Any]

    def latest(self) -> Path | None:
        """The complete checkpoint of the highest step."""
        found = self._all()
        return found[-1] if found else None

    def save(self, model: Any, optimizer: torch.optim.Optimizer, state: TrainState) -> Path:
        """Write `checkpoint-<step>`, point `last` at it, remove what `keep_last` does not keep."""
        final = self.out / f"checkpoint-{state.step}"
        record = {"state": state.to_json(), "identity": self.identity}
        if final.exists():  # stopped before the evaluation that this state has made up for
            replacement = self._new_name("trainer.json")
            _write_json(replacement, record)
            _fsync(replacement)
            replacement.replace(final / "state" / "trainer.json")
        else:
            temporary = self._new_directory(final.name)
            if not self._link_best(temporary, state):
                self._write_model(model, temporary)
            (temporary / "state").mkdir()
            torch.save(optimizer.state_dict(), temporary / "state" / "optimizer.pt")
            _write_json(temporary / "state" / "trainer.json", record)
            _publish(temporary, final)
        _point(self.out / "last", final.name)
        for old in self._all()[: -self.keep_last]:
            shutil.rmtree(old)
        return final

    def save_best(self, model: Any, state: TrainState) -> Path:
        """Replace `best/` by the model of this step."""
        final, temporary = self.out / "best", self._new_directory("best")
        self._write_model(model, temporary)
        record = {"step": state.best_step, "weighted_loss": state.best_loss}
        _write_json(temporary / "best.json", record)
        if final.exists():
            final.rename(self._new_name("replaced-best"))
        _publish(temporary, final)
        self.remove_temporary()
        return final

    def remove_temporary(self) -> None:
        """Remove what a crash left behind; a `best` that was being replaced is put back."""
        replaced = sorted(self.out.glob(f"{TEMPORARY}*replaced-best"))
        if replaced and not (self.out / "best").exists():
            replaced[-1].rename(self.out / "best")
        for path in self.out.glob(f"{TEMPORARY}*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _all(self) -> list[Path]:
        paths = self.out.iterdir() if self.out.is_dir() else iter(())
        steps = {int(m[1]): path for path in paths if (m := NAME.fullmatch(path.name))}
        return [steps[step] for step in sorted(steps)]

    def _link_best(self, directory: Path, state: TrainState) -> bool:
        """If this very step was just written as the best, link its files; tell whether it was."""
        best = self.out / "best"
        if state.best_step != state.step or not best.is_dir():
            return False
        shutil.copytree(
            best,
            directory,
            dirs_exist_ok=True,
            copy_function=os.link,
            ignore=shutil.ignore_patterns("best.json"),
        )
        return True

    def _write_model(self, model: Any, directory: Path) -> None:
        model.save_pretrained(directory)
        if self.tokenizer_path.is_dir():
            shutil.copytree(self.tokenizer_path, directory, dirs_exist_ok=True)

    def _new_name(self, name: str) -> Path:
        return self.out / f"{TEMPORARY}{os.getpid()}-{name}"

    def _new_directory(self, name: str) -> Path:
        path = self._new_name(name)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def read_record(checkpoint: Path) -> dict[str, Any]:
    """`trainer.json` of a checkpoint: `state` and `identity`. Raises `CheckpointError`."""
    path = checkpoint / "state" / "trainer.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CheckpointError(_damaged(path, exc)) from exc
    return record


def read_optimizer(checkpoint: Path, optimizer: torch.optim.Optimizer) -> None:
    """Load the moments into `optimizer`. Raises `CheckpointError`."""
    path = checkpoint / "state" / "optimizer.pt"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        optimizer.load_state_dict(saved)
    except (OSError, ValueError, KeyError, RuntimeError, EOFError) as exc:
        raise CheckpointError(_damaged(path, exc)) from exc


def _damaged(path: Path, exc: Exception) -> str:
    return (
        f"{path}: cannot be read back ({str(exc).strip().partition(chr(10))[0]}); "
        f"remove {path.parent.parent} to resume from the checkpoint before it"
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _publish(temporary: Path, final: Path) -> None:
    """Make every byte durable, then make the name appear."""
    for path in [*temporary.rglob("*"), temporary]:
        _fsync(path)
    temporary.rename(final)
    _fsync(final.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f"{TEMPORARY}{os.getpid()}-{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
