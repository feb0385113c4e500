"""`prepare compare`: two finished outputs side by side; nothing in them is changed."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:  # pyarrow and pydantic take half a second: `prepare --help` must not wait
    from pipeline.comparing.comparison import Comparison
    from pipeline.comparing.funnels import Count

Consoles = Callable[[], Console]
MAX_MOVES = 12  # rows of the table of documents; --json has all


def add_compare(commands: Any, console: Consoles) -> None:
    """Add the command to the subparsers of `prepare`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare", help="say how two outputs differ, and what that did to the documents"
    )
    parser.add_argument("out_a", type=Path, metavar="OUT_A", help="a manifest's `output`")
    parser.add_argument("out_b", type=Path, metavar="OUT_B", help="that of another")
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.set_defaults(command=lambda options: run_compare(options, console()))


def run_compare(options: argparse.Namespace, console: Console) -> int:
    """Print the comparison. Raises `UsageError` for what is no finished output."""
    from pipeline.comparing.comparison import compare_outputs

    found = compare_outputs(options.out_a, options.out_b)
    if options.json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return 0
    for sentence in sentences(found):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    _print(console, "Settings", ["key", "A", "B"], _texts(found.settings))
    _print(console, "Made of", ["what", "A", "B"], _texts(found.origin))
    _print(console, "Where the documents went", NUMBERS, _counts(found.funnel))
    for name, counts in found.sources.items() if len(found.sources) > 1 else ():
        _print(console, name, NUMBERS, _counts([c for c in counts if c.a != c.b]))
    _print(console, "Packed in one only", MOVES, _moves(found))
    _print(console, "Seconds of work, all processes", NUMBERS, _counts(found.seconds))
    return 0


NUMBERS = ["", "A", "B", "B - A"]
MOVES = ["source", "packed in", "in the other", "documents", "such as"]


def sentences(found: "Comparison") -> list[str]:
    """What matters, and what must not be compared."""
    keys = [each.name for each in found.settings]
    named = ", ".join(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
    said = [f"A is {found.a}, B is {found.b}."]
    said.append(f"The manifests differ in {named}." if keys else "The manifests are the same.")
    figures = {count.name: count for count in found.funnel}
    said.append(f"B packed {_against(figures['packed'], 'documents')}.")
    if found.same_tokenizer:
        said.append(f"B has {_against(figures['tokens'], 'tokens')}.")
    else:
        said.append("The tokenizers differ, so tokens are not compared; bytes are.")
    for packed_in in ("a", "b"):
        num = sum(m.num_documents for m in found.moves if m.packed_in == packed_in)
        said.append(f"{num:,} documents are packed in {packed_in.upper()} only.")
    if found.unmatched:
        said.append(
            f"{', '.join(found.unmatched)}: no document was read in both from one place or under "
            "one id, so documents are not compared."
        )
    return said


def _against(count: "Count", what: str) -> str:
    """Such as `444 documents fewer than A (-45.4 %)`."""
    change = count.b - count.a
    if change == 0:
        return f"as many {what} as A"
    share = f" ({100 * change / count.a:+.1f} %)" if count.a else ""
    return f"{abs(change):,.0f} {what} {'fewer' if change < 0 else 'more'} than A{share}"


def _texts(differences: Sequence[Any]) -> list[list[str]]:
    from pipeline.comparing.settings import as_text

    return [[each.name, as_text(each.a), as_text(each.b)] for each in differences]


def _counts(counts: Sequence["Count"]) -> list[list[str]]:
    return [
        [
            f"  {count.name}" if count.kind == "loss" else count.name,
            f"{count.a:,.0f}",
            f"{count.b:,.0f}",
            f"{count.b - count.a:+,.0f}" if count.a != count.b else "",
        ]
        for count in counts
    ]


def _moves(found: "Comparison") -> list[list[str]]:
    ordered = sorted(found.moves, key=lambda move: -move.num_documents)
    rows = [
        [m.source, m.packed_in.upper(), m.fate, f"{m.num_documents:,}", ", ".join(m.examples)]
        for m in ordered[:MAX_MOVES]
    ]
    more = len(ordered) - MAX_MOVES
    return [*rows, ["", "", f"{more} kinds more: --json", "", ""]] if more > 0 else rows


def _print(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """A table, if it has a row. Ids and reasons are what files say: shown, not obeyed."""
    if not rows:
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from pipeline.report.visible import visible

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        is_number = heading == "documents" or (headings is NUMBERS and heading != "")
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    console.print(table)
