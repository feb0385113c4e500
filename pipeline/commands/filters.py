"""`prepare filters` and `prepare schema`: what a manifest may say."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

Consoles = Callable[[], Console]


def add_filters(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "filters", help="list the filters, or document one"
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="document this one")
    parser.add_argument(
        "--markdown", type=Path, metavar="DIR", help="write a page for each filter into DIR"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object a filter")
    parser.set_defaults(command=lambda options: _filters(options, console))


def add_schema(commands: Any) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "schema", help="print the JSON Schema of manifests"
    )
    parser.set_defaults(command=_schema)


def _filters(options: argparse.Namespace, console: Consoles) -> int:
    from filters.registry import describe, names
    from pipeline.report.filters import print_filter, print_filters, write_pages

    if options.markdown is not None:
        for path in write_pages(options.markdown):
            print(path)
    elif options.json:
        for name in names() if options.name is None else [options.name]:
            print(json.dumps(asdict(describe(name)), default=str))
    elif options.name is None:
        print_filters(console())
    else:
        print_filter(options.name, console())
    return 0


def _schema(_: argparse.Namespace) -> int:
    from pipeline.manifest import manifest_schema

    print(json.dumps(manifest_schema(), indent=2))
    return 0
