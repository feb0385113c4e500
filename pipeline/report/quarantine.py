"""What `prepare quarantine` prints for a person."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.quarantine.retry import Fate, Retried
from pipeline.quarantine.rows import Kind, QuarantinedRow, escaped
from pipeline.report.visible import visible
from pipeline.sources.schema import REASONS

WARNING = "The bytes of the rows follow. They may be personal: they were not anonymised."


def print_counts(counts: Counter[Kind], limit: int, console: Console) -> None:
    """Rows by source, file and reason, the most first."""
    table = Table(title=f"{counts.total():,} rows are quarantined", title_justify="left")
    for name in ("source", "file", "stage", "reason"):
        table.add_column(name, overflow="fold")
    table.add_column("rows", justify="right")
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for kind, number in order[: limit or None]:
        table.add_row(*(Text(visible(name)) for name in kind), f"{number:,}")
    console.print(table)
    if limit and len(order) > limit:
        rest = sum(number for _, number in order[limit:])
        _say(
            f"... and {rest:,} rows in {len(order) - limit:,} more lines (--limit 0: all)", console
        )
    for reason in sorted({kind.reason for kind in counts}):
        _say(f"{reason}: {REASONS.get(reason, 'of another version')}", console)


def print_rows(
    rows: Iterable[QuarantinedRow], num_rows: int, num_bytes: int | None, console: Console
) -> None:
    """Each with its place and what was wrong; with `num_bytes` so many of its bytes."""
    _say("", console)
    if num_bytes is not None:
        _say(WARNING, console)
    num_shown = 0
    for row in rows:
        num_shown += 1
        _say(f"{_place(row)}  {row.stage}, {row.reason}: {visible(row.detail)}", console)
        if num_bytes is not None:
            _say(f"    {_bytes_of(row, num_bytes)}", console)
    if num_shown < num_rows:
        _say(f"... and {num_rows - num_shown:,} more rows (--limit 0: all)", console)


def print_retried(retried: Retried, limit: int, console: Console) -> None:
    """How many rows became what, and the rows that are not kept."""
    if not retried.fates:
        _say("No row like that is quarantined: nothing to try again.", console)
        return
    fates = Counter(one.fate for one in retried.fates)
    told = ", ".join(f"{number:,} {_FATES[fate]}" for fate, number in fates.most_common())
    _say(
        f"Tried {len(retried.fates):,} quarantined rows again, in {retried.num_items:,} work "
        f"items: {told}.",
        console,
    )
    if retried.num_new:
        _say(f"{retried.num_new:,} other rows of these files are quarantined now.", console)
    left = [one for one in retried.fates if one.fate != "kept"]
    for one in left[: limit or None]:
        why = f" ({one.why})" if one.why else ""
        _say(f"{_place(one.before)}  {one.before.reason}: {_FATES[one.fate]}{why}", console)
    if limit and len(left) > limit:
        _say(f"... and {len(left) - limit:,} more (--limit 0: all)", console)


_FATES = {
    "kept": "kept",
    "dropped": "dropped",
    "removed": "removed as a duplicate",
    "quarantined": "quarantined again",
    "gone": "gone from their place",
}


def fate_values(fates: Sequence[Fate]) -> list[dict[str, object]]:
    """The same for machines."""
    return [
        {
            "source": one.before.source,
            "file": one.before.file,
            "row": one.before.row,
            "reason": one.before.reason,
            "fate": one.fate,
            "why": one.why,
        }
        for one in fates
    ]


def _place(row: QuarantinedRow) -> str:
    return f"{row.source}: {visible(row.file)}#{row.row}"


def _bytes_of(row: QuarantinedRow, num_bytes: int) -> str:
    if row.raw is None:
        return "(no bytes are stored)"
    more = len(row.raw) - num_bytes
    return escaped(row.raw, num_bytes) + (f" ... {more:,} more bytes" if more > 0 else "")


def _say(text: str, console: Console) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
