"""`prepare verify`: everything that was written, read again."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError


def add_verify(commands: Any) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify", help="re-read an output and check everything"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "--pii", action="store_true", help="also look for PII again, of the kinds in the manifest"
    )
    parser.add_argument(
        "--ids",
        type=Path,
        metavar="FILE",
        help="also that no document has one of these names, which are those of `erase`",
    )
    parser.add_argument("--source", metavar="S", help="with --ids: as it was given to `erase`")
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    """The command: 1 where there is a fault, else 0."""
    from pipeline.index.deletion import read_ids
    from pipeline.progress.styles import waiting
    from pipeline.verify import faults

    if options.source is not None and options.ids is None:
        raise UsageError("--source: got it without --ids, and all else is checked of every source")
    ids = [] if options.ids is None else read_ids(options.ids).to_pylist()
    with waiting(f"Reading all of {options.out} again ..."):
        found = list(faults(options.out, pii=options.pii, ids=ids, source=options.source))
    if options.json:
        print(json.dumps({"out": str(options.out), "faults": list(map(str, found))}))
    elif found:
        _tell_faults(options.out, found)
    else:
        clean = "; no PII is left of the kinds in the manifest" if options.pii else ""
        absent = _absent(options, ids) if ids else ""
        print(f"{options.out}: complete; every hash, key and count holds{clean}{absent}")
    return int(bool(found))


def _tell_faults(out: Path, found: Sequence[object]) -> None:
    from pipeline.formats.check import is_imported

    for fault in found:
        print(f"fault: {fault}", file=sys.stderr)
    how = (
        ""
        if is_imported(out)
        else "; `prepare run --mend` with its manifest makes again what is damaged"
    )
    print(f"{out}: {len(found)} faults{how}", file=sys.stderr)


def _absent(options: argparse.Namespace, ids: Sequence[str]) -> str:
    """What can be said of names that nothing has."""
    from pipeline.erasing.absence import num_erased

    names = set(ids)
    number = num_erased(options.out, ids, options.source)
    told = f"; nothing has one of the {len(names):,} names of {options.ids}: {number:,} were erased"
    if number < len(names):
        told += f", {len(names) - number:,} are unknown here, so look whether they are spelt right"
    return told
