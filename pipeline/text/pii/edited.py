"""Tags after edits: which are left, where, and what the edits laid bare.

A line that goes may leave the halves of a number side by side, so edited texts are read again.
"""

import bisect
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.text.buffers import replace_rows
from pipeline.text.pii.anonymise import Anonymised, anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.replacements import Replacements, tag_of
from pipeline.text.pii.tags import Tags

_CONTEXT_BYTES = 32  # of the same line, on either side of a tag


def anonymise_edited(
    texts: pa.StringArray,
    before: Anonymised,
    config: PiiConfig,
    replacements: Replacements | None = None,
) -> Anonymised:
    """What `anonymise` is to say after `before.texts` became `texts`: row for row, without nulls.

    Parts of rows may have gone, or whatever a filter's `edit` does. Rows that are as they were are
    not read.
    """
    changed = pc.not_equal(texts, before.texts).to_numpy(zero_copy_only=False)
    if not changed.any():
        return before
    rows = np.flatnonzero(changed)
    left = moved_tags(texts, before.texts, before.tags, config.all_kinds)
    inside = changed[left.rows]
    own = left.select(inside)
    own = own._replace(rows=np.searchsorted(rows, own.rows))
    again = anonymise(texts.take(pa.array(rows)), config, replacements, own)
    tags = again.tags._replace(rows=rows[again.tags.rows])
    return Anonymised(
        replace_rows(texts, changed, again.texts),
        _added(before.counts, again.counts, rows),
        joined([left.select(~inside), tags]),
    )


def joined(parts: Sequence[Tags]) -> Tags:
    """All tags, by row and place."""
    whole = Tags(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return whole.select(np.lexsort((whole.begins, whole.rows)))


def _added(counts: pa.RecordBatch, more: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    columns = []
    for column, extra in zip(counts.columns, more.columns, strict=True):
        numbers = column.to_numpy().copy()
        numbers[rows] += extra.to_numpy()
        columns.append(pa.array(numbers))
    return pa.RecordBatch.from_arrays(columns, schema=counts.schema)


def moved_tags(
    texts: pa.StringArray, tagged: pa.StringArray, tags: Tags, kinds: Sequence[str]
) -> Tags:
    """The tags that are left in the texts, where they stand now.

    `tagged` is what the texts were made from, where `tags` stand. Neither has nulls. Of equal tags
    in equal lines, some of which have gone, the first are taken to be those that stayed.
    """
    same = pc.equal(texts, tagged).to_numpy(zero_copy_only=False)[tags.rows]
    if same.all():
        return tags
    moved = [tags.select(same)]
    for row in np.unique(tags.rows[~same]).tolist():  # edited, and with PII: rare
        own = tags.select(tags.rows == row)
        found = _matches(texts[row].as_py().encode(), tagged[row].as_py().encode(), own, kinds)
        places, begins = np.array(list(found), np.int64).reshape(-1, 2).T
        kept = own.select(places)
        moved.append(kept._replace(begins=begins, ends=begins + kept.ends - kept.begins))
    return joined(moved)


def _matches(
    text: bytes, tagged: bytes, tags: Tags, kinds: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Which tag of `tags` stands where in `text`, in order.

    A tag of the text is the next one of the kind whose line is the same around it, else on one side
    of it, else the next of the kind. Tags that the source wrote itself take part and have no value.
    """
    own = {int(begin): tag for tag, begin in enumerate(tags.begins)}
    pattern = re.compile(b"|".join(re.escape(tag_of(kind).encode()) for kind in kinds))
    before = [match.span() for match in pattern.finditer(tagged)]
    places: dict[tuple[bytes | None, ...], list[int]] = defaultdict(list)
    for place, span in enumerate(before):
        for key in _contexts(tagged, *span):
            places[key].append(place)
    last = -1
    for match in pattern.finditer(text):
        found = (_next(places.get(key, []), last) for key in _contexts(text, *match.span()))
        number = next((each for each in found if each is not None), None)
        if number is None:
            continue
        last = number
        tag = own.get(before[number][0])
        if tag is not None:
            yield tag, match.start()


def _contexts(text: bytes, begin: int, end: int) -> Iterator[tuple[bytes | None, ...]]:
    """What tells one tag from another of its kind, from the most to the least telling."""
    left = text[max(0, begin - _CONTEXT_BYTES) : begin].rpartition(b"\n")[2]
    right = text[end : end + _CONTEXT_BYTES].partition(b"\n")[0]
    tag = text[begin:end]
    yield from ((tag, left, right), (tag, left, None), (tag, None, right), (tag, None, None))


def _next(numbers: list[int], last: int) -> int | None:
    place = bisect.bisect_right(numbers, last)
    return numbers[place] if place < len(numbers) else None
