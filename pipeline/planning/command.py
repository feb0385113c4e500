"""`prepare plan`: what a run will come to, before it is begun."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.commands.arguments import add_machine, num_bytes, positive
from pipeline.errors import UsageError

SAMPLE_BYTES = 16_000_000


def add_plan(commands: Any, console: Callable[[], Console]) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where tables go."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "plan",
        help="predict what a run will take and make, from a sample",
        description="Run a sample in a temporary folder and predict rows, tokens, disk and time of "
        "the whole run, stage by stage. The output is not touched.",
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="the data manifest (YAML)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--sample",
        type=num_bytes,
        default=SAMPLE_BYTES,
        metavar="SIZE",
        help="of text that goes through the run (default 16MB); up to 32 times as much is read",
    )
    size.add_argument(
        "--rows", type=positive, metavar="N", help="the same, as a number of documents"
    )
    add_machine(parser)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value of the manifest, as for `prepare run`",
    )
    parser.add_argument("--json", action="store_true", help="all numbers as one JSON object")
    parser.set_defaults(command=lambda options: run_plan(options, console()))


def run_plan(options: argparse.Namespace, console: Console) -> int:
    """The command. Raises as `prepare run` does before it begins."""
    started = time.perf_counter()
    # Beam takes 1.1 s to import: `prepare --help` must not wait for it.
    from pipeline.graph.runner import EmbeddedRunner, quiet
    from pipeline.manifest import load_manifest
    from pipeline.plan import Plan
    from pipeline.planning.left import is_finished
    from pipeline.planning.predicting import Machine, predict
    from pipeline.planning.prediction import to_values
    from pipeline.planning.temporary import temporary_folder
    from pipeline.progress.styles import waiting
    from pipeline.report.plan import print_prediction

    quiet()
    import_seconds = time.perf_counter() - started
    manifest = load_manifest(options.manifest, options.overrides)
    base = options.manifest.resolve().parent
    plan = Plan(manifest, base, (base / manifest.output).resolve())
    if not options.sample:
        raise UsageError("--sample: got 0 bytes, want a size such as 16MB")
    finished = is_finished(plan)
    with (
        waiting("Reading and running a sample ..."),
        temporary_folder() as folder,
        EmbeddedRunner(options.workers) as runner,
    ):
        sample_bytes = options.sample if options.rows is None else _bytes_of(plan, options.rows)
        machine = Machine(runner, options.memory, import_seconds)
        prediction = predict(plan, sample_bytes, machine, folder)
    if options.json:
        print(json.dumps(to_values(prediction) | {"is_finished": finished}, indent=1))
        return 0
    if finished:
        console.print(f"{plan.out}: finished; `prepare run` has nothing to do.", soft_wrap=True)
    print_prediction(prediction, options.manifest, console)
    return 0


def _bytes_of(plan: Any, num_rows: int) -> int:
    """The text of so many documents, by those that come first."""
    from pipeline.arrow import num_value_bytes
    from pipeline.sampling import sample

    found = sample(plan, min(num_rows, 1000))
    num_documents = sum(one.documents.num_rows for one in found)
    size = sum(int(num_value_bytes(one.documents["text"]).sum()) for one in found)
    return max(1, int(size * num_rows / max(1, num_documents)))
