"""The training stream: row g of the run is a pure function of (shards, seed, config, g).

Nothing is kept between calls: a step asks for rows [consumed, consumed + batch_rows), a rank for
its slice of them. So a run resumes, on any number of ranks, from one number.
"""

from dataclasses import dataclass

import numpy as np

from training.batch import Batch, make_batch
from training.corpus import Corpus
from training.mixing import Plan
from training.permutation import block_order, derive_key, mix64, permute


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """Rows of `corpus` in the order of `plan`, shuffled by `key`.

    `key` stands for what the shards hold and the seed. Rows are shuffled within a block, and every
    epoch of a source is another permutation of it.
    """

    corpus: Corpus
    plan: Plan
    key: int
    sequence_tokens: int

    def batch(self, first: int, num_rows: int) -> Batch:
        """Rows [first, first + num_rows) of the run."""
        return make_batch(self.corpus.gather(self.rows(first, num_rows)), self.sequence_tokens)

    def rows(self, first: int, num_rows: int) -> np.ndarray:
        """Numbers (num_rows,) of those rows in the corpus, int64."""
        source, drawn = self._draws(first, num_rows)
        numbers = np.empty(num_rows, dtype=np.int64)
        for index, size in enumerate(self.corpus.sizes):
            (slots,) = np.nonzero(source == index)
            if len(slots):
                epoch, position = np.divmod(drawn[slots], size.num_rows)
                key = derive_key(self.key, "source", size.name)
                keys = mix64(np.uint64(key) ^ epoch.astype(np.uint64))
                moved = permute(position, size.num_rows, keys)
                numbers[slots] = self.corpus.source_first[index] + moved
        return numbers

    def describe(self, first: int, num_rows: int) -> dict[str, list[int]]:
        """Those rows by source, each as its number within the source's training rows."""
        numbers, edges = self.rows(first, num_rows), self.corpus.source_first
        return {
            size.name: (
                numbers[(numbers >= edges[i]) & (numbers < edges[i + 1])] - edges[i]
            ).tolist()
            for i, size in enumerate(self.corpus.sizes)
        }

    def _draws(self, first: int, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """For each row its source, and how many rows of that source the run drew before it."""
        width, last = self.plan.block_rows, first + num_rows
        if not 0 <= first <= last <= self.plan.num_rows:
            raise IndexError(f"rows [{first}, {last}) of a stream of {self.plan.num_rows}")
        blocks = range(first // width, -(-last // width))
        source, drawn = zip(*map(self._block, blocks), strict=True)
        skipped = first - blocks[0] * width
        window = slice(skipped, skipped + num_rows)
        return np.concatenate(source)[window], np.concatenate(drawn)[window]

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        before, after = self.plan.drawn[block], self.plan.drawn[block + 1]
        counts = after - before
        order = block_order(derive_key(self.key, "block"), block, int(counts.sum()))
        source = np.repeat(np.arange(len(counts)), counts)[order]
        first_slot = np.cumsum(counts) - counts
        return source, before[source] + order - first_slot[source]
