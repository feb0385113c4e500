"""`prepare run` in this process: seconds less than a command each, the same files."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from pipeline.manifest import load_manifest
from pipeline.outcome import Outcome
from pipeline.plan import Place, Plan
from pipeline.run import run
from pipeline.stage import Context
from tests.pipeline.plugins import HereRunner, NoReporter


def small_manifest(tokenizer: Path, **more: Any) -> dict[str, Any]:
    """Two sources of JSON lines, no deduplication, no limit of the quarantine."""
    return {
        "version": 1,
        "name": "small",
        "output": "out",
        "sources": [
            {"name": name, "format": "jsonl", "paths": [f"{name}*"], "id_field": "id"}
            for name in ("domain", "general")
        ],
        "filters": [{"use": "length", "min_chars": 3}],
        "dedup": {"exact": False, "minhash": None},
        "tokenizer": {"path": str(tokenizer)},
        "pack": {"sequence_tokens": 16},
        "limits": {"max_quarantined_fraction": 1.0},
        **more,
    }


def context_of(plan: Plan, may_change: Collection[Place] | None = frozenset()) -> Context:
    return Context(plan, HereRunner(), NoReporter(), 10**8, may_change)


def run_here(
    folder: Path, manifest: dict[str, Any], may_change: Collection[Place] | None = frozenset()
) -> Outcome:
    """Run the manifest, written to `folder/m.yaml`; the output is `folder/out`."""
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump(manifest))
    plan = Plan(load_manifest(path), folder, folder / manifest["output"])
    return run(context_of(plan, may_change))


def tree(out: Path) -> dict[str, bytes]:
    """All files of an output but what tells when it was made."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "state" not in path.relative_to(out).parts
    }
