"""`prepare quarantine`: lists and shows what could not be read, and tries it again."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import UsageError
from pipeline.report.visible import replace_what_cannot_be_printed

Consoles = Callable[[], Console]
# Runs work on the runner that the options name: options, plan, work.
Perform = Callable[[argparse.Namespace, Any, Callable[[Any], Any]], Any]

NUM_ROWS = 20
SHOWN_BYTES = 200


def add_quarantine(
    commands: Any,
    console: Consoles,
    add_machine: Callable[[argparse.ArgumentParser], None],
    perform: Perform,
) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "quarantine",
        help="list what could not be read, or try it again after a fix",
        epilog="After `--`: Beam options, for --retry.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "--source", action="append", default=[], metavar="S", help="only of this source"
    )
    parser.add_argument(
        "--reason", action="append", default=[], metavar="R", help="only with this reason"
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="also the rows' bytes, escaped; they may be personal",
    )
    parser.add_argument(
        "--bytes",
        type=_count,
        default=SHOWN_BYTES,
        metavar="N",
        help=f"of a row that are shown (default {SHOWN_BYTES})",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help=f"rows and lines of counts (default {NUM_ROWS}, with --json all; 0: all)",
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object a row")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="read the files' items again, when they or the limits are mended, and do what follows",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --retry: override a value of the latest run's manifest, such as "
        "limits.max_document_bytes=50000000",
    )
    add_machine(parser)
    parser.set_defaults(
        command=lambda options: run_quarantine(options, console(), perform),
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number, 0 for all")
    return int(text)


def run_quarantine(options: argparse.Namespace, console: Console, perform: Perform) -> int:
    """The command: 1 where a retry left one of its rows in quarantine, else 0."""
    from pipeline.quarantine.latest import open_latest
    from pipeline.quarantine.rows import Selection

    if options.overrides and not options.retry:
        raise UsageError("--set: got it without --retry, and nothing is read otherwise")
    replace_what_cannot_be_printed()
    latest = open_latest(options.out, options.overrides)
    selection = Selection(tuple(options.source), tuple(options.reason))
    selection.check(latest)
    if options.retry:
        return _retry(options, console, perform, latest, selection)
    default = 0 if options.json else NUM_ROWS
    limit = default if options.limit is None else options.limit
    _list(options, console, latest, selection, limit)
    return 0


def _list(
    options: argparse.Namespace, console: Console, latest: Any, selection: Any, limit: int
) -> None:
    from pipeline.quarantine.rows import count_rows, escaped, rows
    from pipeline.report.quarantine import print_counts, print_rows

    found = rows(latest, selection, limit or None, with_raw=options.show)
    if options.json:
        for row in found:
            values = asdict(row)
            raw = values.pop("raw")
            if options.show:
                values["raw"] = None if raw is None else escaped(raw, options.bytes or len(raw))
            print(json.dumps(values))
        return
    counts = count_rows(latest, selection)
    if not counts:
        like_that = " of these" if selection.sources or selection.reasons else ""
        console.print(f"No row{like_that} is quarantined.", markup=False)
        return
    print_counts(counts, limit, console)
    shown = (options.bytes or 1 << 20) if options.show else None
    print_rows(found, counts.total(), shown, console)
    if not latest.is_finished:
        console.print("The latest run stopped here; nothing was packed from it.", markup=False)


def _retry(
    options: argparse.Namespace, console: Console, perform: Perform, latest: Any, selection: Any
) -> int:
    from pipeline.quarantine.retry import QUARANTINED, retried
    from pipeline.report.quarantine import fate_values, print_retried

    done = perform(options, latest.plan, lambda context: retried(context, latest, selection))
    if options.json:
        for values in fate_values(done.fates):
            print(json.dumps(values))
    else:
        print_retried(done, NUM_ROWS if options.limit is None else options.limit, console)
    return int(any(one.fate == QUARANTINED for one in done.fates))
