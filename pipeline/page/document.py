"""One self-contained HTML file: its head, its navigation, its sections."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pipeline.files import atomic


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One entry of the navigation. `id` is its anchor; `lead` one sentence under the title."""

    id: str
    title: str
    body: Markup
    lead: str | Markup = ""


def render(*, title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page as text. All but the bodies is escaped; nothing in it asks for another file.

    Raises `ValueError` where two sections have one anchor.
    """
    anchors = [section.id for section in sections]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"sections of one id: {anchors}")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html.j2")).render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        style=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
    )


def write_page(path: Path, html: str) -> None:
    """Write the page at once or not at all; what UTF-8 has not, as in odd names, is escaped."""
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="backslashreplace")


def _asset(name: str) -> str:
    return files("pipeline.page").joinpath("assets", name).read_text(encoding="utf-8")
