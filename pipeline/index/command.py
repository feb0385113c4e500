"""`prepare index DIR`: what is in an index, and how something leaves it."""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import UsageError


def add_index(commands: Any, console: Callable[[], Console]) -> None:
    """Add the command `index` to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "index", help="list an index of finished corpora, or delete from it"
    )
    parser.add_argument("index", type=Path, metavar="DIR", help="`dedup.index` of a manifest")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--delete", metavar="SEGMENT", help="take a whole corpus out")
    what.add_argument(
        "--delete-ids", type=Path, metavar="FILE", help="take documents out: an id a line"
    )
    parser.add_argument("--segment", metavar="NAME", help="with --delete-ids: of this corpus only")
    parser.add_argument(
        "--json", action="store_true", help="for machines: the list, one object a segment"
    )
    parser.set_defaults(command=lambda options: _index(options, console()))


def _index(options: argparse.Namespace, console: Console) -> int:
    from pipeline.index.segments import protect, segments
    from pipeline.stage import locked

    index = options.index
    if options.segment and not options.delete_ids:
        raise UsageError("--segment: got no --delete-ids, which it belongs to; give both")
    if not any(index.glob("[!.]*/segment.json")):
        raise UsageError(f"{index}: no index here; want the folder that `dedup.index` names")
    if options.delete is None and options.delete_ids is None:
        show = _print_objects if options.json else partial(_list, console=console)
        show(segments(index))
        return 0
    with locked(index):
        protect(index)
        if options.delete is not None:
            _delete_segment(index, options.delete, console)
        else:
            _delete_ids(segments(index), options, console)
    return 0


def _list(found: Sequence[Any], console: Console) -> None:
    table = Table("segment", "documents", "deleted", "MB", "signatures", "refined text", "of")
    for segment in found:
        num_deleted = len(segment.deleted())
        table.add_row(
            segment.name,
            f"{segment.contents.num_documents - num_deleted:,}",
            f"{num_deleted:,}",
            f"{segment.num_bytes / 1e6:,.1f}",
            "stored" if segment.has_signatures else "",
            _text(segment),
            str(segment.out),
        )
    console.print(table)


def _print_objects(found: Sequence[Any]) -> None:
    for segment in found:
        num_deleted = len(segment.deleted())
        values = {
            "segment": segment.name,
            "num_documents": segment.contents.num_documents - num_deleted,
            "num_deleted": num_deleted,
            "num_bytes": segment.num_bytes,
            "has_signatures": segment.has_signatures,
            "out": str(segment.out),
        }
        print(json.dumps(values))


def _text(segment: Any) -> str:
    """Whether the files with the texts are where they were."""
    files = segment.contents.files
    num_there = sum((segment.out / file).is_file() for file in files)
    if num_there == len(files):
        return "there"
    return f"{num_there:,} of {len(files):,} files" if num_there else "gone"


def _delete_segment(index: Path, name: str, console: Console) -> None:
    from pipeline.index.segments import delete_segment

    num_bytes = delete_segment(index, name)
    console.print(f"{index}: segment {name} deleted, {num_bytes / 1e6:,.1f} MB", soft_wrap=True)


def _delete_ids(found: Sequence[Any], options: argparse.Namespace, console: Console) -> None:
    from pipeline.index.deletion import delete_ids, read_ids

    chosen = [segment for segment in found if options.segment in (None, segment.name)]
    if not chosen:
        names = ", ".join(segment.name for segment in found)
        raise UsageError(f"--segment: got {options.segment!r}, want one of {names}")
    ids = read_ids(options.delete_ids)
    for done in delete_ids(chosen, ids):
        console.print(f"{done.segment}: {done.num_documents:,} documents deleted", soft_wrap=True)
