"""`prepare trace`: the documents of one row of the shards, or the characters of one token."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

Consoles = Callable[[], Console]


def add_trace(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where the answer goes."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "trace", help="tell which documents a row of the shards is made of, or one token of it"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument("--source", metavar="S", help="of the row; SOURCE/STRATUM will do")
    parser.add_argument(
        "--row",
        type=_number,
        required=True,
        metavar="R",
        help="its number over all parts of source, split and stratum, from 0",
    )
    parser.add_argument("--split", metavar="SPLIT", help="train (default) or validation")
    parser.add_argument("--stratum", metavar="X", help="where the source has strata")
    parser.add_argument(
        "--part",
        metavar="P",
        help="count rows in this part alone: part-00000.arrow, or its path below shards/ instead "
        "of --source",
    )
    parser.add_argument(
        "--token", type=_number, metavar="T", help="only this token: its place in the row, from 0"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=lambda options: run_trace(options, console()))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number, 0 for the first")
    return int(text)


def run_trace(options: argparse.Namespace, console: Console) -> int:
    """The command."""
    from pipeline.explaining.output import open_output
    from pipeline.report.tracing import print_row, print_token
    from pipeline.report.visible import replace_what_cannot_be_printed
    from pipeline.tracing.rows import locate
    from pipeline.tracing.trace import Tracer

    replace_what_cannot_be_printed()
    tracer = Tracer(open_output(options.out))
    place = locate(
        tracer.index,
        options.row,
        source=options.source,
        split=options.split,
        stratum=options.stratum,
        part=options.part,
    )
    traced = tracer.row(place) if options.token is None else tracer.token(place, options.token)
    if options.json:
        print(json.dumps(asdict(traced)))
    elif traced.token is None:
        print_row(traced.row, console)
    else:
        print_token(traced.row, traced.token, console)
    return 0
