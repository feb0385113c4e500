"""`prepare export` and `prepare import`: token sets in the formats of other trainers."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.formats.inputs import Found
    from pipeline.tokens.config import PackConfig

Consoles = Callable[[], Console]
FORMATS = ("megatron", "mds", "parquet")
SPLITS = ("train", "validation")


def add_export(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export", help="write finished shards in the format of another trainer"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        help="megatron: documents, as .bin and .idx; mds, parquet: packed rows",
    )
    parser.add_argument("--split", choices=SPLITS, help="only this split; left out: both")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="a new folder (default: OUT-FORMAT beside OUT)"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=lambda options: run_export(options, console()))


def add_import(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import", help="make shards of a Megatron or Parquet token set"
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a Megatron prefix, .bin or .idx; a Parquet file or a folder of them; or one folder "
        "of `prepare export`",
    )
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        help="the tokenizer that made the ids, a directory or a hub name (default: the export's)",
    )
    parser.add_argument("--source", metavar="NAME", help="of the documents (default: the file's)")
    parser.add_argument("--column", metavar="NAME", help="of Parquet: where the ids are")
    split = parser.add_mutually_exclusive_group()
    split.add_argument("--split", choices=SPLITS, help="where all documents go (default: train)")
    split.add_argument(
        "--validation-fraction",
        type=_fraction,
        metavar="F",
        help="of the documents, held out by the hash of each",
    )
    parser.add_argument(
        "--sequence-tokens", type=int, metavar="T", help="of a row (default: the export's, or 2048)"
    )
    parser.add_argument(
        "--strategy", metavar="S", help="`pack.strategy` of a manifest (default best_fit)"
    )
    parser.add_argument("--shard-tokens", type=int, metavar="N", help="of a part (default 2^26)")
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=lambda options: run_import(options, console()))


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a number from 0 to below 1")
    return value


def run_export(options: argparse.Namespace, console: Console) -> int:
    """The command; 0 where the export is whole."""
    from pipeline.formats.export import export

    out = options.out
    target = options.to or out.resolve().with_name(f"{out.resolve().name}-{options.format}")
    result = export(out, target, options.format, split=options.split, report=_note)
    if options.json:
        print(json.dumps({"to": str(target), **asdict(result)}))
        return 0
    what = "documents" if options.format == "megatron" else "rows"
    table = Table("set", what, "tokens", "MB", "loss mask")
    for one in result.sets:
        count = one.num_documents if options.format == "megatron" else one.num_rows
        mask = "yes" if one.has_mask else ""
        megabytes = f"{one.num_file_bytes / 1e6:,.1f}"
        table.add_row(one.path, f"{count:,}", f"{one.num_tokens:,}", megabytes, mask)
    console.print(table)
    console.print(f"{target}: complete, {len(result.sets)} sets", highlight=False, soft_wrap=True)
    return 0


def run_import(options: argparse.Namespace, console: Console) -> int:
    """The command; 0 where the shards are whole."""
    from pipeline.formats.importing import import_sets
    from pipeline.formats.inputs import find_sets

    split = options.split or (None if options.validation_fraction else "train")
    if _is_export(options.paths):
        if options.validation_fraction is not None:
            raise UsageError("--validation-fraction: an export has its own splits; leave it out")
        split = options.split
    found = find_sets(options.paths, source=options.source, split=split, column=options.column)
    tokenizer = options.tokenizer or found.tokenizer
    if tokenizer is None:
        raise UsageError("--tokenizer: got none; give the directory of the one that made the ids")
    pack = _packing(options, found)
    index, imported = import_sets(
        found,
        options.to,
        str(tokenizer),
        pack,
        validation_fraction=options.validation_fraction or 0.0,
        report=_note,
    )
    if options.json:
        print(json.dumps({"to": str(options.to), **asdict(imported)}))
        return 0
    table = Table("entry", "split", "documents", "rows", "tokens")
    for name in SPLITS:
        for entry, shards in index.select(name).items():
            sums = [
                sum(getattr(shard, column) for shard in shards)
                for column in ("num_documents", "num_rows", "num_tokens")
            ]
            table.add_row(entry, name, *(f"{value:,}" for value in sums))
    console.print(table)
    share = imported.num_tokens / (imported.num_rows * imported.sequence_tokens)
    console.print(
        f"{options.to}: complete, rows of {imported.sequence_tokens:,} tokens, {share:.2%} of the "
        f"slots used; `train --shards {options.to}` takes it",
        highlight=False,
        soft_wrap=True,
    )
    marked = imported.num_end_marked
    if marked is not None and marked * 2 < imported.num_documents:
        console.print(
            f"note: {marked:,} of {imported.num_documents:,} documents end with the tokenizer's "
            "EOS; a model does not learn from the others that a text ends",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def _packing(options: argparse.Namespace, found: "Found") -> "PackConfig":
    """How to pack; what does not reach rows that are packed already is an error."""
    from pydantic import ValidationError

    from pipeline.formats.sets import PackedSet
    from pipeline.tokens.config import PackConfig

    names = ("sequence_tokens", "strategy", "shard_tokens")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    packed = [one for one in found.inputs if isinstance(one.tokens, PackedSet)]
    idle = list(given) if len(packed) == len(found.inputs) else []
    if packed and "sequence_tokens" in given:
        idle = ["sequence_tokens"]
    if packed and idle:
        raise UsageError(
            f"--{idle[0].replace('_', '-')}: the rows of {packed[0].name} are packed already and "
            "stay as they are; leave it out, or give the files with --column tokens, where each "
            "row becomes a document"
        )
    defaults = {"sequence_tokens": found.sequence_tokens or 2048, "strategy": "best_fit"}
    try:
        return PackConfig(**(defaults | {"shard_tokens": 1 << 26} | given))
    except ValidationError as exc:
        error = exc.errors()[0]
        flag = str(error["loc"][0]).replace("_", "-")
        raise UsageError(f"--{flag}: got {error['input']!r}; {error['msg']}") from exc


def _is_export(paths: list[Path]) -> bool:
    return len(paths) == 1 and (paths[0] / "export.json").is_file()


def _note(name: str) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty():
        print(f"{name} ...", file=sys.stderr)
