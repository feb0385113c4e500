"""PII: recall, precision, false positives and speed, beside Presidio and datatrove.

    python -m benchmarks.pii --peer PYTHON [--corpus DIR] [--parts labelled,negatives,speed]

PYTHON is an interpreter that has Presidio, its evaluator, Faker and datatrove (`make bench-pii`
makes one). DIR holds `docs-*.jsonl.zst` with the field `text`; the parts `negatives` and `speed`
need it. Parts:

    labelled   sentences of presidio-evaluator's templates and ours, filled by Faker in ten locales
    negatives  what looks like PII and is not, collected from the corpus: false positives per MB
    speed      texts of the corpus, one core, CPU seconds, all tools in turn

Prints tables in Markdown and writes the figures into `build/bench-pii/`.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import add, machine
from benchmarks.filters import sample
from benchmarks.parts import chosen, corpus_of
from benchmarks.pii import labelled, negatives, speed

Table = Sequence[tuple[str, ...]]
Measured = tuple[Table, dict[str, Any]]


def main() -> None:
    """Measure what was asked for, part by part."""
    options = build_parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.parts:
        table, raw = PARTS[name](options)
        print(f"\n{name}\n\n{markdown(table)}", flush=True)
        rows = [list(row) for row in table]
        add(options.out / "figures.json", name, {**machine(), "rows": rows, "figures": raw})


def build_parser() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peer", type=Path, required=True, help="a Python that has the others")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument(
        "--parts",
        type=lambda text: chosen(text, PARTS),
        default=tuple(PARTS),
        help="with commas between",
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench-pii"))
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--templates", type=int, default=40, help="times each is filled (of 344)")
    parser.add_argument("--negative-megabytes", type=float, default=256.0, help="to collect from")
    parser.add_argument("--megabytes", type=float, default=64.0, help="speed: of text, for ours")
    parser.add_argument("--peer-megabytes", type=float, default=2.0, help="speed: for all")
    parser.add_argument("--rounds", type=int, default=3, help="speed: how many")
    return parser


def markdown(table: Table) -> str:
    """The first row is the header; the first column is text, the others are figures."""
    head, *rows = table
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _labelled(options: argparse.Namespace) -> Measured:
    faults = options.out / "faults.jsonl"
    return labelled.measure(options.peer, options.templates, options.seed, faults)


def _negatives(options: argparse.Namespace) -> Measured:
    size = options.negative_megabytes
    return negatives.measure(options.peer, corpus_of(options), size, options.out)


def _speed(options: argparse.Namespace) -> Measured:
    own = sample(corpus_of(options), options.megabytes)
    return speed.measure(own, options.peer, options.peer_megabytes, options.rounds)


PARTS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "labelled": _labelled,
    "negatives": _negatives,
    "speed": _speed,
}


if __name__ == "__main__":
    main()
