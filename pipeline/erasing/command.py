"""`prepare erase OUT --ids FILE`: the command line of erasure."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from pipeline.erasing.erase import Erasure

MAX_NAMED = 5


def add_erase(commands: Any, console: Callable[[], Console]) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "erase", help="take documents and all their copies out of a finished output"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "--ids",
        type=Path,
        required=True,
        metavar="FILE",
        help="an id, <path>#<row> as it was read, or the hex digits of a key a line",
    )
    parser.add_argument("--source", metavar="S", help="of this source only; copies go everywhere")
    parser.add_argument(
        "--near",
        action="store_true",
        help="also what was removed as a near-duplicate of them, or in whose favour they were",
    )
    parser.add_argument(
        "--ignore-missing", action="store_true", help="erase the others where ids are unknown"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=lambda options: run_erase(options, console()))


def run_erase(options: argparse.Namespace, console: Console) -> int:
    """The command; 0, or an error is raised."""
    from pipeline.erasing.erase import erase
    from pipeline.index.deletion import read_ids

    done = erase(
        options.out,
        read_ids(options.ids).to_pylist(),
        source=options.source,
        near=options.near,
        ignore_missing=options.ignore_missing,
    )
    if options.json:
        print(json.dumps(asdict(done)))
    else:
        for line in lines(done, options.out):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    return 0


def lines(done: "Erasure", out: Path) -> list[str]:
    """What a person wants to know."""
    applied = done.applied
    told = [
        f"{out}: erased {done.num_named:,} documents, {done.num_copies:,} copies of them and "
        f"{done.num_near:,} near-duplicates"
    ]
    told.append(
        f"  rewritten: {applied.num_parts:,} of {applied.num_all_parts:,} parts "
        f"({applied.num_tokens:,} tokens became padding); {applied.num_files:,} files in all, "
        f"{applied.num_bytes / 1e6:,.1f} MB"
    )
    rows = ", ".join(f"{number:,} {kind}" for kind, number in sorted(applied.num_rows.items()))
    told.append(f"  rows taken: {rows or 'none'}; tombstones: {done.num_tombstones:,} in all")
    if done.num_indexed:
        told.append(f"  {done.num_indexed:,} documents left the index of deduplication")
    if done.erased_before:
        told.append(f"  {len(done.erased_before):,} were erased before")
    if done.ignored:
        told.append(f"  unknown, ignored: {_some(done.ignored)}")
    if done.left:
        told += _near(done)
    if done.unreached:
        told.append("What this could not reach:")
        told += [f"  {place}" for place in done.unreached]
    return told


def _near(done: "Erasure") -> list[str]:
    told = [
        f"  {len(done.left):,} near-duplicates stay, all named by --json; to erase them, too, give "
        "their ids, or --near from the start. Those removed come back when what they were removed "
        "for leaves the inputs:"
    ]
    for near in done.left[:MAX_NAMED]:
        where = "removed" if near.is_removed else "in the shards"
        name = near.id or near.key
        told.append(f"    {name} of {near.source}, {near.similarity:.2f} like {near.of} ({where})")
    return told


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
