"""No document may be both trained on and validated on, over all `--shards` together.

Each `prepare run` splits by text, so one corpus cannot leak into itself; two that were prepared
apart can, and so can parts that somebody copied or changed. Documents are compared by their keys
and by the hashes of their texts, since another file's copy of a text has a key of its own. Only
these columns are read: those of validation are held in memory, about 200 bytes a piece, those
of the training parts stream past them, part by part.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import ShardError
from pipeline.shards import Identities, read_identities
from training.errors import DataError
from training.sources.corpus import ShardSet

COLUMNS = ("keys", "text_hashes")  # of `Identities`


class _Part(NamedTuple):
    """A part, and whose pieces stand in it."""

    shards: Path
    path: Path
    source: str
    pieces: Identities

    def place(self, piece: int) -> str:
        return f"row {self.pieces.rows[piece]} of {self.path} (source {self.source})"

    def key(self, piece: int) -> str:
        raw: bytes = self.pieces.keys[piece].tobytes()
        return raw.hex()


class _HeldOut:
    """The pieces of all validation parts, to be looked up by one column."""

    def __init__(self, parts: Sequence[_Part], column: str) -> None:
        words = [getattr(part.pieces, column) for part in parts]
        together = np.concatenate([np.zeros((0, 2), np.uint64), *words])
        self.values, self._first = np.unique(_as_bytes(together), return_index=True)
        # Places for 64 times as many: of what is not here, at most 1 in 64 is looked up.
        self._mask = np.uint64((1 << max(16, (64 * len(together)).bit_length())) - 1)
        self._bits = np.zeros(int(self._mask) + 1, np.bool_)
        self._bits[together[:, 0] & self._mask] = True
        self._begins = np.cumsum([0, *map(len, words)])
        self._parts = parts

    def found(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the training pieces stand here, and the place of each among `values`."""
        likely = np.flatnonzero(self._bits[words[:, 0] & self._mask])
        values = _as_bytes(words[likely])
        found = _are_in(values, self.values)
        return likely[found], np.searchsorted(self.values, values[found])

    def piece(self, place: int) -> tuple[_Part, int]:
        """The first piece that has a value: its part, and its number there."""
        number = int(self._first[place])
        part = int(np.searchsorted(self._begins, number, side="right")) - 1
        return self._parts[part], number - int(self._begins[part])


def check_no_leakage(sets: Sequence[ShardSet]) -> None:
    """Raise `DataError` when a validation document, or its text, stands in a training part, too.

    It tells of how many, and of one of them where it stands. Erased documents are in neither.
    """
    held_out = list(_parts(sets, "validation"))
    lookups = [_HeldOut(held_out, column) for column in COLUMNS]
    leaked: list[set[int]] = [set() for _ in COLUMNS]
    example = ""
    for part in _parts(sets, "train") if held_out else ():
        for column, lookup, places in zip(COLUMNS, lookups, leaked, strict=True):
            pieces, found = lookup.found(getattr(part.pieces, column))
            places.update(found.tolist())
            if len(pieces) and not example:
                example = _told(*lookup.piece(int(found[0])), part, int(pieces[0]))
    if example:
        num_leaked = max(map(len, leaked))
        raise DataError(
            f"{num_leaked:,} of {len(lookups[0].values):,} validation documents are in the "
            f"training shards too: {example}"
        )


def _told(held_out: _Part, piece: int, part: _Part, trained: int) -> str:
    what = f"document {held_out.key(piece)} in {held_out.place(piece)} is in {part.place(trained)}"
    if part.key(trained) != held_out.key(piece):
        what += f" as {part.key(trained)}, with the same text"
    if part.shards == held_out.shards:
        return (
            f"{what}; `prepare run` parts texts so only where it removes no copies and sources "
            "have several fractions: prepare them anew with dedup.exact: true, or one "
            "validation_fraction for all sources. If not, the parts were changed: copy them anew"
        )
    return (
        f"{what}; leave out one of the two --shards, or prepare them anew with one manifest, or "
        "with one validation_fraction for the sources of both, so that one split covers them"
    )


def _parts(sets: Sequence[ShardSet], split: str) -> Iterator[_Part]:
    for shards in sets:
        for shard in (s for s in shards.index.shards if s.split == split):
            path = shards.path / shard.path
            try:
                yield _Part(shards.path, path, shard.source, read_identities(path))
            except ShardError as exc:
                raise DataError(str(exc)) from exc


def _as_bytes(words: np.ndarray) -> np.ndarray:
    """As `S16`, which can be sorted; all are 16 bytes, so that the padding is no matter."""
    return np.ascontiguousarray(words).view("S16").reshape(-1)


def _are_in(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which values are among those wanted, which are sorted."""
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    found: np.ndarray = wanted[places] == values
    return found
