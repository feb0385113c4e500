"""`train` as a function, for a notebook or a script.

    from training import train

    done = train({"shards": ["build/corpus"], "model": "models/smollm2", "out": "runs/corpus"})
    done.model           # Path: loads with `from_pretrained`
    done.forgetting      # before, after and change of each source, with intervals
    done                 # in a notebook: the table of what was learned and forgotten

On several cards it is `torchrun` and the command.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.configfile import validate
from training.config import TrainConfig, read_config
from training.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class Trained:
    """A run as far as it came: `step`, and what was measured, if it came to its end."""

    out: Path
    step: int
    num_skipped: int

    @property
    def model(self) -> Path:
        """The last checkpoint: weights and tokenizer as Hugging Face has them."""
        return self.out / "last"

    @property
    def forgetting(self) -> dict[str, Any]:
        """`forgetting.json`; empty while the run is not at its end."""
        path = self.out / "forgetting.json"
        if not path.exists():
            return {}
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values

    def report(self) -> Path:
        """Write `report.html` and return where it is."""
        from training.reporting.page import write_report

        return write_report(self.out)

    def _repr_html_(self) -> str:
        from pipeline.page.elements import Column, Row, join, paragraph, table

        columns = [
            Column(title="source"),
            *(
                Column(title=title, is_number=True)
                for title in ("perplexity before", "after", "change", "95 % interval")
            ),
        ]
        measured: Mapping[str, Any] = self.forgetting.get("sources", {})
        rows = [Row(cells=_cells(name, one["perplexity"])) for name, one in measured.items()]
        where = paragraph(f"{self.step:,} steps; model: {self.model}")
        return str(join([table(columns, rows), where] if rows else [where]))


def train(
    config: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    extend: bool = False,
    quiet: bool = False,
) -> Trained:
    """Do what `train` does, in this process; a run that was interrupted goes on.

    `config` is a file, or its values as YAML has them, `shards`, `model` and `out` among them.
    `overrides` are as `--set` takes them. Raises `TrainError`.
    """
    if isinstance(overrides, str):
        raise UsageError(f"overrides: got {overrides!r}, want a list of such texts")
    if isinstance(config, Mapping):
        read = validate(config, TrainConfig, overrides, error=ConfigError)
    else:
        read = read_config(Path(config), overrides=overrides)
    if importlib.util.find_spec("torch") is None:
        raise UsageError("torch is not installed; pip install 'headwater[train]'")
    from training.run import run_training

    state = run_training(read, extend=extend, style="quiet" if quiet else "auto")
    return Trained(read.out, state.step, state.num_skipped)


def _cells(name: str, one: Mapping[str, Any]) -> list[str]:
    if one["before"] is None or one["after"] is None:
        return [name, "", "", "", ""]
    low, high = one["change_percent_interval"]
    interval = "" if low is None or high is None else f"{low:+.2f} to {high:+.2f} %"
    change = "" if one["change_percent"] is None else f"{one['change_percent']:+.2f} %"
    return [name, f"{one['before']:,.3f}", f"{one['after']:,.3f}", change, interval]
