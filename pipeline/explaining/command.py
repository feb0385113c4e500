"""`prepare explain` and `prepare duplicates`: they read a finished output and change nothing."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.errors import UsageError
from pipeline.report.visible import replace_what_cannot_be_printed

if TYPE_CHECKING:  # pyarrow and pydantic take half a second: `prepare --help` must not wait
    from pipeline.explaining.clusters import Cluster
    from pipeline.explaining.finding import Place
    from pipeline.explaining.output import Output

NUM_CLUSTERS = 10
NUM_MEMBERS = 3
MAX_CANDIDATES = 20  # documents whose keys begin alike that are listed
MAX_STORIES = 5  # documents of one name that are told on a terminal

Consoles = Callable[[], Console]


def add_explain(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where the story goes."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain", help="tell what happened to one document, and why"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "name",
        metavar="DOC_ID",
        help="an id, <path>#<row> as it was read, or 8 or more hex digits of a key",
    )
    parser.add_argument("--source", metavar="S", help="look in this source only")
    parser.add_argument(
        "--json", action="store_true", help="for machines: one object a document and line"
    )
    parser.set_defaults(command=lambda options: run_explain(options, console()))


def add_duplicates(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "duplicates", help="show what was removed as a duplicate beside what stays"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the manifest's `output`")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="DOC_ID",
        help="right after OUT: only of this document, named as for `prepare explain`",
    )
    parser.add_argument("--source", metavar="S", help="only with a document of this source")
    for side, default in (("min", 0.0), ("max", 1.0)):
        parser.add_argument(
            f"--{side}-similarity",
            type=_similarity,
            default=default,
            metavar="X",
            help=f"{side}imum of the removed documents that are shown, 0..1",
        )
    parser.add_argument(
        "--limit",
        type=_count,
        default=NUM_CLUSTERS,
        metavar="N",
        help=f"clusters (default {NUM_CLUSTERS}; 0: all)",
    )
    parser.add_argument(
        "--members",
        type=_count,
        metavar="N",
        help="removed documents of a cluster, the least similar first (0: all; default "
        f"{NUM_MEMBERS}, with --json all)",
    )
    parser.add_argument(
        "--by",
        choices=("size", "similarity"),
        default="size",
        help="the order of clusters: the largest first (default), or the least similar first",
    )
    parser.add_argument(
        "--json", action="store_true", help="for machines: one object a cluster and line"
    )
    parser.set_defaults(command=lambda options: run_duplicates(options, console()))


def _similarity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, want a number in 0..1")
    return value


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, want a whole number, 0 for all")
    return int(text)


def run_explain(options: argparse.Namespace, console: Console) -> int:
    """The command: 0 where a document was found and told, else 1."""
    from pipeline.explaining.output import open_output
    from pipeline.explaining.story import tell
    from pipeline.report.explanation import print_story

    replace_what_cannot_be_printed()
    output = open_output(options.out)
    places = _found(output, options, console)
    told = places if options.json else places[:MAX_STORIES]
    for number, place in enumerate(told):
        story = tell(output, place)
        if options.json:
            print(json.dumps(asdict(story)))
            continue
        if len(places) > 1:
            gap = "\n" if number else ""
            console.print(f"{gap}{number + 1} of {len(places)} with this name:", highlight=False)
        print_story(story, console)
    if len(places) > len(told):
        left = f"{len(places) - len(told):,} more with this name: --json tells all"
        console.print(f"\n{left}; a key or --source names fewer", highlight=False)
    return 0 if places else 1


def run_duplicates(options: argparse.Namespace, console: Console) -> int:
    """The command: 1 where a document is asked for that is not there, else 0."""
    from pipeline.explaining import clusters
    from pipeline.explaining.output import doc_number, open_output
    from pipeline.report.clusters import no_cluster, print_overview

    if options.min_similarity > options.max_similarity:
        raise UsageError(
            f"--min-similarity: got {options.min_similarity}, want at most --max-similarity, "
            f"{options.max_similarity}"
        )
    replace_what_cannot_be_printed()
    output = open_output(options.out)
    docs = None
    if options.name is not None:
        places = _found(output, options, console)
        if not places:
            return 1
        docs = [doc_number(place.item, place.row) for place in places if place.kind == "kept"]
    selection = clusters.select(
        output,
        source=options.source,
        docs=docs,
        min_similarity=options.min_similarity,
        max_similarity=options.max_similarity,
    )
    if options.name is not None and not len(selection.places) and not options.json:
        limits = (options.min_similarity, options.max_similarity)
        console.print(no_cluster(options.name, limits), highlight=False, markup=False)
        return 0
    if not options.json:
        print_overview(clusters.overview(output, selection), console)
    default = 0 if options.json else NUM_MEMBERS
    members = default if options.members is None else options.members
    for cluster in clusters.clusters(
        output, selection, options.by, options.limit or None, members or None
    ):
        if options.json:
            print(json.dumps(asdict(cluster)))
        else:
            _print_cluster(output, cluster, console)
    return 0


def _print_cluster(output: "Output", cluster: "Cluster", console: Console) -> None:
    """With the texts, which are read a cluster at a time."""
    import numpy as np

    from pipeline.report.clusters import print_cluster

    docs = [removal.removed.doc for removal in cluster.removed]
    survivor = cluster.survivor.doc
    here = [] if survivor is None else [survivor]
    texts = output.read(np.array([*docs, *here], np.uint64), "text")["text"]
    print_cluster(cluster, texts[: len(docs)], texts[len(docs)] if here else None, console)


def _found(output: "Output", options: argparse.Namespace, console: Console) -> list["Place"]:
    """The documents of the name that was given; what to do is said where there are none."""
    from pipeline.explaining.finding import find, row_values, suggest
    from pipeline.report.explanation import print_ambiguous, print_unknown

    found = find(output, options.name, options.source)
    places = list(found.places)
    errors = Console(stderr=True) if options.json else console
    if not places:
        print_unknown(options.name, suggest(output, options.name, options.source), errors)
    elif len(places) > 1 and found.by_key:
        heads = []
        for place in places[:MAX_CANDIDATES]:
            row = row_values(place, ["key", "id"])
            heads.append((place, row["key"][0].as_py().hex(), row["id"][0].as_py()))
        print_ambiguous(options.name, heads, len(places), errors)
        return []
    return places
