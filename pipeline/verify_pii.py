"""`prepare verify --pii`: the recognisers read what is stored again, and must find nothing.

They read texts, addresses and meta values. What was written in the place of a value (a pseudonym, a
hash, nothing) is read as its tag, as everything that compares documents does, and what holds a tag
is passed over. Recogniser plugins do not read again: a model may find a name where it found none
before the tags were there.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.text.buffers import utf8
from pipeline.text.meta import entries
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.plain import find_in_plain
from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.registry import recognizers_of
from pipeline.text.pii.replacements import tag_of
from pipeline.text.pii.spans import rows_of
from pipeline.text.pii.stored import compared

MAX_NAMED = 5  # documents of each file and kind


class Left(NamedTuple):
    """PII that is left in texts: of each find its row, and which recogniser found it."""

    rows: NDArray[np.int64]
    recognizers: NDArray[np.int64]


def left_pii(out: Path, refined: Sequence[Record], config: PiiConfig) -> Iterator[str]:
    """A sentence for each file and kind of which something is left. No sentence holds a value."""
    recognizers = recognizers_of(config.active_kinds, config.phone_regions)
    for record, name in product(refined, ("kept", "dropped")):
        path = out / record["outputs"][name]["path"]
        num: Counter[str] = Counter()
        keys: dict[str, list[str]] = {}
        for batch in RowReader(path).batches():
            for texts, rows in _stored_strings(batch):
                left = find_left(texts, recognizers, config.all_kinds)
                for place, which in zip(left.rows.tolist(), left.recognizers.tolist(), strict=True):
                    kind = recognizers[which].kind
                    num[kind] += 1
                    keys.setdefault(kind, []).append(batch["key"][int(rows[place])].as_py().hex())
        for kind, number in sorted(num.items()):
            some = ", ".join(sorted(set(keys[kind]))[:MAX_NAMED])
            yield f"{path}: {number:,} of kind {kind} left, in documents {some}"


def _stored_strings(batch: pa.RecordBatch) -> Iterator[tuple[pa.StringArray, NDArray[np.int64]]]:
    """Strings of stored documents, and in which document each stands."""
    yield compared(batch), np.arange(batch.num_rows)
    url = batch["url"]
    yield url.drop_null(), np.flatnonzero(url.is_valid().to_numpy(zero_copy_only=False))
    meta = entries(batch["meta"])
    is_text = meta.items.is_valid()
    yield meta.items.filter(is_text), meta.rows[is_text.to_numpy(zero_copy_only=False)]


def find_left(
    texts: pa.StringArray, recognizers: Sequence[Recognizer], kinds: Sequence[str]
) -> Left:
    """What the recognisers find in texts with tags, outside of these."""
    spans = find_in_plain(texts, recognizers)
    rows = rows_of(texts, spans)
    clear = np.ones(len(rows), np.bool_)
    pattern = re.compile(b"|".join(re.escape(tag_of(kind).encode()) for kind in kinds))
    data = utf8(texts).data
    for place in range(len(rows)):  # few, and none where all is well
        value = data[spans.begins[place] : spans.ends[place]].tobytes()
        clear[place] = pattern.search(value) is None
    return Left(rows[clear], spans.recognizers[clear])
