"""The list of decisions, from the titles of their pages."""

from pathlib import Path

from reference.markdown import page

INTRODUCTION = """\
# Decisions

Each choice that someone will question has a page: what was chosen, against what, and for which
figures.
"""


def decisions_page(folder: Path) -> str:
    """The pages of `folder`, in the order of their numbers."""
    paths = sorted(folder.glob("[0-9]*.md"))
    return page(INTRODUCTION, "\n".join(f"- [{_title(path)}]({path.name})" for path in paths))


def _title(path: Path) -> str:
    """The heading without its number, which some write `0005:` and others `5.`."""
    heading = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    number, _, title = heading.partition(" ")
    return f"{int(number.strip('.:'))}. {title}"
