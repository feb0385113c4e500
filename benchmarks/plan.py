"""`prepare plan` beside the run that it predicts: rows, tokens, disk, time, and what it costs.

Both are commands of their own, one after the other on the same machine. The run comes first, so
that neither compiles what the other one finds compiled.
"""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MIN_SECONDS = 1e-9


@dataclass(frozen=True)
class Compared:
    """One figure as it was predicted and as it came out."""

    name: str
    predicted: float
    actual: float

    @property
    def ratio(self) -> float:
        return self.predicted / max(self.actual, MIN_SECONDS)


@dataclass(frozen=True)
class Planned:
    """All figures, and the seconds that each of the two commands took."""

    figures: tuple[Compared, ...]
    plan_seconds: float
    run_seconds: float


def measure(folder: Path, values: dict[str, Any], num_workers: int, *more: str) -> Planned:
    """Run and plan a manifest in an empty folder; `more` are options of `prepare plan`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    workers = ("--workers", str(num_workers))
    _, run_seconds = _command("run", folder, *workers)
    actual = _actual(folder / "out")
    shutil.rmtree(folder / "out")
    told, plan_seconds = _command("plan", folder, *workers, "--json", *more)
    predicted = _predicted(json.loads(told))
    actual["seconds"] = run_seconds
    figures = tuple(Compared(name, predicted[name], actual[name]) for name in actual)
    return Planned(figures, plan_seconds, run_seconds)


def _command(name: str, folder: Path, *options: str) -> tuple[str, float]:
    command = [sys.executable, "-m", "pipeline.cli", name, str(folder / "m.yaml"), *options]
    started = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"benchmark: `prepare {name}` ended with {done.returncode}")
    return done.stdout, time.monotonic() - started


def _actual(out: Path) -> dict[str, float]:
    ledger = json.loads((out / "ledger.json").read_text())
    index = json.loads((out / "shards" / "index.json").read_text())
    figures = _of_ledger(ledger)
    figures["rows of the shards"] = sum(shard["num_rows"] for shard in index["shards"])
    figures["disk"] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return figures


def _predicted(values: dict[str, Any]) -> dict[str, float]:
    return {
        **_of_ledger(values["ledger"]),
        "rows of the shards": values["num_rows"],
        "disk": values["disk"]["total"],
        "seconds": values["seconds"],
    }


def _of_ledger(ledger: dict[str, Any]) -> dict[str, float]:
    entries = list(ledger.values())
    return {
        "rows read": sum(one["num_read"] for one in entries),
        "documents kept": sum(one["num_kept"] for one in entries),
        "duplicates removed": sum(sum(one["removed"].values()) for one in entries),
        "documents packed": sum(one["num_packed"] for one in entries),
        "tokens": sum(one["num_tokens"] for one in entries),
    }
