"""What the plugins of a config find, as byte spans of a string array's buffer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import PrepareError
from pipeline.text.buffers import utf8
from pipeline.text.pii.plugins.protocol import FOUND
from pipeline.text.pii.plugins.registry import NAME_KEY, create


class KindSpans(NamedTuple):
    """All spans of one kind, (spans, 2) bytes of the data buffer, by begin; they may overlap."""

    kind: str
    spans: NDArray[np.int64]


def find_all(texts: pa.StringArray, specs: Sequence[dict[str, Any]]) -> list[KindSpans]:
    """One entry per plugin and kind, in the manifest's order.

    Raises `PrepareError` for a plugin that returns something else than spans of the texts.
    """
    return [found for spec in specs for found in _find(texts, spec)]


def _find(texts: pa.StringArray, spec: dict[str, Any]) -> list[KindSpans]:
    name, plugin = spec[NAME_KEY], create(spec)
    try:
        returned = plugin.find(texts)
    except Exception as exc:  # noqa: BLE001 - of any library; its message may hold the text
        raise PrepareError(
            f"recogniser {name}: `find` failed with {type(exc).__name__} on {len(texts):,} texts; "
            "call it on them by hand to see why"
        ) from None
    found = _cast(name, returned)
    kinds, spans = found["kind"], _byte_spans(name, texts, found)
    if num_strange := pc.invert(pc.is_in(kinds, pa.array(plugin.kinds, pa.string()))).true_count:
        # not named: a plugin that mixes up its columns gives values for kinds
        raise PrepareError(
            f"recogniser {name}: {num_strange:,} spans are of kinds that it does not name, want "
            f"{', '.join(plugin.kinds)}"
        )
    return [
        KindSpans(kind, spans[pc.equal(kinds, kind).to_numpy(zero_copy_only=False)])
        for kind in plugin.kinds
    ]


def _cast(name: str, found: object) -> pa.RecordBatch:
    """`found` in the schema FOUND, sorted. No error holds a value of it, which may be personal."""
    problem = _problem(found)
    if problem is not None:
        raise PrepareError(
            f"recogniser {name}: `find` returned {problem}; want a RecordBatch of "
            f"{', '.join(f'{field.name} {field.type}' for field in FOUND)} without nulls"
        )
    assert isinstance(found, pa.RecordBatch)
    batch = found.select(FOUND.names).cast(FOUND)
    return batch.sort_by([("row", "ascending"), ("begin", "ascending"), ("end", "ascending")])


def _problem(found: object) -> str | None:
    if not isinstance(found, pa.RecordBatch):
        return f"a {type(found).__name__}"
    for field in FOUND:
        if field.name not in found.schema.names:
            return f"no column {field.name}"
        column = found[field.name]
        is_wanted = pa.types.is_integer if pa.types.is_integer(field.type) else _is_string
        if not is_wanted(column.type):
            return f"{field.name} of type {column.type}"
        if column.null_count:
            return f"{column.null_count:,} nulls in {field.name}"
    return None


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _byte_spans(name: str, texts: pa.StringArray, found: pa.RecordBatch) -> NDArray[np.int64]:
    offsets, data = utf8(texts)
    rows, begins, ends = (found[column].to_numpy() for column in FOUND.names[:3])
    spans = np.full((len(rows), 2), -1, np.int64)
    in_range = not len(rows) or (rows[0] >= 0 and rows[-1] < len(texts))
    if in_range:
        _bytes_of(offsets, data, rows, begins, ends, spans)
    if not in_range or (spans < 0).any():
        raise PrepareError(
            f"recogniser {name}: a span is outside of its text, or empty; want 0 <= row < "
            f"{len(texts)} and 0 <= begin < end <= the number of code points of the text"
        )
    return spans


@njit(cache=True, nogil=True)
def _bytes_of(offsets, data, rows, begins, ends, spans):  # type: ignore[no-untyped-def]
    """Code points to bytes; a place that does not exist stays -1. Rows and begins ascend."""
    row, at, point = np.int64(-1), np.int64(0), np.int64(0)
    for i in range(len(rows)):
        if rows[i] != row:
            row, at, point = rows[i], np.int64(offsets[rows[i]]), np.int64(0)
        row_end = np.int64(offsets[row + 1])
        if begins[i] < 0 or ends[i] <= begins[i]:
            continue
        at, point = _advance(data, at, point, begins[i], row_end)
        if point < begins[i]:
            continue
        end, last = _advance(data, at, point, ends[i], row_end)
        if last == ends[i]:
            spans[i, 0], spans[i, 1] = at, end


@njit(cache=True, nogil=True)
def _advance(data, at, point, wanted, row_end):  # type: ignore[no-untyped-def]
    """(byte, code point) of code point `wanted`, or of the end of the text."""
    while point < wanted and at < row_end:
        at += 1
        while at < row_end and data[at] & 0xC0 == 0x80:
            at += 1
        point += 1
    return at, point
