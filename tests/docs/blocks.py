"""The fenced blocks of the pages, and what their info strings say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LANGUAGES = frozenset({"bash", "console", "json", "python", "text", "toml", "yaml"})
NOT_RUN = "data-not-run"  # why a block cannot be run here: its value is the reason
EXIT = "data-exit"  # the exit code of its last command, where that is not 0
ATTRIBUTES = frozenset({"title", NOT_RUN, EXIT})

_FENCE = re.compile(r"^([ \t]*)(`{3,})([^`\n]*)\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_INFO = re.compile(r'(\w*)\s*(?:\{((?:\s*[\w-]+="[^"]*")*)\s*\}|((?:\s*[\w-]+="[^"]*")*))\s*')


@dataclass(frozen=True)
class Block:
    """One fenced block: page (relative to the repository), line of its fence, its info string."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def language(self) -> str:
        """The first word of the info string."""
        return self.info.partition(" ")[0]

    def get(self, name: str) -> str | None:
        """The value of an attribute."""
        return dict(_ATTRIBUTE.findall(self.info)).get(name)

    @property
    def is_run(self) -> bool:
        """Whether a test runs it, if its language is one that is run."""
        return self.get(NOT_RUN) is None

    @property
    def exit_code(self) -> int:
        """What its last command ends with."""
        return int(self.get(EXIT) or 0)


def pages() -> list[Path]:
    """Every page that a person reads as documentation, the README first."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(path: Path) -> list[Block]:
    """The blocks of one page, in order."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return list(parse(name, path.read_text(encoding="utf-8")))


def all_blocks() -> list[Block]:
    """The blocks of all pages."""
    return [block for path in pages() for block in blocks(path)]


def parse(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a text, in order."""
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[3].strip(), dedent(match[4]))


def fault(block: Block) -> str | None:
    """Why no test would know what to do with a block; None where one does."""
    match = _INFO.fullmatch(block.info)
    if match is None:
        return f'{block}: got the info string {block.info!r}, want LANGUAGE {{ name="value" }}'
    unknown = [match[1]] if match[1] not in LANGUAGES else []
    unknown += [name for name, _ in _ATTRIBUTE.findall(block.info) if name not in ATTRIBUTES]
    if unknown:
        known = ", ".join(sorted(LANGUAGES | ATTRIBUTES))
        return f"{block}: no test knows what to do with {unknown[0]!r}; want of {known}"
    return None
