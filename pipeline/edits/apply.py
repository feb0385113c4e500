"""Cutting what repeats out of texts, and counting what was cut."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.arrow import value_bounds
from pipeline.dedup.words import mark_table, word_table
from pipeline.edits.config import EditsConfig
from pipeline.edits.cutting import cut_texts
from pipeline.edits.spans import look_up
from pipeline.edits.substrings import Spans
from pipeline.edits.table import Columns, open_columns
from pipeline.edits.units import UNIT_KINDS, UnitKind, units
from pipeline.keys import key_words


class Edited(NamedTuple):
    """Texts, and how much of each is gone."""

    texts: pa.StringArray
    counts: pa.RecordBatch  # int32, `edited.<kind>.<count>`


@dataclass(frozen=True, slots=True)
class TextEdits:
    """What the table of a corpus says about texts of one source.

    Without a folder, before there is a table, nothing is cut; the counts are there, all 0.
    """

    config: EditsConfig
    source: str
    folder: Path | None = None

    def __call__(self, texts: pa.StringArray, text_hash: pa.FixedSizeBinaryArray) -> Edited:
        """Edit texts without nulls, whose hashes are those of `pipeline.keys.hash_values`."""
        words = key_words(text_hash) if len(texts) else np.zeros((0, 2), np.uint64)
        counts, spans = {}, []
        for kind in UNIT_KINDS:
            if getattr(self.config, kind) is not None:
                found = self._units(kind, texts, words)
                spans.append(found)
                counts[f"edited.{kind}.num_dropped"] = np.bincount(found.row, minlength=len(texts))
        if self.config.substrings is not None:
            found = self._substrings(words)
            spans.append(found)
            num_bytes = np.bincount(found.row, found.stop - found.start, len(texts))
            counts["edited.substrings.num_bytes"] = num_bytes
        arrays = [pa.array(count.astype(np.int32)) for count in counts.values()]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(counts))
        return Edited(cut(texts, Spans(*map(np.concatenate, zip(*spans, strict=True)))), batch)

    def _columns(self, kind: str, num_rows: int) -> Columns | None:
        return None if self.folder is None or not num_rows else open_columns(self.folder, kind)

    def _units(self, kind: UnitKind, texts: pa.StringArray, words: np.ndarray) -> Spans:
        columns = self._columns(kind, len(texts))
        if columns is None or not len(columns["key"]):
            return _no_spans()
        found = units(texts, kind, getattr(self.config, kind), self.source)
        gone = look_up(columns["key"], columns["text"], found.hash, words[found.row, 0])
        return Spans(found.row[gone], found.start[gone], found.stop[gone])

    def _substrings(self, words: np.ndarray) -> Spans:
        columns = self._columns("substrings", len(words))
        if columns is None:
            return _no_spans()
        low = np.searchsorted(columns["key"], words[:, 0], "left")
        number = np.searchsorted(columns["key"], words[:, 0], "right") - low
        row = np.repeat(np.arange(len(words)), number)
        place = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number) + low[row]
        same = columns["low"][place] == words[row, 1]
        row, place = row[same], place[same]
        return Spans(row, columns["start"][place], columns["stop"][place])


def cut(texts: pa.StringArray, spans: Spans) -> pa.StringArray:
    """The texts without the spans, which may overlap.

    With a line goes its line feed; no more blank lines are left than stood on one side, and no more
    spaces than one. Two words that come together get a space between them.
    """
    if not len(spans.row):
        return texts
    order = np.lexsort((spans.start, spans.row))
    bounds, buffer = value_bounds(texts)
    data = np.frombuffer(buffer, np.uint8)
    out = np.empty(int(bounds[-1] - bounds[0]), np.uint8)  # a space comes only for more bytes
    out_bounds = np.zeros(len(bounds), np.int32)
    row, start, stop = (column[order].astype(np.int64) for column in spans)
    tables = (word_table(), mark_table())
    cut_texts(data, bounds, *tables, row, start, stop, out, out_bounds)
    left = out[: out_bounds[-1]].copy()
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(out_bounds), pa.py_buffer(left))


def _no_spans() -> Spans:
    return Spans(*(np.zeros(0, np.int64) for _ in Spans._fields))
