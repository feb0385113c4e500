"""Personal data out of the texts, and counted.

Every mode begins with tags: what compares and measures texts sees `[EMAIL]` whatever is stored at
the end, so that no decision depends on a mode or on a key. `stored` puts in what the modes want.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.text.buffers import utf8
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.neighbourhoods import neighbourhoods
from pipeline.text.pii.plain import find_in_plain
from pipeline.text.pii.plugins.find import find_all
from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.registry import recognizers_of
from pipeline.text.pii.replacements import Replacements, tag_of
from pipeline.text.pii.spans import Spans, replace_spans, rows_of
from pipeline.text.pii.tags import Tags, is_clear, moved_places, no_tags, with_replaced


class Places(NamedTuple):
    """Bytes of texts between which something begins or ends."""

    rows: NDArray[np.int64]
    bytes: NDArray[np.int64]  # within the row


class Anonymised(NamedTuple):
    """The texts without PII, and per row an int32 `num_pii_<kind>` for each kind configured."""

    texts: pa.StringArray
    counts: pa.RecordBatch
    tags: Tags  # that stand in the texts
    places: Places | None = None  # the places that were given, where they stand now


def anonymise(
    texts: pa.StringArray,
    config: PiiConfig,
    replacements: Replacements | None = None,
    tags: Tags | None = None,
    places: Places | None = None,
) -> Anonymised:
    """Replace every span of the configured kinds by `[KIND]`.

    `texts` has no nulls; it may be empty or a slice. Rows without PII keep their bytes, and a batch
    without any is returned as it came. A second call on the result finds nothing: a replacement may
    lay bare what stood too close to another number before, so what stands around tags is read again
    until nothing is found. Plugins look once, at the texts as they come. With `replacements` the
    tags carry what is to be stored instead. `tags` are those that stand in the texts already.
    `places` are moved with the texts; one inside of what is replaced moves behind it.
    """
    kinds = config.all_kinds
    counts = np.zeros((len(kinds), len(texts)), np.int32)
    recognizers = recognizers_of(config.active_kinds, config.phone_regions)
    plugins = config.recognizers if config.active_kinds else ()
    extra = [each for each in find_all(texts, plugins) if each.kind in config.active_kinds]
    finders = [recognizer.kind for recognizer in recognizers] + [each.kind for each in extra]
    written = pa.array([tag_of(kind) for kind in finders], pa.string())
    tags = no_tags() if tags is None else tags
    if finders:
        found = find_in_plain(texts, recognizers, [each.spans for each in extra])
        spans = _all_spans(texts, _clear(texts, tags, found), tags, recognizers, written)
        if len(spans.begins):
            kind_of = np.array([kinds.index(kind) for kind in finders], np.int64)
            new, old_ends = _tags(texts, spans, kind_of, kinds, replacements)
            np.add.at(counts, (new.kinds, new.rows), 1)
            tags = with_replaced(tags, new, old_ends)
            if places is not None:
                places = Places(places.rows, moved_places(*places, new, old_ends))
            texts = replace_spans(texts, spans, written.take(pa.array(spans.recognizers)))
    names = [f"num_pii_{kind}" for kind in kinds]
    return Anonymised(texts, _int32_batch(names, counts), tags, places)


def _all_spans(
    texts: pa.StringArray,
    spans: Spans,
    tags: Tags,
    recognizers: Sequence[Recognizer],
    written: pa.StringArray,
) -> Spans:
    """`spans`, and what is found beside them when they are replaced, and beside that, to the end.

    Each round cuts out what is near the tags of the last one, since a text may take as many rounds
    as it has values: each hides the next.
    """
    is_new = np.ones(len(spans.begins), np.bool_)
    while is_new.any():
        near = neighbourhoods(texts, spans, is_new, written)
        found = _clear(
            texts, tags, near.originals(find_in_plain(near.texts, recognizers, (), near.new))
        )
        is_new = np.repeat([False, True], [len(spans.begins), len(found.begins)])
        every = Spans(*(np.concatenate(pair) for pair in zip(spans, found, strict=True)))
        order = np.argsort(every.begins)
        spans, is_new = Spans(*(column[order] for column in every)), is_new[order]
    return spans


def _clear(texts: pa.StringArray, tags: Tags, spans: Spans) -> Spans:
    """What lies outside of the tags.

    A pattern may read over a tag, as one of URLs would over `https://[PHONE]@host`; what holds a
    tag is not replaced again, so that each round leaves less.
    """
    rows = rows_of(texts, spans)
    clear = is_clear(tags, rows, _places(texts, rows, spans))
    return Spans(*(column[clear] for column in spans))


def _places(texts: pa.StringArray, rows: NDArray[np.int64], spans: Spans) -> NDArray[np.int64]:
    """(n, 2): the spans as bytes within their rows."""
    first = utf8(texts).offsets[rows].astype(np.int64)
    return np.stack([spans.begins - first, spans.ends - first], axis=1)


def _tags(
    texts: pa.StringArray,
    spans: Spans,
    kind_of: NDArray[np.int64],
    kinds: Sequence[str],
    replacements: Replacements | None,
) -> tuple[Tags, NDArray[np.int64]]:
    """The tags that the spans become, at the places where those begin; and where those end."""
    own = kind_of[spans.recognizers]
    sizes = np.array([len(tag_of(kind)) for kind in kinds], np.int64)
    values = np.full(len(own), "", np.object_)
    if replacements is not None:
        data = utf8(texts).data
        bounds = zip(spans.begins.tolist(), spans.ends.tolist(), own.tolist(), strict=True)
        values[:] = [
            replacements(kinds[kind], data[begin:end].tobytes().decode())
            for begin, end, kind in bounds
        ]
    rows = rows_of(texts, spans)
    begins, ends = _places(texts, rows, spans).T
    return Tags(rows, begins, begins + sizes[own], own, values), ends


def _int32_batch(names: list[str], columns: NDArray[np.int32]) -> pa.RecordBatch:
    schema = pa.schema([pa.field(name, pa.int32(), nullable=False) for name in names])
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
