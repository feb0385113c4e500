"""The rows of the shuffle: bucket hashes of refined documents, a range of the hashes at a time.

A corpus that outgrows the memory budget is read once per range, so what is outside of the range has
to cost next to nothing: one comparison a hash, on the mapped file.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.removals import ROW_BITS


class HashRange(NamedTuple):
    """Hashes from `low` to `high`, both included; all of them by default."""

    low: int = 0
    high: int = 2**64 - 1

    @classmethod
    def of(cls, first: int, last: int, num_partitions: int) -> "HashRange":
        """The hashes of the partitions `first:last`, as `partition_of` gives them."""
        low, end = (-(-(number << 32) // num_partitions) << 32 for number in (first, last))
        return cls(low, end - 1)

    def mask(self, hashes: np.ndarray) -> np.ndarray:
        """Which of these uint64 are in the range."""
        # One comparison, as what is below wraps around to more than the width.
        inside: np.ndarray = hashes - np.uint64(self.low) <= np.uint64(self.high - self.low)
        return inside


class HashRows(NamedTuple):
    """One row per hash of a document, (m,) uint64 each."""

    bucket: np.ndarray
    doc: np.ndarray
    rank_high: np.ndarray
    rank_low: np.ndarray

    def take(self, index: np.ndarray) -> "HashRows":
        """The rows of an index or mask."""
        return HashRows(*(column[index] for column in self))


ALL_HASHES = HashRange()


def partition_of(bucket: np.ndarray, num_partitions: int) -> np.ndarray:
    """The partition of each hash, uint64 (m,): equal parts of the range of its upper 32 bits."""
    partition: np.ndarray = (bucket >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)
    return partition


def hash_rows(path: Path, number: int, exact: bool, wanted: HashRange = ALL_HASHES) -> HashRows:
    """The rows of a signature file in a range of hashes.

    Documents without bands, which are shorter than a shingle, have one, of all their words; all
    have that one with `exact`.
    """
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    has_bands = np.zeros(table.num_rows, np.bool_)
    hashes, rows = [], []
    if "bands" in table.schema.names:
        bands = table["bands"].combine_chunks()
        has_bands = bands.is_valid().to_numpy(zero_copy_only=False)
        flat = bands.flatten().to_numpy()
        at = np.flatnonzero(wanted.mask(flat))
        hashes.append(flat[at])
        rows.append(np.flatnonzero(has_bands)[at // bands.type.list_size])
    whole = table["exact"].to_numpy()
    at = np.flatnonzero(wanted.mask(whole) if exact else wanted.mask(whole) & ~has_bands)
    hashes.append(whole[at])
    rows.append(at)
    row = np.concatenate(rows)
    ranks = (table[name].to_numpy()[row] for name in ("rank_high", "rank_low"))
    doc = np.uint64(number << ROW_BITS) | row.astype(np.uint64)
    return HashRows(np.concatenate(hashes), doc, *ranks)
