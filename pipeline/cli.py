"""The `prepare` command.

Exit codes: 0 done; 1 the data or the run failed a check; 2 the command or the manifest is wrong.
Errors are one message on stderr; the traceback is printed with `--debug` only.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from filters.errors import FilterError, FilterLoadError
from pipeline.calibration.command import add_calibrate
from pipeline.erasing.command import add_erase
from pipeline.errors import PrepareError, UsageError, WorkerError
from pipeline.explaining.command import add_duplicates, add_explain
from pipeline.formats.command import add_export, add_import
from pipeline.index.command import add_index
from pipeline.ngrams.command import add_fit_lm
from pipeline.quarantine.command import add_quarantine
from pipeline.tracing.command import add_trace

PLAIN_WIDTH = 100  # of tables in a file or a pipe: the longest rule in one line
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    beam_arguments: tuple[str, ...] = ()
    if "--" in words:
        cut = words.index("--")
        words, beam_arguments = words[:cut], tuple(words[cut + 1 :])
    options = build_parser().parse_args(words)
    options.beam_arguments = beam_arguments
    try:
        return int(options.command(options))
    except (PrepareError, FilterError) as error:
        if options.debug:
            raise
        hint = "; --debug shows where" if isinstance(error, WorkerError) else ""
        print(f"prepare: {error}{hint}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | FilterLoadError) else 1
    except OSError as error:
        if options.debug:
            raise
        # Neither a reader nor a writer has named it: a pipe, a folder that is gone.
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or str(error)
        print(
            f"prepare: {where}{why}; mend that and run it again; --debug shows where",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("prepare: interrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="prepare", description="Raw text to packed, sharded token files."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(
        commands.add_parser("run", help="prepare a corpus", epilog="After `--`: Beam options.")
    )
    _add_refilter(
        commands.add_parser(
            "refilter",
            help="change thresholds of a finished output, without its inputs",
            epilog="After `--`: Beam options.",
        )
    )
    verify = commands.add_parser("verify", help="re-read an output and check everything")
    verify.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    verify.add_argument(
        "--pii", action="store_true", help="also look for PII again, of the kinds in the manifest"
    )
    verify.add_argument(
        "--ids",
        type=Path,
        metavar="FILE",
        help="also that no document has one of these names, which are those of `erase`",
    )
    verify.add_argument("--source", metavar="S", help="with --ids: as it was given to `erase`")
    verify.set_defaults(command=_verify)
    add_fit_lm(commands, _num_bytes)
    add_calibrate(commands, _console)
    add_explain(commands, _console)
    add_trace(commands, _console)
    add_duplicates(commands, _console)
    add_index(commands, _console)
    add_quarantine(commands, _console, _add_machine, _perform)
    add_erase(commands, _console)
    add_export(commands, _console)
    add_import(commands, _console)
    filters = commands.add_parser("filters", help="list the filters, or document one")
    filters.add_argument("name", nargs="?", metavar="NAME")
    filters.add_argument(
        "--markdown", type=Path, metavar="DIR", help="write a page for each filter into DIR"
    )
    filters.set_defaults(command=_filters)
    schema = commands.add_parser("schema", help="print the JSON Schema of manifests")
    schema.set_defaults(command=_schema)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="print tracebacks")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="the data manifest (YAML)")
    _add_machine(parser)
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
    parser.set_defaults(command=_run)


def _add_refilter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    _add_machine(parser)
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="a threshold of a filter of OUT/manifest.yaml, such as filters.0.min_score=0.8; "
        "paths are relative to the folder of the manifest that made OUT",
    )
    parser.set_defaults(command=_refilter)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    parser.add_argument(
        "--memory",
        type=_num_bytes,
        default="1GB",
        metavar="SIZE",
        help="budget of the deduplication's shuffle, over all workers (default 1GB)",
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of at least 1")
    return int(text)


def _num_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a size such as 500MB or 2GB")
    return int(float(match[1]) * UNITS[match[2].upper()])


def _run(options: argparse.Namespace) -> int:
    from pipeline.manifest import load_manifest
    from pipeline.plan import Plan
    from pipeline.report.terminal import print_outcome
    from pipeline.seal import finished_before

    manifest = load_manifest(options.manifest, options.overrides)
    base = options.manifest.resolve().parent
    plan = Plan(manifest, base, (base / manifest.output).resolve())
    if not options.mend and (outcome := finished_before(plan)) is not None:
        print_outcome(outcome, plan.out, _console())
        return 0
    from pipeline.run import run

    def work(context: Any) -> Any:
        return run(replace(context, mend=options.mend))

    return _prepare(options, plan, work, None if options.refresh else frozenset())


def _refilter(options: argparse.Namespace) -> int:
    from pipeline.refilter import finished_plan, refilter

    return _prepare(options, finished_plan(options.out, options.overrides), refilter)


def _prepare(
    options: argparse.Namespace,
    plan: Any,
    work: Callable[[Any], Any],
    may_change: frozenset[Any] | None = None,
) -> int:
    """Run `work` and print what came of it."""
    from pipeline.report.terminal import print_outcome

    outcome = _perform(options, plan, work, may_change)
    print_outcome(outcome, plan.out, _console())
    return 0


def _perform(
    options: argparse.Namespace,
    plan: Any,
    work: Callable[[Any], Any],
    may_change: frozenset[Any] | None = None,
) -> Any:
    """Run `work` on the runner that the options name."""
    # Beam takes 1.1 s and 170 MB to import: `prepare --help` must not wait for it.
    from pipeline.graph.runner import BeamRunner, EmbeddedRunner, check_beam_arguments, quiet
    from pipeline.progress import TerminalProgress
    from pipeline.stage import Context

    quiet()
    reporter = TerminalProgress()
    if options.beam_arguments:
        for unknown in check_beam_arguments(options.beam_arguments):
            print(f"prepare: Beam ignores {unknown}, unless its runner knows it", file=sys.stderr)
        beam = BeamRunner(options.beam_arguments)
        return work(Context(plan, beam, reporter, options.memory, may_change))
    with EmbeddedRunner(options.workers) as runner:
        return work(Context(plan, runner, reporter, options.memory, may_change))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _verify(options: argparse.Namespace) -> int:
    from pipeline.formats.check import is_imported
    from pipeline.index.deletion import read_ids
    from pipeline.verify import faults

    if options.source is not None and options.ids is None:
        raise UsageError("--source: got it without --ids, and all else is checked of every source")
    ids = [] if options.ids is None else read_ids(options.ids).to_pylist()
    with Console(stderr=True).status(f"Reading all of {options.out} again ..."):
        found = list(faults(options.out, pii=options.pii, ids=ids, source=options.source))
    for fault in found:
        print(f"fault: {fault}", file=sys.stderr)
    if found:
        how = (
            ""
            if is_imported(options.out)
            else "; `prepare run --mend` with its manifest makes again what is damaged"
        )
        print(f"{options.out}: {len(found)} faults{how}", file=sys.stderr)
        return 1
    clean = "; no PII is left of the kinds in the manifest" if options.pii else ""
    absent = _absent(options, ids) if ids else ""
    print(f"{options.out}: complete; every hash, key and count holds{clean}{absent}")
    return 0


def _absent(options: argparse.Namespace, ids: Sequence[str]) -> str:
    """What can be said of names that nothing has."""
    from pipeline.erasing.absence import num_erased

    names = set(ids)
    number = num_erased(options.out, ids, options.source)
    told = f"; nothing has one of the {len(names):,} names of {options.ids}: {number:,} were erased"
    if number < len(names):
        told += f", {len(names) - number:,} are unknown here, so look whether they are spelt right"
    return told


def _schema(_: argparse.Namespace) -> int:
    from pipeline.manifest import manifest_schema

    print(json.dumps(manifest_schema(), indent=2))
    return 0


def _filters(options: argparse.Namespace) -> int:
    from pipeline.report.filters import print_filter, print_filters, write_pages

    if options.markdown is not None:
        for path in write_pages(options.markdown):
            print(path)
    elif options.name is None:
        print_filters(_console())
    else:
        print_filter(options.name, _console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
