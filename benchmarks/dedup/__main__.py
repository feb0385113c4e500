"""Deduplication: speed beside other libraries, and that time and memory grow as they should.

    python -m benchmarks.dedup --corpus DIR [--peer PYTHON] [--parts signatures,whole,...]

DIR holds `docs-*.jsonl.zst` with the fields `id` and `text`, and for the part `whole` may hold
them as `docs-*.parquet`. PYTHON is an interpreter that has datatrove, text-dedup and rensa (`make
bench-dedup` makes one). Parts:

    signatures  texts in memory to signatures, one core, CPU seconds, all libraries in turn
    whole       refine and deduplicate, beside datatrove's four stages, wall time
    synthetic   10M synthetic signatures with planted duplicates, beside 1M
    identical   1M equal documents in a whole `prepare run`, beside 100,000

Prints a table in Markdown and writes the figures into `build/bench-dedup.json`, where those of
other parts stay. Times are of this machine, now: compare only what one run prints.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.dedup import identical, signatures, synthetic, whole
from benchmarks.figures import add, machine
from benchmarks.parts import chosen, corpus_of

Row = tuple[str, str, str]
Measured = tuple[list[Row], dict[str, Any]]


def main() -> None:
    """Measure what was asked for, part by part."""
    options = build_parser().parse_args()
    print("| what | measured | target |\n|---|---:|---:|", flush=True)
    for name in options.parts:
        rows, raw = PARTS[name](options)
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
        add(options.json, name, {**machine(), "rows": rows, "figures": raw})


def build_parser() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--peer", type=Path, help="a Python that has the other libraries")
    parser.add_argument(
        "--parts",
        type=lambda text: chosen(text, PARTS),
        default=tuple(PARTS),
        help="with commas between",
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="of ours; of others' signing, too")
    parser.add_argument("--work", type=Path, help="where files are written (default: temporary)")
    parser.add_argument("--json", type=Path, default=Path("build/bench-dedup.json"))
    parser.add_argument("--megabytes", type=float, default=64.0, help="signatures: of text")
    parser.add_argument("--peer-megabytes", type=float, default=4.0, help="signatures: for all")
    parser.add_argument("--files", type=int, help="whole: how many (default: all)")
    parser.add_argument("--peer-files", type=int, default=1, help="whole: how many for datatrove")
    parser.add_argument("--memory", help="synthetic: as `prepare run` has it, and by default")
    sizes = {"synthetic": [1_000_000, 10_000_000], "identical": [100_000, 1_000_000]}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, nargs="+", default=default, help="documents")
    return parser


def _signatures(options: argparse.Namespace) -> Measured:
    sizes = options.megabytes, options.peer_megabytes
    return signatures.measure(corpus_of(options), options.peer, *sizes, options.rounds)


def _whole(options: argparse.Namespace) -> Measured:
    return whole.measure(
        corpus_of(options),
        options.peer,
        options.work,
        options.files,
        options.peer_files,
        options.workers,
        options.rounds,
    )


def _synthetic(options: argparse.Namespace) -> Measured:
    return synthetic.measure(options.work, options.synthetic, options.workers, options.memory)


def _identical(options: argparse.Namespace) -> Measured:
    return identical.measure(options.work, options.identical, options.workers)


PARTS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "signatures": _signatures,
    "whole": _whole,
    "synthetic": _synthetic,
    "identical": _identical,
}


if __name__ == "__main__":
    main()
