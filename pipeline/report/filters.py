"""What `prepare filters` prints, and the pages that it writes: one description, in three forms."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from filters.registry import NAME_KEY, Description, Parameter, describe, names
from pipeline.files import atomic

RATES_NAME = "keep_rates.json"  # {"corpus", "filters": {name: {"documents", "bytes"}}}, shares
INDEX_NAME = "README.md"
MAX_DEFAULT_CHARS = 120  # a longer default, such as a list of words, is shortened

Row = Sequence[str]
PARAMETERS: Row = ("parameter", "type", "default", "read by")
SIGNALS: Row = ("signal", "type", "meaning")
FILTERS: Row = ("filter", "cost", "what it keeps")

_CHEAP = "cheap: measured of every document"
_EXPENSIVE = "expensive: measured of the documents that the filters before it keep"


def print_filters(console: Console) -> None:
    """All filters, a line each. Raises FilterLoadError where one cannot be imported."""
    rows = [_line(describe(name)) for name in names()]
    if console.is_terminal:
        console.print(_table(FILTERS, rows, title="Filters"))
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, cost, summary in rows:
        line = f"{name:<{widths[0]}}  {cost:<{widths[1]}}  {summary}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_filter(name: str, console: Console) -> None:
    """One filter: what it does, its parameters and signals. Raises FilterConfigError."""
    known = describe(name)
    if not console.is_terminal:
        console.print(page(known), end="", soft_wrap=True, highlight=False, markup=False)
        return
    console.print(known.documentation, highlight=False, markup=False)
    for line in _facts(known):
        console.print(line, highlight=False, markup=False)
    for head, rows in ((PARAMETERS, _parameters(known)), (SIGNALS, _signals(known))):
        if rows:
            console.print(_table(head, rows))
    for paper in known.papers:
        console.print(f"Source: {paper}", highlight=False, markup=False)


def write_pages(folder: Path) -> list[Path]:
    """Write the Markdown pages of all filters into a folder; returns their paths."""
    paths = []
    for name, text in pages(folder / RATES_NAME).items():
        with atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(folder / name)
    return paths


def pages(rates_path: Path) -> dict[str, str]:
    """The Markdown of every filter and of the list of them, by file name.

    A filter's keep rate is said where the file of rates has it.
    """
    rates: dict[str, Any] = {"corpus": "", "filters": {}}
    if rates_path.is_file():
        rates = json.loads(rates_path.read_text(encoding="utf-8"))
    known = [describe(name) for name in names()]
    texts = {f"{each.name}.md": page(each, _rate(each.name, rates)) for each in known}
    return {INDEX_NAME: _index(known), **texts}


def page(known: Description, rate: str | None = None) -> str:
    """One filter as Markdown."""
    parts = [f"# {known.name}", known.documentation, _example(known)]
    parts.append("\n".join(f"- {fact}" for fact in _facts(known, rate)))
    for title, head, rows in (
        ("Parameters", PARAMETERS, _parameters(known)),
        ("Signals", SIGNALS, _signals(known)),
    ):
        if rows:
            parts += [f"## {title}", _markdown(head, rows)]
    if known.papers:
        parts += ["## Sources", "\n".join(f"- {paper}" for paper in known.papers)]
    return "\n\n".join(parts) + "\n"


def _index(known: Sequence[Description]) -> str:
    rows = [_line(each) for each in known]
    linked = [(f"[{name}]({name}.md)", cost, summary) for name, cost, summary in rows]
    how = "Written by `prepare filters --markdown DIR` from the filters themselves."
    return f"# Filters\n\n{how}\n\n{_markdown(FILTERS, linked)}\n"


def _line(known: Description) -> tuple[str, str, str]:
    return known.name, "expensive" if known.is_expensive else "cheap", known.summary


def _facts(known: Description, rate: str | None = None) -> list[str]:
    facts = [f"Cost: {_EXPENSIVE if known.is_expensive else _CHEAP}."]
    if known.edits:
        when = ", if its parameters ask for it" if known.may_edit_nothing else ""
        facts.append(f"Edits: it changes texts before anything is measured{when}.")
    if known.has_languages:
        facts.append("Languages: `per_language` gives some of them other parameters.")
    if rate is not None:
        facts.append(rate)
    return [*facts, f"Distribution: {known.distribution}."]


def _rate(name: str, rates: dict[str, Any]) -> str | None:
    """The measured keep rate, with the parameters that were given, if any."""
    found = rates["filters"].get(name)
    if found is None:
        return None
    given = found.get("parameters")
    by = f" with {json.dumps(given, ensure_ascii=False)}" if given else ""
    return (
        f"Keep rate{by}: {found['documents']:.1%} of the documents and {found['bytes']:.1%} of the "
        f"bytes of {rates['corpus']}."
    )


def _example(known: Description) -> str:
    """The entry of a manifest, with what the filter shows, or else with what has to be given."""
    required = {each.name: "..." for each in known.parameters if each.required}
    shown = {NAME_KEY: known.name, **(known.example or required)}
    entry = yaml.safe_dump(shown, default_flow_style=True, sort_keys=False, width=math.inf)
    plain = entry.strip().replace("'...'", "...")  # as a person writes what is left out
    return f"```yaml\nfilters:\n  - {plain}\n```"


def _parameters(known: Description) -> list[Row]:
    other = "edit, measure" if known.edits else "measure"
    return [
        (each.name, each.type, _default(each), "keep" if each.is_threshold else other)
        for each in known.parameters
    ]


def _default(parameter: Parameter) -> str:
    """The default as a manifest would have it."""
    if parameter.required:
        return "required"
    text = json.dumps(parameter.default, ensure_ascii=False, default=repr)
    if len(text) <= MAX_DEFAULT_CHARS:
        return text
    return f"{text[:MAX_DEFAULT_CHARS]} ... ({len(text):,} characters)"


def _signals(known: Description) -> list[Row]:
    return [(f"{known.name}.{each.name}", str(each.type), each.meaning) for each in known.signals]


def _table(head: Row, rows: Sequence[Row], title: str | None = None) -> Table:
    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        # A list such as [en] would be read as markup.
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    return table


def _markdown(head: Row, rows: Sequence[Row]) -> str:
    return "\n".join(_markdown_lines(head, rows))


def _markdown_lines(head: Row, rows: Sequence[Row]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
