"""What `prepare init` saw, as a table for a person, and what to do next."""

from collections import Counter
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.initialising.grouping import Group
from pipeline.initialising.initialise import Initial
from pipeline.initialising.observing import Observed
from pipeline.report.visible import visible

NUM_LANGUAGES, NUM_REASONS = 3, 5


def print_initial(found: Initial, output: Path, console: Console) -> None:
    """A row for each source, what was not read, and the next commands."""
    table = Table("source", "format", title="What is there", title_justify="left")
    for name in ("files", "MB", "rows"):
        table.add_column(name, justify="right")
    table.add_column("text")
    table.add_column("languages")
    for group in found.groups:
        cells = _cells(group, found.observed.get(group.name))
        table.add_row(*(Text(visible(cell)) for cell in cells))  # a name may look like markup
    console.print(table)
    for line in _lines(found):
        console.print(visible(line), soft_wrap=True, highlight=False, markup=False)
    name = visible(str(output))
    console.print(f"{name}: written. Next:", soft_wrap=True, highlight=False, markup=False)
    if found.tokenizer.folder is None:
        console.print(
            "  no tokenizer was found near the data: put the folder of the model's tokenizer where "
            "`tokenizer.path` says, or change it; or run this again with --tokenizer PATH --force",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    for command, what in (("plan", "what to expect, from a sample"), ("run", "prepare it")):
        console.print(
            f"  prepare {command} {visible(quote(str(output)))}    # {what}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def _cells(group: Group, seen: Observed | None) -> list[str]:
    about = "" if group.is_exact else "~"
    languages = [] if seen is None or group.is_code else seen.languages()[:NUM_LANGUAGES]
    return [
        group.name,
        group.format,
        f"{len(group.looked):,}",
        f"{group.num_bytes / 1e6:,.1f}",
        f"{about}{group.num_rows:,.0f}",
        _text(group),
        ", ".join(f"{name} {share:.0%}" for name, share in languages) or "-",
    ]


def _text(group: Group) -> str:
    if group.fields is not None:
        return " + ".join(group.fields.kind)
    if group.is_code:
        return f"file ({', '.join(group.languages[:2])})"
    return "line" if group.is_per_line else "file" if group.format != "warc" else "record"


def _lines(found: Initial) -> list[str]:
    lines = []
    for what, names in (("not read", found.unread), ("left out", found.skipped)):
        counted = Counter(names.values()).most_common()
        for why, number in counted[:NUM_REASONS]:
            example = next(name for name, reason in names.items() if reason == why)
            more = f" and {number - 1:,} more" if number > 1 else ""
            lines.append(f"{what}: {example}{more}: {why}")
        if len(counted) > NUM_REASONS:
            lines.append(f"{what}: {len(counted) - NUM_REASONS:,} more reasons")
    return lines
