"""Pieces of Markdown that the pages are made of."""

import re
from collections.abc import Sequence

Row = Sequence[str]

_FENCE_MARK = re.compile(r"<(?=[A-Za-z/])")  # `<source>` in prose would be taken for an element


def table(head: Row, rows: Sequence[Row]) -> str:
    """A table; bars in cells are escaped, line feeds become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """Inline code, or nothing where there is no text."""
    return f"`{text}`" if text else ""


def page(*parts: str) -> str:
    """Parts with an empty line between them; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def prose(text: str) -> str:
    """Text from a docstring or a help line: what looks like an element is shown as it is."""
    return _FENCE_MARK.sub("&lt;", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
