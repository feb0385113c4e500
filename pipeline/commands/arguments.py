"""Arguments that several commands take."""

import argparse
import os
import re

from pipeline.progress import Style

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add_machine(parser: argparse.ArgumentParser) -> None:
    """How much of the machine a run may have."""
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    parser.add_argument(
        "--memory",
        type=num_bytes,
        default="1GB",
        metavar="SIZE",
        help="budget of the deduplication's shuffle, over all workers (default 1GB)",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Whether progress is shown."""
    parser.add_argument(
        "--quiet", action="store_true", help="no progress, no notes: nothing on stderr but errors"
    )


def add_style(parser: argparse.ArgumentParser) -> None:
    """How progress and outcome are told."""
    how = parser.add_mutually_exclusive_group()
    add_quiet(how)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    how.add_argument(
        "--json",
        dest="events",
        action="store_true",
        help="for machines: progress and outcome on stdout, one event a line",
    )


def style_of(options: argparse.Namespace) -> Style:
    """What the options say of how progress is shown."""
    if getattr(options, "events", False):
        return Style.JSON
    return Style.QUIET if getattr(options, "quiet", False) else Style.AUTO


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number of at least 1")
    return int(text)


def num_bytes(text: str) -> int:
    """A size such as 500MB, in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a size such as 500MB or 2GB")
    return int(float(match[1]) * UNITS[match[2].upper()])
