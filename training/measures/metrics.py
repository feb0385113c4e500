"""`metrics.jsonl`: one JSON object per step and per evaluation, in order, never twice.

    {"kind": "step", "step": 1, "loss": ..., "learning_rate": ..., "grad_norm": ..., ...}
    {"kind": "skipped", "step": 7, "reason": ..., "first_row": ..., "rows": {"domain": [...]}}
    {"kind": "eval", "step": 0, "sources": {"domain": {"loss": ..., "perplexity": ..., ...}}}
    {"kind": "spike", "step": 4, "loss": ..., "at_step": 7}    `at_step`: the run went back on it
    {"kind": "time", "step": 0, "evaluation_seconds": ...}    or samples_, checkpoint_seconds
    {"kind": "tasks", "step": 0, "tasks": {"quiz": {"acc": ..., "acc_norm": ..., ...}}}

`step` counts the steps done, so the first line of a run is the evaluation at step 0.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from training.evaluate import Evaluation
from training.measures.bootstrap import Change, Comparison
from training.measures.documents import Score


class MetricsFile:
    """Appends to the file; opening it for a run resumed at `step` cuts what came after."""

    def __init__(self, path: Path | None, step: int | None) -> None:
        """`path` None: write to nowhere. `step`: where the run resumes; None starts anew."""
        self._path = path
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

    def cut(self, step: int) -> None:
        """Forget what came after `step`: the run goes back to it.

        What it knows of earlier ways back stays, as lines of this step: so does its state.
        """
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = _reopen(self._path, step, keep=is_of_rewind)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def is_of_rewind(line: Mapping[str, Any]) -> bool:
    """A spike that the run went back on, or what its control log keeps when it goes back again."""
    is_kept = line["kind"] == "control" and line["event"]["kind"] != "weights"
    return is_kept or (line["kind"] == "spike" and "at_step" in line)


def _reopen(
    path: Path, step: int | None, keep: Callable[[Mapping[str, Any]], bool] = lambda line: False
) -> TextIO:
    kept = [] if step is None or not path.exists() else _lines_up_to(path, step, keep)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    temporary.replace(path)
    return path.open("a", encoding="utf-8")


def json_line(value: Any, indent: int | None = None) -> str:
    """JSON with null for every figure that is not finite, as JSON has no NaN."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines_up_to(path: Path, step: int, keep: Callable[[Mapping[str, Any]], bool]) -> Iterator[str]:
    """Without their ends: a run that was killed may have written a line and not its end."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:  # the line that the killed run was writing
            continue
        if value["step"] <= step:
            yield line
        elif keep(value):
            yield json_line({**value, "step": step})


def evaluation_values(
    evaluation: Evaluation, comparisons: Mapping[str, Comparison]
) -> dict[str, dict[str, Any]]:
    """An evaluation as JSON values: `sources`, and `domains` where one has several strata.

    Each has the sums, what they divide to, and the change of its perplexity since its baseline.
    """
    groups = {"sources": evaluation.scores, "domains": evaluation.domain_scores}
    return {
        group: {name: _score_values(score, comparisons.get(name)) for name, score in scores.items()}
        for group, scores in groups.items()
        if scores or group == "sources"
    }


def _score_values(score: Score, comparison: Comparison | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "loss": score.loss,
        "perplexity": score.perplexity,
        "bits_per_byte": score.bits_per_byte,
        "nats": score.nats,
        "num_targets": score.num_targets,
        "num_bytes": score.num_bytes,
    }
    if comparison is not None:
        values["perplexity_change_percent"] = change_values(comparison.perplexity_percent)
    return values


def change_values(change: Change) -> dict[str, float]:
    """A change and its interval by name, so that trackers can draw all three."""
    return {"value": change.value, "low": change.low, "high": change.high}
