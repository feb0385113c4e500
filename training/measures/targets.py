"""Which sources have anything to predict: known from the masks, before a model is loaded.

Where everything is erased, or is a prompt, there is no loss, and none must not pass for one of 0.
"""

from collections.abc import Sequence

import numpy as np

from training.batch import IGNORED, make_batch
from training.errors import DataError
from training.sources.corpus import Corpus

CHUNK_ROWS = 16  # the first of a source nearly always tell


def scored_rows(corpus: Corpus, num_rows: int) -> list[np.ndarray]:
    """Numbers of the rows that validation scores, at most `num_rows` of each source.

    They are spread evenly: neighbours may be of one long document, which is one thing to resample,
    however many rows.
    """
    starts = zip(corpus.sizes, corpus.source_first, strict=False)
    counts = [(first, min(num_rows, size.num_rows), size.num_rows) for size, first in starts]
    return [first + np.arange(count) * total // count for first, count, total in counts]


def without_targets(
    corpus: Corpus, rows: Sequence[np.ndarray], sequence_tokens: int, *, is_masked: bool
) -> list[str]:
    """Names of the sources of which no row of `rows`, by source, has a target.

    `is_masked`: each learned token may be one, as `mlm` draws them; else those that follow another
    of their document. A source without any is read to its end, another hardly ever.
    """
    return [
        size.name
        for size, own in zip(corpus.sizes, rows, strict=True)
        if not _has_target(corpus, own, sequence_tokens, is_masked=is_masked)
    ]


def check_targets(
    corpus: Corpus, drawn: np.ndarray, sequence_tokens: int, *, is_masked: bool
) -> list[str]:
    """The sources that a run draws rows of and learns nothing from, by name.

    `drawn` (S,): how many rows of each. Raises `DataError` where they are all that it draws.
    """
    bounds = zip(corpus.source_first[:-1], corpus.source_first[1:], drawn > 0, strict=True)
    rows = [np.arange(first, end if is_drawn else first) for first, end, is_drawn in bounds]
    used = {size.name for size, own in zip(corpus.sizes, rows, strict=True) if len(own)}
    silent = without_targets(corpus, rows, sequence_tokens, is_masked=is_masked)
    found = [name for name in silent if name in used]
    if found and len(found) == len(used):
        raise DataError(
            f"{', '.join(found)}: no training row has a target: every token is erased or left out "
            "by the loss mask, so there is nothing to learn; add shards with documents of which "
            "something is learned, or look with `prepare explain` why these have none"
        )
    return found


def _has_target(corpus: Corpus, rows: np.ndarray, sequence_tokens: int, *, is_masked: bool) -> bool:
    num_chunks = -(-len(rows) // CHUNK_ROWS)
    for chunk in range(num_chunks):  # each spread over all rows
        batch = make_batch(corpus.gather(rows[chunk::num_chunks]), sequence_tokens)
        if (batch.is_learned if is_masked else batch.labels != IGNORED).any():
            return True
    return False
