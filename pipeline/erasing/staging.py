"""All files of an erasure change together: written aside first, then one journal, then renames.

    OUT/erasing/00000.arrow ...    what will take the place of other files
    OUT/erasing/journal.json       {"moves": [[staged, target], ...]}: from here on it is decided

Killed before the journal is there, nothing has changed; afterwards whoever next writes to the
output goes on with the renames. `shards/index.json` goes first and comes back last, so that nobody
takes the shards for complete in between.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.files import check_inside, write_json, writing
from pipeline.shards import INDEX_NAME

FOLDER, JOURNAL = "erasing", "journal.json"
INDEX = f"shards/{INDEX_NAME}"


@dataclass(slots=True)
class Staging:
    """The files of one erasure, not yet in force. `begin` makes the folder, empty."""

    out: Path
    moves: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def begin(cls, out: Path) -> "Staging":
        """Anew; what an erasure left that was killed before its journal is removed."""
        roll_forward(out)
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        with writing(out / FOLDER):
            (out / FOLDER).mkdir(mode=0o700)  # so that what is written here is private
        return cls(out)

    def path(self, target: str) -> Path:
        """Where to write what will take the place of `target`, relative to the output."""
        staged = f"{FOLDER}/{len(self.moves):05d}{Path(target).suffix}"
        self.moves.append((staged, target))
        return self.out / staged

    def json(self, target: str, value: Any) -> None:
        write_json(self.path(target), value)

    def commit(self) -> None:
        """Put everything in force."""
        for staged, target in self.moves:
            if (self.out / target).is_file():
                (self.out / staged).chmod((self.out / target).stat().st_mode & 0o777)
        write_json(self.out / FOLDER / JOURNAL, {"moves": self.moves})
        _sync(self.out / FOLDER)
        roll_forward(self.out)


def is_decided(out: Path) -> bool:
    """Whether an erasure was decided that did not end."""
    return (out / FOLDER / JOURNAL).is_file()


def roll_forward(out: Path) -> None:
    """Go on with the renames of the journal, if there is one.

    The journal stays, as reports are still to be written: `close` says that all is done.
    """
    if not is_decided(out):
        return
    moves = json.loads((out / FOLDER / JOURNAL).read_text(encoding="utf-8"))["moves"]
    check_inside(out, (path for move in moves for path in move))
    pending = [(out / staged, out / target) for staged, target in moves]
    pending = [(staged, target) for staged, target in pending if staged.is_file()]
    if pending:
        (out / INDEX).unlink(missing_ok=True)
    for staged, target in sorted(pending, key=lambda move: move[1] == out / INDEX):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
    for folder in {target.parent for _, target in pending}:
        _sync(folder)


def close(out: Path) -> None:
    """The erasure has ended: what it wrote aside is removed, the journal first."""
    (out / FOLDER / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _sync(folder: Path) -> None:
    """A rename is on disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
