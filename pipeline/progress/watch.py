"""Which items of a stage have left their records, and what these say.

A record is the only truth about an item: a runner that retries or skips distorts its own counters,
and one that is elsewhere tells nothing until its job ends. So the folder of the records is listed
now and then, and each record is read once, when it has come.
"""

import os
import time
from collections.abc import Iterable, Sequence

from pipeline.errors import PrepareError
from pipeline.progress.figures import Figures, figures_of
from pipeline.records import Record, Records

LISTED_SECONDS = 0.5  # between two listings
LISTED_SHARE = 0.02  # of the time, at most: a shared file system may take long


class Watch:
    """Follows the items of one stage that are not done, by the names of their records.

    Of the other items `done` are the records. `poll` may be called at any time, by one thread.
    """

    def __init__(
        self, records: Records, pending: Iterable[Sequence[str]], done: Iterable[Record] = ()
    ) -> None:
        self._records = records
        self._waiting = {name: number for number, names in enumerate(pending) for name in names}
        self._num_missing = [0] * (max(self._waiting.values(), default=-1) + 1)
        for number in self._waiting.values():
            self._num_missing[number] += 1
        self._stale = self._listed() if self._waiting else {}
        self._next_listing = 0.0
        self.num_done = 0  # of the items that were pending
        self.before = sum(map(figures_of, done), start=Figures())
        self.here = Figures()  # of what was pending and is done

    @property
    def figures(self) -> Figures:
        """Of all finished items, those of earlier runs among them."""
        return self.before + self.here

    def poll(self, *, now: bool = False) -> None:
        """Read the records that have come, unless the folder was listed a moment ago."""
        if not self._waiting or (not now and time.perf_counter() < self._next_listing):
            return
        started = time.perf_counter()
        listed = self._listed()
        took = time.perf_counter() - started
        for name, identity in listed.items():
            if identity != self._stale.get(name) and (record := self._read(name)) is not None:
                self._add(name, record)
        pause = max(LISTED_SECONDS, took / LISTED_SHARE)
        self._next_listing = time.perf_counter() + pause

    def _listed(self) -> dict[str, int]:
        """The inode of each record that is waited for: one that is made again has another one."""
        try:
            with os.scandir(self._records.folder) as entries:
                names = ((entry.name.removesuffix(".json"), entry.inode()) for entry in entries)
                return {name: inode for name, inode in names if name in self._waiting}
        except FileNotFoundError:  # no item of this stage was ever done
            return {}

    def _read(self, name: str) -> Record | None:
        try:
            return self._records.read(name)
        except (OSError, PrepareError):
            return None  # the run reads it, too, and says what is wrong with it

    def _add(self, name: str, record: Record) -> None:
        number = self._waiting.pop(name)
        self._num_missing[number] -= 1
        self.num_done += self._num_missing[number] == 0
        self.here += figures_of(record)
