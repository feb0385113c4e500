"""Segments: the parts of a document's text that say what of it is to be learned.

A source with `prompt_field` and `completion_field`, or with `messages_field`, has documents of
several parts by different authors. Their `text` is all of them joined, which is what filters,
deduplication and language identification see; the column `segments`, which other sources do not
have, tells where each part stands in it. Parts are cleaned each by itself; what follows moves their
bounds with the text. Only what a model is to write is learned: completions, assistants' messages.
"""

from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from pipeline.text.buffers import strings, utf8

COLUMN = "segments"
_BETWEEN = "\x1f"  # of roles, which are names
PROMPT, COMPLETION, ASSISTANT = "prompt", "completion", "assistant"
LEARNED_ROLES = (COMPLETION, ASSISTANT)
# Bytes of the text, begin to end, in order; what stands between two of them is no segment.
SEGMENTS = pa.list_(
    pa.struct(
        [
            pa.field("role", pa.string(), nullable=False),
            pa.field("begin", pa.int32(), nullable=False),
            pa.field("end", pa.int32(), nullable=False),
        ]
    )
)


class Segments(NamedTuple):
    """The segments of n texts: document i has `offsets[i]:offsets[i + 1]` of the others."""

    offsets: np.ndarray  # (n + 1,) int64, the first 0
    begins: np.ndarray  # (m,) int64, bytes within the document's text
    ends: np.ndarray  # (m,) int64
    roles: pa.StringArray  # (m,), no nulls

    @classmethod
    def of(cls, column: pa.ListArray) -> Self:
        """Of a column of type `SEGMENTS` without nulls, which may be a slice."""
        flat = column.flatten()
        bounds = column.offsets.to_numpy().astype(np.int64)
        begins, ends = (flat.field(name).to_numpy().astype(np.int64) for name in ("begin", "end"))
        return cls(bounds - bounds[0], begins, ends, flat.field("role"))

    def column(self) -> pa.ListArray:
        """As a column of type `SEGMENTS`."""
        bounds = [pa.array(places.astype(np.int32)) for places in (self.begins, self.ends)]
        flat = pa.StructArray.from_arrays([self.roles, *bounds], fields=list(SEGMENTS.value_type))
        offsets = pa.array(self.offsets.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, flat, type=SEGMENTS)

    @property
    def documents(self) -> np.ndarray:
        """The document of each segment, int64."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def texts(self, texts: pa.StringArray) -> pa.StringArray:
        """The text of each segment, of the documents' texts."""
        first = utf8(texts).offsets[:-1].astype(np.int64)[self.documents]
        return cut_out(texts, first + self.begins, first + self.ends)

    def role_rows(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """Which roles follow each other: a number for each document, and the rows of roles by it.

        There are far fewer rows of roles than documents.
        """
        lists = pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), self.roles)
        coded = pc.dictionary_encode(pc.binary_join(lists, _BETWEEN))
        rows = [tuple(joined.split(_BETWEEN)) for joined in coded.dictionary.to_pylist()]
        return coded.indices.to_numpy(), rows


def cut_out(texts: pa.StringArray, begins: np.ndarray, ends: np.ndarray) -> pa.StringArray:
    """Bytes `begins[i]:ends[i]` of the buffer of `texts`, which must bound characters."""
    offsets = np.zeros(len(begins) + 1, np.int32)
    np.cumsum(ends - begins, out=offsets[1:])
    out = np.empty(offsets[-1], np.uint8)
    _cut(utf8(texts).data, begins, ends, offsets, out)
    return strings(offsets, out)


def join(
    parts: pa.StringArray, offsets: np.ndarray, roles: pa.StringArray, separator: str
) -> tuple[pa.StringArray, Segments]:
    """Texts of their parts with the separator between two, and where the parts stand in them."""
    lists = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), parts)
    texts = pc.binary_join(lists, separator)
    steps = np.diff(utf8(parts).offsets).astype(np.int64) + len(separator.encode())
    ends = np.cumsum(steps)
    starts = ends - steps
    document = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    begins = starts - starts[offsets[document]]
    lengths = steps - len(separator.encode())
    return texts, Segments(offsets, begins, begins + lengths, roles)


@njit(cache=True, nogil=True)
def _cut(
    data: np.ndarray, begins: np.ndarray, ends: np.ndarray, offsets: np.ndarray, out: np.ndarray
) -> None:
    for row in range(len(begins)):
        out[offsets[row] : offsets[row + 1]] = data[begins[row] : ends[row]]
