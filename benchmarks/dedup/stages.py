"""`refine` and `deduplicate` of a run, and no other stage, each timed.

    python -m benchmarks.dedup.stages MANIFEST [--workers N] [--memory SIZE]

The manifest's tokenizer is not looked at. With `--signatures` nothing is refined: the files that
`synthetic` wrote below the manifest's `output` are deduplicated as `prepare run` would. The
last line is a JSON object: seconds of the stages and of their parts, and counts.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import process_peak
from pipeline.cli import build_parser
from pipeline.deduplication import deduplicate
from pipeline.graph.runner import EmbeddedRunner, quiet
from pipeline.inputs import content_hashes, list_inputs
from pipeline.manifest import load_manifest
from pipeline.plan import Plan, RefineItem
from pipeline.progress import Advance
from pipeline.records import Record
from pipeline.run import refine
from pipeline.stage import Context, locked

SOURCE = "kit"  # the name of the only source
WRITTEN_NAME = "written.json"  # rows of each pair of files, by its fingerprint


class Done(NamedTuple):
    """One call of this script in a process of its own."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    answer: dict[str, Any]


def run(manifest: Path, num_workers: int, *more: str) -> Done:
    """Call this script, watching its memory."""
    command = [sys.executable, "-m", "benchmarks.dedup.stages", str(manifest)]
    ran = process_peak.run([*command, "--workers", str(num_workers), *more])
    return done(ran)


def done(ran: process_peak.Ran) -> Done:
    """A command whose last line is a JSON object."""
    answer = json.loads(ran.output.splitlines()[-1])
    return Done(ran.seconds, ran.cpu_seconds, ran.peak_bytes, answer)


def dedup_manifest(paths: list[str], kind: str, **more: Any) -> dict[str, Any]:
    """A manifest that neither cleans nor anonymises nor filters: what is left is deduplication."""
    return {
        "version": 1,
        "name": "benchmark",
        "output": "out",
        "sources": [{"name": SOURCE, "format": kind, "paths": paths, **more}],
        "clean": {"html": "never", "unicode": "none", "collapse_whitespace": False},
        "pii": {"mode": "off"},
        "tokenizer": {"path": "none"},
    }


class _Timing:
    """A `Reporter` that keeps the seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: object = None
    ) -> Iterator[Advance]:
        started = time.perf_counter()
        yield lambda _: None
        self.seconds[name] = time.perf_counter() - started

    def skip(self, name: str, num_items: int, watch: object) -> None:
        """Shows nothing of what was done before."""

    def note(self, text: str) -> None:
        """Nothing is done again here."""


def main() -> None:
    """Run the stages and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", help="as `prepare run` takes it, and by default as there")
    parser.add_argument("--signatures", action="store_true", help="they are there already")
    options = parser.parse_args()
    quiet()
    manifest = load_manifest(options.manifest, [])
    base = options.manifest.resolve().parent
    plan, timing = Plan(manifest, base, (base / manifest.output).resolve()), _Timing()
    with locked(plan.out), EmbeddedRunner(options.workers) as runner:
        started = time.perf_counter()
        context = Context(plan, runner, timing, _memory_bytes(options.memory))
        runner.start()
        items, refined = (_written if options.signatures else _refined)(context)
        between = time.perf_counter()
        record = deduplicate(context, items, refined)
        ended = time.perf_counter()
    answer = {
        "refine_seconds": between - started,
        "deduplicate_seconds": ended - between,
        "part_seconds": timing.seconds,
        "num_documents": sum(each["counts"]["num_kept"] for each in refined.values()),
        "num_bytes": sum(each["counts"]["num_kept_bytes"] for each in refined.values()),
        "counts": record["counts"],
    }
    print(json.dumps(answer))


def _memory_bytes(size: str | None) -> int:
    """What `prepare run` makes of its option, or of its absence."""
    words = ["run", "-", *(["--memory", size] if size else [])]
    found: int = build_parser().parse_args(words).memory
    return found


def _refined(context: Context) -> tuple[list[RefineItem], dict[str, Record]]:
    """As `prepare run` begins."""
    inputs = list_inputs(context.plan)
    hashes = content_hashes(context.plan, inputs, lambda _: None)
    return refine(context, inputs, hashes)


def _written(context: Context) -> tuple[list[RefineItem], dict[str, Record]]:
    """Items and records of the signature files that are there."""
    numbers: dict[str, int] = json.loads((context.plan.out / WRITTEN_NAME).read_text())
    items = [RefineItem(SOURCE, (), None, "", name, name) for name in numbers]
    records = {
        name: {"counts": {"num_kept": number, "num_kept_bytes": 0}}
        for name, number in numbers.items()
    }
    return items, records


if __name__ == "__main__":
    main()
