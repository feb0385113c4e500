"""`train report` and `train compare`: their arguments, and what they print."""

import argparse
from pathlib import Path

from pipeline.commandline import Parser


def report_parser() -> Parser:
    """Of `train report`."""
    parser = Parser(
        prog="train report",
        description="Draw the page of a run: losses, forgetting, samples, mix, speed.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="the --out of a run, done or not")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="where to write it (default: RUN/report.html)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_report)
    return parser


def compare_parser() -> Parser:
    """Of `train compare`."""
    parser = Parser(
        prog="train compare",
        description="Say how two runs differ in config, and what that did.",
    )
    parser.add_argument("run_a", metavar="RUN_A", type=Path, help="the --out of a run")
    parser.add_argument("run_b", metavar="RUN_B", type=Path, help="the --out of another")
    parser.add_argument("--output", metavar="FILE", type=Path, help="draw a page there, too")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_compare)
    return parser


def _report(arguments: argparse.Namespace) -> None:
    from training.reporting.page import write_report

    print(write_report(arguments.run, arguments.output))


def _compare(arguments: argparse.Namespace) -> None:
    from training.reporting.comparing import print_comparison

    print_comparison(arguments.run_a, arguments.run_b, arguments.output)
