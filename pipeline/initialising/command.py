"""`prepare init`: the folder looked at, the manifest written, and what comes next."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import UsageError

NAME = "manifest.yaml"


def add_init(commands: Any, console: Callable[[], Console]) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where tables go."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "init",
        help="look at a folder of files and write a manifest for it",
        description="Look at the files below a folder and write a manifest that runs: formats and "
        "fields by what is in the files, languages and filters by a sample.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of files")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(NAME),
        metavar="FILE",
        help=f"the manifest to write (default {NAME})",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="PATH",
        help="folder of the tokenizer (default: one that is near the data)",
    )
    parser.add_argument("--force", action="store_true", help="write over FILE")
    parser.set_defaults(command=lambda options: run_init(options, console()))


def run_init(options: argparse.Namespace, console: Console) -> int:
    """The command. Raises `UsageError` where there is nothing to read, or the manifest is there."""
    _check(options)
    # Readers and filters take a second to import: `prepare --help` must not wait for them.
    from pipeline.initialising.initialise import initialise
    from pipeline.progress.styles import waiting
    from pipeline.report.initial import print_initial

    with waiting(f"Looking at {options.folder} ..."):
        found = initialise(options.folder, options.output, options.tokenizer)
    print_initial(found, options.output, console)
    return 0


def _check(options: argparse.Namespace) -> None:
    if not options.folder.is_dir():
        what = "a file" if options.folder.is_file() else "nothing"
        raise UsageError(f"{options.folder}: got {what} of that name, want a folder of files")
    if not os.access(options.folder, os.R_OK | os.X_OK):
        raise UsageError(f"{options.folder}: this user may not read it; want read permission")
    if options.output.exists() and not options.force:
        raise UsageError(
            f"{options.output}: is there already; give another --output, or --force to "
            "write over it"
        )
    if options.output.is_dir():
        raise UsageError(f"{options.output}: got a folder, want the name of a file")
    given = options.tokenizer
    if given is not None and not (given / "tokenizer.json").is_file() and not _is_other(given):
        raise UsageError(
            f"--tokenizer: got {given}, where there is no tokenizer.json; want the folder of a "
            "Hugging Face tokenizer"
        )


def _is_other(given: Path) -> bool:
    """Another layout that transformers may know, or the file itself."""
    names = ("tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
    return (given.name == "tokenizer.json" and given.is_file()) or any(
        (given / name).is_file() for name in names
    )
