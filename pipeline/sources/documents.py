"""Columns as a format's reader gives them, to batches of documents and quarantined rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input
from pipeline.sources.schema import DOCUMENT, QUARANTINE, RAW_BYTES, Rows
from pipeline.sources.utf8 import valid_utf8

BATCH_ROWS = 1000
BATCH_BYTES = 4 << 20
META = DOCUMENT.field("meta").type


class Bad(NamedTuple):
    """A row that is no document: becomes one row of QUARANTINE."""

    row: int
    reason: str  # a code of `schema.REASONS`
    detail: str
    raw: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """Makes the Rows of one input, by the field names of its source."""

    source: SourceConfig
    item: Input
    max_document_bytes: int

    def build(self, rows: np.ndarray, columns: Mapping[str, pa.Array]) -> Iterator[Rows]:
        """Documents of the rows numbered `rows` (int64), in batches of about 1,000 or 4 MB.

        A text that is missing, null, no string, too large or not UTF-8 is quarantined; so is a row
        in which another wanted field is not UTF-8.
        """
        text = columns.get(self.source.text_field)
        if text is None or not is_text(text.type):
            yield from self._without_text(rows, text)
            return
        arrays = {name: as_binary(columns[name]) for name in self.source.columns if name in columns}
        lengths = pc.binary_length(arrays[self.source.text_field])
        num_bytes = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
        for start, end in _ranges(np.minimum(num_bytes, self.max_document_bytes + 1)):
            part = {name: values.slice(start, end - start) for name, values in arrays.items()}
            yield self._rows(rows[start:end], part, num_bytes[start:end])

    def only_bad(self, bad: Sequence[Bad]) -> Rows:
        """Rows without a document."""
        return Rows(pa.RecordBatch.from_pylist([], schema=DOCUMENT), self.quarantine(bad))

    def quarantine(self, bad: Sequence[Bad]) -> pa.RecordBatch:
        """QUARANTINE rows, in the order given; `raw` is cut to RAW_BYTES."""
        columns = [
            [self.source.name] * len(bad),
            [self.item.relative] * len(bad),
            [one.row for one in bad],
            [one.reason for one in bad],
            [one.detail for one in bad],
            [None if one.raw is None else one.raw[:RAW_BYTES] for one in bad],
        ]
        arrays = [pa.array(values, f.type) for values, f in zip(columns, QUARANTINE, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE)

    def _rows(self, rows: np.ndarray, arrays: dict[str, pa.Array], num_bytes: np.ndarray) -> Rows:
        text = arrays[self.source.text_field]
        is_null = text.is_null().to_numpy(zero_copy_only=False)
        too_large = num_bytes > self.max_document_bytes
        not_utf8 = ~np.logical_and.reduce([valid_utf8(values) for values in arrays.values()])
        bad: list[Bad] = []
        refused = is_null | too_large | not_utf8
        if refused.any():
            bad = [
                self._bad_text(int(rows[i]), text[int(i)], is_null[i], too_large[i])
                for i in np.flatnonzero(refused)
            ]
            mask = pa.array(~refused)
            arrays = {name: values.filter(mask) for name, values in arrays.items()}
            rows = rows[~refused]
        return Rows(self._documents(rows, arrays), self.quarantine(bad))

    def _bad_text(self, row: int, text: pa.Scalar, is_null: bool, too_large: bool) -> Bad:
        name = self.source.text_field
        if is_null:
            return Bad(row, "null_text", f"{name!r} is null, want a string")
        raw = text.as_py()[:RAW_BYTES]
        if too_large:
            size = len(text.as_buffer())
            return Bad(
                row,
                "too_large",
                f"{name!r} has {size} bytes, want at most {self.max_document_bytes}",
                raw,
            )
        return Bad(row, "not_utf8", f"{name!r} or another wanted field is not UTF-8", raw)

    def _without_text(self, rows: np.ndarray, text: pa.Array | None) -> Iterator[Rows]:
        name = self.source.text_field
        for start in range(0, len(rows), BATCH_ROWS):
            numbers = rows[start : start + BATCH_ROWS].tolist()
            if text is None:
                bad = [Bad(row, "missing_field", f"no field {name!r}") for row in numbers]
            else:
                values = zip(numbers, text.slice(start, BATCH_ROWS), strict=True)
                bad = [_not_a_string(row, name, value) for row, value in values]
            yield self.only_bad(bad)

    def _documents(self, rows: np.ndarray, arrays: Mapping[str, pa.Array]) -> pa.RecordBatch:
        num_rows = len(rows)
        strings = {name: _as_string(values) for name, values in arrays.items()}
        numbers = pa.array(rows, pa.int64())
        generated = pc.binary_join_element_wise(self.item.relative, numbers.cast(pa.string()), "#")
        identifiers = strings.get(self.source.id_field or "")
        meta = {name: strings[name] for name in self.source.stored_fields if name in strings}
        return pa.RecordBatch.from_arrays(
            [
                generated if identifiers is None else pc.coalesce(identifiers, generated),
                strings[self.source.text_field],
                pa.repeat(self.source.name, num_rows),
                strings.get(self.source.url_field or "", pa.nulls(num_rows, pa.string())),
                _meta(meta, num_rows) if self.source.stored_fields else pa.nulls(num_rows, META),
                pa.repeat(self.item.relative, num_rows),
                numbers,
            ],
            schema=DOCUMENT,
        )


def _meta(columns: Mapping[str, pa.Array], num_rows: int) -> pa.MapArray:
    """One map per row of the fields that are not null there, in the config's order."""
    if not columns or not num_rows:
        none = pa.array([], pa.string())
        offsets = pa.repeat(0, num_rows + 1).cast(pa.int32())
        return pa.MapArray.from_arrays(offsets, none, none, META)
    num_fields = len(columns)
    # Row-major: value (row, field) stands at field * num_rows + row of the concatenated columns.
    order = np.arange(num_fields * num_rows).reshape(num_fields, num_rows).T.reshape(-1)
    values = pa.concat_arrays(list(columns.values())).take(pa.array(order))
    keys = pa.array(list(columns)).take(pa.array(np.tile(np.arange(num_fields), num_rows)))
    present = values.is_valid()
    per_row = present.to_numpy(zero_copy_only=False).reshape(num_rows, num_fields).sum(axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(per_row)]), pa.int32())
    return pa.MapArray.from_arrays(offsets, keys.filter(present), values.filter(present), META)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type may be a text: strings, bytes, dictionaries of them, null."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_null(kind)
    )


