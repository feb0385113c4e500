"""`prepare run` and `prepare refilter`: from options to a run, and what is told of it."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.commands.arguments import add_machine, add_style, style_of
from pipeline.logs import log_warnings

if TYPE_CHECKING:  # they take half a second to import: `prepare --help` must not wait
    from pipeline.outcome import Outcome
    from pipeline.plan import Plan
    from pipeline.preparing import Machine

Consoles = Callable[[], Console]


def add_run(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where the tables go."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run", help="prepare a corpus", epilog="After `--`: Beam options."
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="the data manifest (YAML)")
    add_machine(parser)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value of the manifest, such as filters.0.min_score=0.8; paths are "
        "relative to the manifest's folder",
    )
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="inputs of a finished output may have changed, come or gone: redo what depends on "
        "them (without it they are named, exit code 2)",
    )
    parser.add_argument(
        "--mend",
        action="store_true",
        help="read every file of the output first, and make again what is not as it was written",
    )
    add_style(parser)
    parser.set_defaults(command=lambda options: _run(options, console), goes_on=True)


def add_refilter(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "refilter",
        help="change thresholds of a finished output, without its inputs",
        epilog="After `--`: Beam options.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    add_machine(parser)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="a threshold of a filter of OUT/manifest.yaml, such as filters.0.min_score=0.8; "
        "paths are relative to the folder of the manifest that made OUT",
    )
    add_style(parser)
    parser.set_defaults(command=lambda options: _refilter(options, console), goes_on=True)


def _run(options: argparse.Namespace, console: Consoles) -> int:
    from pipeline.preparing import plan_of, run_plan

    log_warnings()
    plan = plan_of(options.manifest, Path(), options.overrides)
    how = {"refresh": options.refresh, "mend": options.mend}
    tell(options, run_plan(plan, _machine(options), style_of(options), **how), plan.out, console)
    return 0


def _refilter(options: argparse.Namespace, console: Consoles) -> int:
    from pipeline.refilter import finished_plan, refilter

    plan = finished_plan(options.out, options.overrides)
    tell(options, perform(options, plan, refilter, frozenset()), plan.out, console)
    return 0


def perform(
    options: argparse.Namespace,
    plan: "Plan",
    work: Callable[[Any], Any],
    may_change: frozenset[Any] | None = None,
) -> Any:
    """Do `work` on the machine that the options name."""
    from pipeline import preparing

    log_warnings()
    return preparing.perform(plan, work, _machine(options), style_of(options), may_change)


def _machine(options: argparse.Namespace) -> "Machine":
    from pipeline.preparing import Machine

    return Machine(
        num_workers=options.workers,
        memory_bytes=options.memory,
        beam_arguments=options.beam_arguments,
    )


def tell(options: argparse.Namespace, outcome: "Outcome", out: Path, console: Consoles) -> None:
    """Tell what came of it: a person by tables and what to do next, a machine by an event."""
    if options.events:
        from pipeline.progress.events import write_event
        from pipeline.progress.outcome_event import outcome_values

        write_event("outcome", **outcome_values(outcome, out))
        return
    from pipeline.report.terminal import print_outcome

    print_outcome(outcome, out, console())
    if not options.quiet:
        sys.stdout.flush()
        print(f"next: {next_commands(out)}", file=sys.stderr)


def next_commands(out: Path) -> str:
    """What one does with a finished output."""
    name = shlex.quote(str(_near(out)))
    return (
        f"prepare report {name} · prepare verify {name} · "
        f"train --shards {name} --model MODEL --out RUN"
    )


def _near(path: Path) -> Path:
    """Relative to the current folder where it lies in it: shorter to read and to paste."""
    here = Path.cwd()
    return path.relative_to(here) if path != here and path.is_relative_to(here) else path
