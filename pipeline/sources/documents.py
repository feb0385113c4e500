"""Columns as a format's reader gives them, to batches of documents and quarantined rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.segments import COLUMN as SEGMENTS
from pipeline.sources.columns import Bad as Bad
from pipeline.sources.columns import as_binary, as_string, bad_values, is_text
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input
from pipeline.sources.schema import (
    DOCUMENT,
    QUARANTINE,
    RAW_BYTES,
    READ,
    Rows,
    document_schema,
)
from pipeline.sources.segmented import compose
from pipeline.sources.utf8 import valid_utf8

BATCH_ROWS = 1000
BATCH_BYTES = 4 << 20
META = DOCUMENT.field("meta").type
JOINED = "\0text"  # no field's name: the text that several fields make


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """Makes the Rows of one input, by the field names of its source."""

    source: SourceConfig
    item: Input
    max_document_bytes: int

    def build(self, rows: np.ndarray, columns: Mapping[str, pa.Array]) -> Iterator[Rows]:
        """Documents of the rows numbered `rows` (int64), in batches of about 1,000 or 4 MB.

        A text that is missing, null, no string, too large or not UTF-8 is quarantined; so is a row
        in which another wanted field is not UTF-8. What makes a text of several fields:
        `pipeline.sources.segmented`.
        """
        if self.source.is_segmented:
            yield from self._build_segmented(rows, columns)
            return
        name = self.source.text_field
        text = columns.get(name)
        if text is None or not is_text(text.type):
            for start in range(0, len(rows), BATCH_ROWS):
                part = None if text is None else text.slice(start, BATCH_ROWS)
                yield self.only_bad(bad_values(rows[start : start + BATCH_ROWS], name, part))
            return
        yield from self._build(rows, name, text, columns, None)

    def _build_segmented(self, rows: np.ndarray, columns: Mapping[str, pa.Array]) -> Iterator[Rows]:
        """The same where several fields make a text."""
        composed = compose(self.source, rows, columns)
        bad = composed if isinstance(composed, list) else composed.bad
        for start in range(0, len(bad), BATCH_ROWS):
            yield self.only_bad(bad[start : start + BATCH_ROWS])
        if not isinstance(composed, list):
            mask = pa.array(composed.good)
            kept = {name: values.filter(mask) for name, values in columns.items()}
            segments = composed.segments.column()
            yield from self._build(rows[composed.good], JOINED, composed.texts, kept, segments)

    def _build(
        self,
        rows: np.ndarray,
        text_name: str,
        texts: pa.Array,
        columns: Mapping[str, pa.Array],
        segments: pa.ListArray | None,
    ) -> Iterator[Rows]:
        names = (name for name in self.source.other_fields if name in columns)
        arrays = {text_name: as_binary(texts)}
        arrays |= {name: as_binary(columns[name]) for name in names if name not in arrays}
        lengths = pc.binary_length(arrays[text_name])
        num_bytes = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
        for start, end in _ranges(np.minimum(num_bytes, self.max_document_bytes + 1)):
            part = {name: values.slice(start, end - start) for name, values in arrays.items()}
            own = None if segments is None else segments.slice(start, end - start)
            yield self._rows(rows[start:end], text_name, part, num_bytes[start:end], own)

    def only_bad(self, bad: Sequence[Bad]) -> Rows:
        """Rows without a document."""
        schema = document_schema(segmented=self.source.is_segmented)
        return Rows(pa.RecordBatch.from_pylist([], schema=schema), self.quarantine(bad))

    def quarantine(self, bad: Sequence[Bad]) -> pa.RecordBatch:
        """QUARANTINE rows, in the order given; `raw` is cut to RAW_BYTES."""
        columns = [
            [self.source.name] * len(bad),
            [self.item.relative] * len(bad),
            [one.row for one in bad],
            [READ] * len(bad),
            [one.reason for one in bad],
            [one.detail for one in bad],
            [None if one.raw is None else one.raw[:RAW_BYTES] for one in bad],
        ]
        arrays = [pa.array(values, f.type) for values, f in zip(columns, QUARANTINE, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE)

    def _rows(
        self,
        rows: np.ndarray,
        text_name: str,
        arrays: dict[str, pa.Array],
        num_bytes: np.ndarray,
        segments: pa.ListArray | None,
    ) -> Rows:
        text = arrays[text_name]
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
            segments = None if segments is None else segments.filter(mask)
        documents = self._documents(rows, text_name, arrays)
        if segments is not None:
            documents = documents.append_column(
                document_schema(segmented=True).field(SEGMENTS), segments
            )
        return Rows(documents, self.quarantine(bad))

    def _bad_text(self, row: int, text: pa.Scalar, is_null: bool, too_large: bool) -> Bad:
        name = " and ".join(map(repr, self.source.text_fields))
        if is_null:
            return Bad(row, "null_text", f"{name} is null, want a string")
        raw = text.as_py()[:RAW_BYTES]
        if too_large:
            size = len(text.as_buffer())
            return Bad(
                row,
                "too_large",
                f"{name} has {size} bytes, want at most {self.max_document_bytes}",
                raw,
            )
        return Bad(row, "not_utf8", f"{name} or another wanted field is not UTF-8", raw)

    def _documents(
        self, rows: np.ndarray, text_name: str, arrays: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        num_rows = len(rows)
        strings = {name: as_string(values) for name, values in arrays.items()}
        numbers = pa.array(rows, pa.int64())
        identifiers = strings.get(self.source.id_field or "")
        if identifiers is None or identifiers.null_count:
            generated = pc.binary_join_element_wise(
                self.item.relative, numbers.cast(pa.string()), "#"
            )
            identifiers = generated if identifiers is None else pc.coalesce(identifiers, generated)
        meta = {name: strings[name] for name in self.source.stored_fields if name in strings}
        return pa.RecordBatch.from_arrays(
            [
                identifiers,
                strings[text_name],
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


def _ranges(num_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut rows into runs of at most BATCH_ROWS rows and BATCH_BYTES, one row at least."""
    before = np.concatenate([[0], np.cumsum(num_bytes)])
    start = 0
    while start < len(num_bytes):
        fits = int(np.searchsorted(before, before[start] + BATCH_BYTES, side="right")) - 1
        end = max(start + 1, min(fits, start + BATCH_ROWS))
        yield start, end
        start = end
