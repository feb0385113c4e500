"""Overlaps in plain Python, from sets of word tuples, and a table made of texts in memory."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from hypothesis import strategies as st

from pipeline.decontamination.config import EvaluationSet
from pipeline.decontamination.match import Decontaminator
from pipeline.decontamination.table import (
    PASSAGES,
    NgramTable,
    match_lengths,
    paths,
    words_of,
    write_table,
)
from tests.pipeline.dedup.oracle import words

Ngram = tuple[str, ...]
Items = list[list[str]]  # of one set: the texts of the fields of each item

WORDS = ("a", "B", "Cc", "d!", "e-f", "漢", "字", "ก", "\u00ad", "é")
TEXTS = st.lists(st.sampled_from((*WORDS, " ", " ", "\n")), max_size=40).map("".join)
ANY_TEXT = st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace").decode())


@dataclass
class Overlap:
    """Of one document and one set."""

    num_ngrams: int
    overlap: float
    item: int | None
    items: list[int]


def ngrams(text: str, length: int) -> list[Ngram]:
    found = words(text)
    return [tuple(found[i : i + length]) for i in range(len(found) - length + 1)]


def ngrams_of(config: EvaluationSet, passage: str) -> set[Ngram]:
    num_words = len(words(passage))
    if num_words < config.least_words:
        return set()
    return set(ngrams(passage, min(num_words, config.ngram)))


def overlap(config: EvaluationSet, items: Items, text: str) -> Overlap:
    held = {gram for length in range(1, config.ngram + 1) for gram in ngrams(text, length)}
    every = set().union(*(ngrams_of(config, p) for item in items for p in item))
    best, leader, matching = (0.0, 0), None, []
    for number, item in enumerate(items):
        for passage in item:
            wanted = ngrams_of(config, passage)
            common = len(wanted & held)
            if not common:
                continue
            if (common / len(wanted), common) > best:
                best, leader = (common / len(wanted), common), number
            if common / len(wanted) >= config.min_overlap and number not in matching:
                matching.append(number)
    return Overlap(len(every & held), best[0], leader, matching)


def decontaminator(sets: Sequence[EvaluationSet], items: Sequence[Items]) -> Decontaminator:
    """Of sets whose items have these texts; the item's id is its number."""
    rows = [
        (place, number, str(number), f"field{column}", text)
        for place, own in enumerate(items)
        for number, item in enumerate(own)
        for column, text in enumerate(item)
    ]
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(columns[n], PASSAGES.field(n).type) for n in range(4)]
    passages = pa.RecordBatch.from_arrays(arrays, names=PASSAGES.names[:4])
    found = words_of(pa.array(columns[4], pa.string()))
    lengths = match_lengths(
        found.counts,
        [one.ngram for one in sets],
        [one.least_words for one in sets],
        passages["set"].to_numpy(),
    )
    with tempfile.TemporaryDirectory() as folder:
        write_table(paths(Path(folder), "t"), passages, found, lengths)
        return Decontaminator(sets, NgramTable.load(Path(folder), "t"))
