"""Tables with a group of columns for each source, which its toggle hides and shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.page.elements import Cell, Column, Row, table, toggles
from pipeline.report.html.limits import MAX_SOURCES, SHOWN_SOURCES

ALL, OTHERS = "all sources", "other sources"


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that share a group of columns: all, one, or those that are too many."""

    title: str
    sources: tuple[str, ...]
    is_hidden: bool = False
    can_hide: bool = True


def groups(sources: Sequence[str], size: Callable[[str], float]) -> list[Group]:
    """All together, then the largest ones, in their order; a single one needs no sum."""
    largest = sorted(sources, key=lambda source: -size(source))
    chosen, shown = set(largest[:MAX_SOURCES]), set(largest[:SHOWN_SOURCES])
    own = [Group(s, (s,), is_hidden=s not in shown) for s in sources if s in chosen]
    if len(sources) > 1:
        own.insert(0, Group(ALL, tuple(sources), can_hide=False))
    if rest := tuple(s for s in sources if s not in chosen):
        own.append(Group(OTHERS, rest, is_hidden=True))
    return own


def source_toggles(shown: Sequence[Group]) -> Markup:
    """Buttons for the groups that can be hidden; none for one source alone."""
    names = [group.title for group in shown if group.can_hide]
    if len(names) < 2:
        return Markup("")
    hidden = {group.title for group in shown if group.is_hidden}
    return toggles("Sources shown in the tables", names, hidden=hidden)


def by_source(
    first: str,
    titles: Sequence[str],
    shown: Sequence[Group],
    rows: Sequence[tuple[str, str, Callable[[Group], Sequence[str]]]],
    *,
    caption: str = "",
) -> Markup:
    """Rows of (label, kind, cells of a group), each group with a column for each title."""
    columns = [Column(first)]
    for group in shown:
        for number, title in enumerate(titles):
            head = group.title if number == 0 else title
            belongs = group.title if group.can_hide and len(shown) > 1 else ""
            columns.append(Column(head, True, belongs, bool(belongs) and group.is_hidden))
    body = []
    for label, kind, cells in rows:
        flat: list[Cell] = [label]
        for group in shown:
            flat.extend(cells(group))
        body.append(Row(cells=flat, kind=kind))
    return table(columns, body, caption=caption)
