"""`metrics.jsonl`: one JSON object per step and per evaluation, in order, never twice.

    {"kind": "step", "step": 1, "loss": ..., "learning_rate": ..., "grad_norm": ..., ...}
    {"kind": "skipped", "step": 7, "reason": ..., "first_row": ..., "rows": {"domain": [...]}}
    {"kind": "eval", "step": 0, "sources": {"domain": {"loss": ..., "perplexity": ..., ...}}}

`step` counts the steps done, so the first line of a run is the evaluation at step 0.
"""

import json
import math
import os
from pathlib import Path
from typing import Any, TextIO

from training.evaluate import Evaluation


class MetricsFile:
    """Appends to the file; opening it for a run resumed at `step` cuts what came after."""

    def __init__(self, path: Path | None, step: int | None) -> None:
        """`path` None: write to nowhere. `step`: where the run resumes; None starts anew."""
        self._file = None if path is None else _reopen(path, step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line and hand it to the system, so that `tail -f` sees it."""
        if self._file is not None:
            line = json_line({"kind": kind, "step": step, **values})
            self._file.write(line + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Make all lines durable; called before a checkpoint that counts on them."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _reopen(path: Path, step: int | None) -> TextIO:
    kept = [] if step is None or not path.exists() else _lines_up_to(path, step)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
    return path.open("a", encoding="utf-8")


def json_line(value: Any, indent: int | None = None) -> str:
    """JSON with null for every figure that is not finite, as JSON has no NaN."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines_up_to(path: Path, step: int) -> list[str]:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            value = json.loads(line)
        except ValueError:  # the line that the killed run was writing
            continue
        if value["step"] <= step:
            kept.append(line)
    return kept


def evaluation_values(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """An evaluation as JSON values, by source: the sums, and what they divide to."""
    return {
        name: {
            "loss": score.loss,
            "perplexity": score.perplexity,
            "bits_per_byte": score.bits_per_byte,
            "nats": score.nats,
            "num_targets": score.num_targets,
            "num_bytes": score.num_bytes,
        }
        for name, score in evaluation.items()
    }
