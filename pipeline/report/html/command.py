"""`prepare report`: one page on a finished output."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import UsageError

Consoles = Callable[[], Console]

NUM_FINDINGS = 3


def add_report(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="write report.html: the funnel, filters, duplicates, lengths and more",
        description="Write one page that opens from disk without a network: where the documents "
        "went, what each filter removed and why, samples, duplicates, PII, languages, lengths, "
        "mix, quarantine, time, origin.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write it (default OUT/report.html)"
    )
    parser.add_argument(
        "--mix", type=Path, metavar="CONFIG", help="a train config, whose mix is shown"
    )
    parser.add_argument(
        "--json", action="store_true", help="for machines: path, size and findings as one object"
    )
    parser.set_defaults(command=lambda options: run_report(options, console()))


def run_report(options: argparse.Namespace, console: Console) -> int:
    """The command: where the page is, how large, and what it says first."""
    from pipeline.files import REPORT_NAME  # pyarrow: `prepare --help` must not wait for it
    from pipeline.progress.styles import waiting
    from pipeline.report.html.build import write_report
    from pipeline.report.html.mix import read_mix

    path: Path = options.output or options.out / REPORT_NAME
    if path.is_dir():
        raise UsageError(f"--output {path}: is a folder; want a file, such as {path / REPORT_NAME}")
    mix = None if options.mix is None else read_mix(options.mix)
    with waiting(f"Reading {options.out} ..."):
        report = write_report(options.out, path, mix)
    num_bytes = path.stat().st_size
    if options.json:
        values = {"path": str(path), "num_bytes": num_bytes, "findings": list(report.findings)}
        json.dump(values | {"sections": list(report.sections)}, sys.stdout)
        print()
        return 0
    for sentence in report.findings[:NUM_FINDINGS]:
        console.print(sentence, soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"{path} ({num_bytes / 1e6:.2f} MB): open it in a browser",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return 0
