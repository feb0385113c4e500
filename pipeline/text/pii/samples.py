"""A few contexts of each kind that was found, for a person to judge: every value masked by its tag.

Kinds that are configured to stay are masked here, too. What no recogniser finds, such as names, is
not: the audit belongs where the corpus does.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.registry import KINDS
from pipeline.text.pii.replacements import tag_of
from pipeline.text.pii.stored import compared

CONTEXT_CHARS = 40  # on either side of the tag
LOOKED_CHARS = 440  # that are masked before they are cut: half an address is none that is found
ROWS_PER_BATCH = 8  # of each kind: reading all of them would be a Python loop over the corpus

Sample = Mapping[str, str]  # context; key, the document's, by which `prepare explain` finds it
# And until it is masked: tag; before, after: more of the text on either side of it.


class Samples:
    """Up to `num` contexts of each kind; which, depends on the batches alone."""

    def __init__(self, num: int) -> None:
        self._num = num
        self._found: dict[str, list[Sample]] = {}

    def add(self, batch: pa.RecordBatch, kinds: Sequence[str]) -> None:
        """Look at some stored documents of a batch that hold PII."""
        if not self._num:
            return
        for kind in kinds:
            rows = np.flatnonzero(batch[f"pii.num_pii_{kind}"].to_numpy())
            if len(rows):
                every = -(-len(rows) // ROWS_PER_BATCH)
                found = self._found.setdefault(kind, [])
                found.extend(_contexts(batch.take(pa.array(rows[::every])), tag_of(kind)))
                if len(found) > 4 * self._num:
                    self._found[kind] = fewest(found, self._num)

    def chosen(self) -> dict[str, list[Sample]]:
        """The samples of each kind, in the order of their hashes."""
        return {kind: _masked(fewest(found, self._num)) for kind, found in self._found.items()}


def fewest(samples: Iterable[Sample], num: int) -> list[Sample]:
    """The `num` samples of distinct contexts whose hashes are the smallest: a choice at random,
    but always the same, that may be taken of parts first."""
    distinct = {sample["context"]: sample for sample in samples}
    return heapq.nsmallest(num, distinct.values(), key=_order)


def _order(sample: Sample) -> int:
    return xxhash.xxh3_64_intdigest(sample["context"].encode())


def _contexts(batch: pa.RecordBatch, tag: str) -> Iterable[Sample]:
    texts = zip(compared(batch).to_pylist(), batch["key"].to_pylist(), strict=True)
    for text, key in texts:
        begin = text.find(tag)
        if begin >= 0:  # else an edit cut it out
            end = begin + len(tag)
            yield {
                "context": text[max(0, begin - CONTEXT_CHARS) : end + CONTEXT_CHARS],
                "key": key.hex(),
                "tag": tag,
                "before": text[max(0, begin - LOOKED_CHARS) : begin],
                "after": text[end : end + LOOKED_CHARS],
            }


def _masked(samples: Sequence[Sample]) -> list[Sample]:
    """With the values of all kinds as tags, those that stay in the texts among them."""
    before, after = (
        _without_values([one[side] for one in samples]) for side in ("before", "after")
    )
    return [
        {
            "context": f"{left[-CONTEXT_CHARS:]}{one['tag']}{right[:CONTEXT_CHARS]}",
            "key": one["key"],
        }
        for left, one, right in zip(before, samples, after, strict=True)
    ]


def _without_values(texts: Sequence[str]) -> list[str]:
    found = anonymise(pa.array(texts, pa.string()), PiiConfig(kinds=tuple(KINDS)))
    masked: list[str] = found.texts.to_pylist()
    return masked