def as_binary(values: pa.Array) -> pa.Array:
    """Values as binary or large_binary, not yet checked to be UTF-8.

    Numbers, booleans and times become what Arrow prints for them, nested values JSON.
    """
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values
    if pa.types.is_dictionary(kind):
        return as_binary(values.cast(kind.value_type))
    if (
        pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
    ):
        return values.cast(pa.large_binary())
    if pa.types.is_nested(kind):
        # No kernel writes JSON; only a nested id, url or meta field comes here.
        return pa.array([_as_json(value) for value in values.to_pylist()], pa.binary())
    return values.cast(pa.string()).cast(pa.binary())


def _as_string(values: pa.Array) -> pa.StringArray:
    """Bytes that are known to be UTF-8; only large_binary, with its other offsets, is copied."""
    view = pa.large_string() if pa.types.is_large_binary(values.type) else pa.string()
    return values.view(view).cast(pa.string())


def _as_json(value: object) -> bytes | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def _not_a_string(row: int, name: str, value: pa.Scalar) -> Bad:
    if not value.is_valid:
        return Bad(row, "null_text", f"{name!r} is null, want a string")
    raw = str(value.as_py()).encode("utf-8", "backslashreplace")
    return Bad(row, "wrong_type", f"{name!r} is {value.type}, want a string", raw)


def _ranges(num_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut rows into runs of at most BATCH_ROWS rows and BATCH_BYTES, one row at least."""
    before = np.concatenate([[0], np.cumsum(num_bytes)])
    start = 0
    while start < len(num_bytes):
        fits = int(np.searchsorted(before, before[start] + BATCH_BYTES, side="right")) - 1
        end = max(start + 1, min(fits, start + BATCH_ROWS))
        yield start, end
        start = end
