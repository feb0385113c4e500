"""Names that are the hex digits of keys, of which the first 8 are enough."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.explaining.finding import KEY_DIGITS

DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
KEY = re.compile(r"[0-9a-fA-F]+")


def is_key(name: str) -> bool:
    """Whether a name may be that of a key."""
    return len(name) in KEY_DIGITS and KEY.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class KeyDigits:
    """Digits that are looked for: the names of each, and by their number all of them, `S`."""

    names: Mapping[str, set[str]]
    by_length: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, names: Iterable[str]) -> "KeyDigits":
        known: defaultdict[str, set[str]] = defaultdict(set)
        for name in filter(is_key, names):
            known[name.lower()].add(name)
        lengths = {len(digits) for digits in known}
        return cls(
            dict(known),
            {n: np.array([d.encode() for d in known if len(d) == n]) for n in sorted(lengths)},
        )

    def rows_of(self, keys: pa.FixedSizeBinaryArray) -> Iterator[tuple[int, set[str]]]:
        """Rows whose key begins so, and the names; a key that is null, or zeros, is none."""
        if not self.names or not len(keys):
            return
        raw = np.frombuffer(pc.fill_null(keys, bytes(16)).cast(pa.binary()).buffers()[2], np.uint8)
        raw = raw[: 16 * len(keys)].reshape(-1, 16)
        digits = DIGITS[np.stack([raw >> 4, raw & 15], axis=2)].reshape(-1, 32)
        called: defaultdict[int, set[str]] = defaultdict(set)
        for length, wanted in self.by_length.items():
            heads = np.ascontiguousarray(digits[:, :length]).view(f"S{length}")[:, 0]
            for row in np.flatnonzero(np.isin(heads, wanted) & raw.any(axis=1)).tolist():
                called[row] |= self.names[heads[row].decode()]
        yield from sorted(called.items())
