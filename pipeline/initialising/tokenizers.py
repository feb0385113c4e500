"""A tokenizer near the data: nothing is downloaded."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.tokens.resolve import TOKENIZER_FILE

PLACES = ("", "tokenizer", "model", "models")
MISSING = "models/base"  # where the manifest looks for one if none is found


@dataclass(frozen=True, slots=True)
class FoundTokenizer:
    """`folder` is None where there is none; `others` were found, too."""

    folder: Path | None
    why: str
    others: tuple[Path, ...] = ()

    @property
    def has_template(self) -> bool:
        """Whether conversations can be told in its tokens."""
        if self.folder is None:
            return True  # who can say
        if any(self.folder.glob("*.jinja")):
            return True
        try:
            config = json.loads((self.folder / "tokenizer_config.json").read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return bool(config.get("chat_template"))


def find_tokenizer(given: Path | None, root: Path, base: Path) -> FoundTokenizer:
    """The one that is given, else the nearest one: in or beside the data, or the manifest."""
    if given is not None:
        folder = given.parent if given.is_file() else given
        return FoundTokenizer(folder, "as given by --tokenizer")
    starts = (root, base, Path.cwd(), root.parent)
    by_place = {folder.resolve(): folder for start in reversed(starts) for folder in _near(start)}
    nearest = dict.fromkeys(folder.resolve() for start in starts for folder in _near(start))
    found = [by_place[folder] for folder in nearest]
    if not found:
        return FoundTokenizer(None, "none was found near the data")
    return FoundTokenizer(found[0], "found near the data", tuple(found[1:4]))


def _near(start: Path) -> Iterator[Path]:
    for place in PLACES:
        folder = start / place
        if (folder / TOKENIZER_FILE).is_file():
            yield folder
        if place and folder.is_dir() and os.access(folder, os.R_OK):
            yield from sorted(p.parent for p in folder.glob(f"*/{TOKENIZER_FILE}") if p.is_file())
