"""Columns that stand for far more bytes than they take: a dictionary's one value in every row.

Such columns are kept as dictionaries until their rows are cut into pieces that can be held. What a
file gives in all is measured against its size, as `compression` does for streams.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.compression import DamagedStream, check_expansion

PIECE_BYTES = 16 << 20
# Of a row beside its values, about what a quarantined one takes: nulls alone are a bomb, too.
ROW_BYTES = 200


@dataclass
class Expansion:
    """What has been handed out of a file so far, or of the slice that is read of it.

    The slices of a file are read apart, each with its `share` of what the file may give. It does
    not depend on the others, so that every slice comes out the same whenever it is read.
    """

    file_bytes: int
    share: float = 1.0
    num_bytes: int = 0
    is_spent: bool = False  # nothing more may be handed out

    @classmethod
    def of_units(cls, file_bytes: int, sizes: Sequence[int], start: int, end: int) -> "Expansion":
        """For units `[start, end)` of a file, of which `sizes` has the stored bytes of all.

        The larger one of their share of the units and of the bytes: a file may have few rows in
        one unit and most in another. So all slices get twice what the file may give, at most.
        """
        of_units = (end - start) / max(1, len(sizes))
        of_bytes = sum(map(abs, sizes[start:end])) / max(1, sum(map(abs, sizes)))
        return cls(file_bytes, max(of_units, of_bytes))

    def add(self, num_bytes: int) -> None:
        """Raises DamagedStream where it is too much for a file of this size."""
        self.num_bytes += num_bytes
        try:
            file_bytes = int(self.share * self.file_bytes)
            check_expansion(self.num_bytes, file_bytes, "the file", self.share)
        except DamagedStream:
            self.is_spent = True
            raise

    def pieces(
        self, columns: Mapping[str, pa.Array], num_rows: int
    ) -> Iterator[tuple[int, int, dict[str, pa.Array]]]:
        """Runs of rows, `[start, end)` and their columns, dictionaries written out.

        About `PIECE_BYTES` each, one row at least. Raises DamagedStream as `add` does.
        """
        sizes = np.full(num_rows, ROW_BYTES, np.int64)
        for values in columns.values():
            sizes += _row_bytes(values)
        before = np.concatenate([[0], np.cumsum(sizes)])
        start = 0
        while start < num_rows:
            fits = int(np.searchsorted(before, before[start] + PIECE_BYTES, side="right")) - 1
            end = max(start + 1, fits)
            self.add(int(before[end] - before[start]))
            part = {name: values.slice(start, end - start) for name, values in columns.items()}
            yield start, end, {name: _written_out(values) for name, values in part.items()}
            start = end


def _row_bytes(values: pa.Array) -> np.ndarray:
    """Bytes of each value of a dictionary of strings, about those of the others."""
    if not is_dictionary_of_strings(values.type):
        average = values.get_total_buffer_size() // max(1, len(values))
        return np.full(len(values), average, np.int64)
    dictionary = values.dictionary
    if pa.types.is_string_view(dictionary.type) or pa.types.is_binary_view(dictionary.type):
        dictionary = dictionary.cast(pa.large_binary())
    lengths = pc.fill_null(pc.binary_length(dictionary).cast(pa.int64()), 0)
    of_rows: np.ndarray = pc.fill_null(lengths.take(values.indices), 0).to_numpy()
    return of_rows


def is_dictionary_of_strings(kind: pa.DataType) -> bool:
    """Whether values are numbers of strings or bytes."""
    if not pa.types.is_dictionary(kind):
        return False
    of = kind.value_type
    return bool(
        pa.types.is_string(of)
        or pa.types.is_binary(of)
        or pa.types.is_large_string(of)
        or pa.types.is_large_binary(of)
        or pa.types.is_string_view(of)
        or pa.types.is_binary_view(of)
    )


def _written_out(values: pa.Array) -> pa.Array:
    # A cast of a slice writes out all of the dictionary's values for it; `take` just its own.
    return (
        values.dictionary.take(values.indices) if is_dictionary_of_strings(values.type) else values
    )
