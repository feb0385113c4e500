"""The n-grams of all evaluation sets as one sorted table, which workers map into memory.

    OUT/decontaminate/<fingerprint>.ngrams.arrow    hash uint64, ascending, distinct
                                                    passages list<int32>, rows of the other file
                                   .passages.arrow  set int32, item int32, id string, field string,
                                                    num_words int32, num_ngrams int32

A passage is one text field of an item. `set` is the set's place in the manifest, `item` the item's
number in its set, `num_ngrams` counts distinct ones; 0 where the passage is too short to match.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from pipeline.decontamination import kernels
from pipeline.dedup import kernels as word_kernels
from pipeline.dedup.signature import text_buffers
from pipeline.dedup.words import word_table
from pipeline.files import arrow_writer

FILES = ("ngrams", "passages")
NGRAMS = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("passages", pa.list_(pa.int32()), nullable=False),
    ]
)
PASSAGES = pa.schema(
    [
        pa.field("set", pa.int32(), nullable=False),
        pa.field("item", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("num_words", pa.int32(), nullable=False),
        pa.field("num_ngrams", pa.int32(), nullable=False),
    ]
)

# Of the filter in front of the sorted hashes. Of what is not there at most 1 in 150 passes it.
BITS_PER_NGRAM = 16
MIN_FILTER_BITS, MAX_FILTER_BITS = 1 << 10, 1 << 33  # 1 GB


class Words(NamedTuple):
    """The words of texts, end to end."""

    hashes: np.ndarray  # uint64
    offsets: np.ndarray  # int64 (n + 1)

    @property
    def counts(self) -> np.ndarray:
        """Words of each text."""
        counts: np.ndarray = np.diff(self.offsets)
        return counts


def words_of(texts: pa.StringArray) -> Words:
    """Words as `pipeline.dedup.words` has them; a null has none."""
    data, bounds = text_buffers(texts)
    offsets = np.zeros(len(texts) + 1, np.int64)
    return Words(word_kernels.words_of_texts(data, bounds, word_table(), offsets), offsets)


def match_lengths(
    num_words: np.ndarray, ngram: Sequence[int], least: Sequence[int], set_of: np.ndarray
) -> np.ndarray:
    """Words of the n-grams by which each passage matches; 0 where it is too short to match."""
    whole, least_words = np.asarray(ngram)[set_of], np.asarray(least)[set_of]
    lengths: np.ndarray = np.where(num_words < least_words, 0, np.minimum(num_words, whole))
    return lengths.astype(np.int64)


@dataclass(frozen=True, slots=True)
class NgramTable:
    """All sets' n-grams and passages, and the bits in front of them."""

    hashes: np.ndarray  # uint64, ascending
    posting_offsets: np.ndarray  # int32 (n + 1)
    postings: np.ndarray  # int32: rows of `passages`, ascending within an n-gram
    passages: pa.RecordBatch
    lengths: np.ndarray  # int64, ascending: numbers of words of the n-grams
    bits: np.ndarray  # uint64: a filter that most n-grams of documents do not pass
    shift: np.uint64

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> Self:
        """Map the files into memory; only the bits are made anew, 5 ms per million n-grams."""
        ngrams, passages = (_mapped(path) for path in paths(folder, fingerprint).values())
        lists = ngrams["passages"]
        hashes = ngrams["hash"].to_numpy()
        lengths = passages.schema.metadata[b"lengths"].decode()
        num_bits = _filter_bits(len(hashes))
        bits = np.zeros(num_bits // 64, np.uint64)
        shift = np.uint64(64 - (len(bits).bit_length() - 1))
        kernels.fill_filter(hashes, shift, bits)
        return cls(
            hashes,
            lists.offsets.to_numpy(),
            lists.values.to_numpy(),
            passages,
            np.array([int(n) for n in lengths.split(",") if n], np.int64),
            bits,
            shift,
        )

    def column(self, name: str) -> np.ndarray:
        """A column of the passages without nulls."""
        values: np.ndarray = self.passages[name].to_numpy()
        return values

    def find(self, words: Words) -> np.ndarray:
        """Hits of the texts, as `kernels.find_ngrams` gives them: mostly none."""
        hits = np.empty((1024, 4), np.int64)
        arguments = (*words, self.lengths, self.bits, self.shift, self.hashes)
        num_hits = kernels.find_ngrams(*arguments, hits)
        if num_hits > len(hits):
            hits = np.empty((num_hits, 4), np.int64)
            kernels.find_ngrams(*arguments, hits)
        return hits[:num_hits]


def paths(folder: Path, fingerprint: str) -> dict[str, Path]:
    """The files of a table."""
    return {kind: folder / f"{fingerprint}.{kind}.arrow" for kind in FILES}


def write_table(
    targets: dict[str, Path], passages: pa.RecordBatch, words: Words, lengths: np.ndarray
) -> pa.RecordBatch:
    """Write the table of passages with these words, matched by n-grams of `lengths`.

    `passages` has the columns of PASSAGES but `num_words` and `num_ngrams`; it is returned whole.
    """
    num_positions = np.where(lengths > 0, words.counts - lengths + 1, 0)
    hashes, ends = np.empty(int(num_positions.sum()), np.uint64), np.zeros(len(lengths) + 1, int)
    kernels.hash_ngrams(*words, lengths, hashes, ends)
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), num_positions)
    order = np.lexsort((rows, hashes))
    hashes, rows = hashes[order], rows[order]
    again = np.zeros(len(hashes), np.bool_)
    again[1:] = (hashes[1:] == hashes[:-1]) & (rows[1:] == rows[:-1])
    hashes, rows = hashes[~again], rows[~again]
    distinct, first = np.unique(hashes, return_index=True)
    offsets = np.append(first, len(hashes)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows))
    columns = [pa.array(distinct), lists]
    _write(targets["ngrams"], pa.RecordBatch.from_arrays(columns, schema=NGRAMS))
    num_ngrams = np.bincount(rows, minlength=len(lengths)).astype(np.int32)
    used = ",".join(map(str, np.unique(lengths[lengths > 0]).tolist()))
    schema = PASSAGES.with_metadata({"lengths": used})
    numbers = [pa.array(words.counts.astype(np.int32)), pa.array(num_ngrams)]
    whole = pa.RecordBatch.from_arrays([*passages.columns, *numbers], schema=schema)
    _write(targets["passages"], whole)
    return whole


def _filter_bits(num_ngrams: int) -> int:
    """A power of two."""
    wanted = max(MIN_FILTER_BITS, num_ngrams * BITS_PER_NGRAM)
    return int(min(1 << (wanted - 1).bit_length(), MAX_FILTER_BITS))


def _write(path: Path, batch: pa.RecordBatch) -> None:
    with arrow_writer(path, batch.schema) as writer:
        writer.write_batch(batch)


def _mapped(path: Path) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
