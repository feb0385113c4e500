"""What the latest run of an output refined, finished or stopped because of its quarantine.

    OUT/run.json, OUT/manifest.yaml                  of the last run that finished
    OUT/state/stopped/run.json, .../manifest.yaml    of one after it that had too many bad rows

The second are gone as soon as a run gets past that point.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.errors import PrepareError, UsageError
from pipeline.files import atomic, write_json
from pipeline.finished import read_run
from pipeline.inputs import MANIFEST_NAME, RUN_NAME
from pipeline.manifest import load_manifest, manifest_values
from pipeline.plan import Plan
from pipeline.records import Record

STOPPED = "state/stopped"


@dataclass(frozen=True, slots=True)
class Latest:
    """The plan of the latest run, and the records of its refined items, in order."""

    plan: Plan
    records: tuple[Record, ...]
    is_finished: bool


def remember_stopped(plan: Plan, names: Sequence[str]) -> None:
    """Leave behind what a run was that stops here; `names` are its refined items."""
    folder = plan.out / STOPPED
    text = yaml.safe_dump(manifest_values(plan.manifest), sort_keys=False)
    with atomic(folder / MANIFEST_NAME) as temporary:
        temporary.write_text(text, encoding="utf-8")
    base = os.path.relpath(plan.base, plan.out)
    write_json(folder / RUN_NAME, {"base": base, "refine": list(names)})


def forget_stopped(plan: Plan) -> None:
    """A run has got past the point where an earlier one stopped."""
    shutil.rmtree(plan.out / STOPPED, ignore_errors=True)


def open_latest(out: Path, overrides: Sequence[str] = ()) -> Latest:
    """The latest run of an output, its manifest with `overrides`.

    Raises `UsageError` where there is none, `PrepareError` where files of it are gone.
    """
    is_stopped = (out / STOPPED / RUN_NAME).is_file()
    folder = out / STOPPED if is_stopped else out
    if not ((folder / RUN_NAME).is_file() and (folder / MANIFEST_NAME).is_file()):
        raise UsageError(
            f"{out}: no output of `prepare run` here that got as far as to know its quarantine; "
            "give the manifest's `output`"
        )
    run = read_run(folder)
    manifest = load_manifest(folder / MANIFEST_NAME, overrides)
    plan = Plan(manifest, (out / run.get("base", ".")).resolve(), out.resolve())
    found = [plan.records("refine").load(name) for name in run["refine"]]
    records = tuple(record for record in found if record is not None)
    if len(records) < len(found):
        raise PrepareError(
            f"{out}: the refined files of {len(found) - len(records)} of {len(found)} items are "
            "gone or damaged; use `prepare run`, which makes them again"
        )
    return Latest(plan, records, not is_stopped)
