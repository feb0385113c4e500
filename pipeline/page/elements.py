"""The parts of a page, as markup: everything that is given as `str` is escaped."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from markupsafe import Markup

Cell = str | Markup
LONGEST_KEY = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a table. `kind`: `total`, `loss` (set in) or nothing."""

    cells: Sequence[Cell]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it is headed, whether it holds numbers, and to what toggle it belongs.

    `is_hidden`: until that toggle is pressed.
    """

    title: str
    is_number: bool = False
    belongs: str = ""
    is_hidden: bool = False


def join(parts: Iterable[Cell]) -> Markup:
    """One after the other."""
    return Markup("").join(parts)


def table(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    caption: str = "",
    searchable: str = "",
) -> Markup:
    """A table that scrolls by itself where it is too wide. `searchable`: what the search is for.

    Two searches on a page are for different things: their name is made of it.
    """
    head = join(
        Markup("<th scope='col'{}>{}</th>").format(_attributes(column), column.title)
        for column in columns
    )
    body = join(_row(columns, row) for row in rows)
    search, named = Markup(""), Markup("")
    if searchable:
        name = _name("table", caption, searchable, *(column.title for column in columns))
        named = Markup(" id='{}'").format(name)
        search = Markup(
            "<p class='search'><label>{} <input type='search' data-searches='{}'></label></p>"
        ).format(searchable, name)
    title = Markup("<caption>{}</caption>").format(caption) if caption else Markup("")
    return Markup(
        "{}<div class='scroll' tabindex='0' role='region' aria-label='{}'>"
        "<table{}>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(search, caption or f"table by {columns[0].title}", named, title, head, body)


def tiles(facts: Sequence[tuple[str, str, str]]) -> Markup:
    """The few figures that matter: (name, value, a word on it)."""
    parts = join(
        Markup("<div><dt>{}</dt><dd>{}{}</dd></div>").format(
            name, value, Markup("<small>{}</small>").format(hint) if hint else ""
        )
        for name, value, hint in facts
    )
    return Markup("<dl class='tiles'>{}</dl>").format(parts)


def tabs(name: str, panels: Sequence[tuple[str, Markup]]) -> Markup:
    """One of several panels is shown; `name` says what is chosen and is not used twice."""
    prefix = _name("tab", name)
    buttons = join(
        Markup(
            "<button type='button' role='tab' id='{0}-{1}' aria-controls='{0}-panel-{1}' "
            "aria-selected='{2}' tabindex='{3}'>{4}</button>"
        ).format(prefix, number, str(number == 0).lower(), 0 if number == 0 else -1, title)
        for number, (title, _) in enumerate(panels)
    )
    bodies = join(
        Markup(
            "<div role='tabpanel' id='{0}-panel-{1}' aria-labelledby='{0}-{1}'{2}>{3}</div>"
        ).format(prefix, number, Markup(" hidden") if number else "", body)
        for number, (_, body) in enumerate(panels)
    )
    return Markup("<div class='tabs'><div role='tablist' aria-label='{}'>{}</div>{}</div>").format(
        name, buttons, bodies
    )


def toggles(label: str, names: Sequence[str], *, hidden: Collection[str] = ()) -> Markup:
    """A button for each name that hides and shows what `belongs` to it.

    What belongs to a name of `hidden` is to be hidden to begin with, and says so itself: then
    nothing moves when the page is opened.
    """
    buttons = join(
        Markup("<button type='button' aria-pressed='{}' data-toggles='{}'>{}</button>").format(
            str(name not in hidden).lower(), _key(name), name
        )
        for name in names
    )
    return Markup("<div class='chips' role='group' aria-label='{}'>{}</div>").format(label, buttons)


def belonging(name: str, body: Markup, *, is_hidden: bool = False) -> Markup:
    """What the toggle of that name hides."""
    hidden = Markup(" hidden") if is_hidden else ""
    return Markup("<div data-belongs='{}'{}>{}</div>").format(_key(name), hidden, body)


def details(summary: Cell, body: Markup, *, is_open: bool = False) -> Markup:
    """What opens on request."""
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup(" open") if is_open else "", summary, body
    )


def sample(text: Cell) -> Markup:
    """Text as it stands in a file: line breaks kept, in a box that scrolls."""
    return Markup("<div class='sample' tabindex='0' dir='auto'>{}</div>").format(text)


def code(text: str) -> Markup:
    """Program text, such as a manifest."""
    return Markup("<pre tabindex='0'><code>{}</code></pre>").format(text)


def paragraph(text: Cell, kind: str = "note") -> Markup:
    """A sentence or two. `kind`: `note`, `good`, `bad`, or `who` over what somebody wrote."""
    return Markup("<p class='{}'>{}</p>").format(kind, text)


def bullets(sentences: Sequence[Cell]) -> Markup:
    """Sentences as a list; nothing for none."""
    if not sentences:
        return Markup("")
    return Markup("<ul class='told'>{}</ul>").format(
        join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
    )


def prose(text: str) -> Markup:
    """Sentences in which `code` stands between backticks, as in Markdown."""
    parts = text.split("`")
    return join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def heading(text: Cell) -> Markup:
    """A heading inside of a section."""
    return Markup("<h3>{}</h3>").format(text)


def pair(left: Markup, right: Markup) -> Markup:
    """Two side by side, one over the other where the page is narrow."""
    return Markup("<div class='pair'><div>{}</div><div>{}</div></div>").format(left, right)


def grid(parts: Iterable[Markup]) -> Markup:
    """Small figures side by side, as many as there is room for."""
    return Markup("<div class='grid'>{}</div>").format(join(parts))


def marked(parts: Iterable[tuple[str, str]]) -> Markup:
    """Text of (tag, text) parts; the tag is `mark`, `del`, `ins` or nothing."""
    return join(_marked(tag, text) for tag, text in parts)


def _marked(tag: str, text: str) -> Cell:
    if not tag:
        return Markup("{}").format(text)
    _check(tag, ("mark", "del", "ins"))
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text)


def _row(columns: Sequence[Column], row: Row) -> Markup:
    _check(row.kind, ("", "total", "loss"))
    cells = join(
        Markup("<td{}>{}</td>").format(_attributes(column), cell)
        for column, cell in zip(columns, row.cells, strict=True)
    )
    return Markup("<tr{}>{}</tr>").format(
        Markup(" class='{}'").format(row.kind) if row.kind else "", cells
    )


def _attributes(column: Column) -> Markup:
    number = Markup(" class='number'") if column.is_number else Markup("")
    belongs = Markup(" data-belongs='{}'").format(_key(column.belongs)) if column.belongs else ""
    return number + belongs + (Markup(" hidden") if column.is_hidden else "")


def _name(kind: str, *of: str) -> str:
    """An id that is the same in every run."""
    return f"{kind}-{sha256(repr(of).encode()).hexdigest()[:10]}"


def _key(name: str) -> str:
    """What a toggle calls that which belongs to it: a long name would stand in every cell."""
    return name if len(name) <= LONGEST_KEY else _name("of", name)


def _check(value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"got {value!r}, want one of {sorted(known)}")
