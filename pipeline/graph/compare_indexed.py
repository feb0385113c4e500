"""How similar the documents of one file are to indexed ones: by their texts, where these are there.

Texts of earlier corpora are read where they lie, in the order of their files, `HUB_BYTES` at a
time, and believed only if their hash is the one that the index has.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.index import Pairs, estimated_similarity, take
from pipeline.dedup.signature import sign
from pipeline.dedup.verify import containment, jaccard, shingle_sets
from pipeline.graph.verify_pairs import HUB_BYTES
from pipeline.index.segments import DOCUMENTS_NAME, SIGNATURES_NAME, Segment
from pipeline.keys import hash_values, key_words
from pipeline.refined import COMPARED, RowReader

BLOCK_PAIRS = 1 << 16  # whose signatures are compared at once: 30 MB on either side


class Documents(NamedTuple):
    """The documents of the pairs, each once."""

    doc: np.ndarray  # (n,) uint64, ascending
    text: pa.StringArray
    text_hash: pa.FixedSizeBinaryArray


class Compared(NamedTuple):
    """Of each pair, (m,)."""

    similarity: np.ndarray  # float64, of the document to the indexed one; NaN: not known
    reverse: np.ndarray  # float64, of the indexed one to the document; the same but for containment
    is_estimated: np.ndarray  # bool


def compare(
    pairs: Pairs, documents: Documents, segments: Sequence[Segment], config: DedupConfig
) -> Compared:
    """Similarities of pairs as `unique_pairs` sorts them.

    One text is known by its hash. Where the indexed text is gone, or is another now, equal hashes
    of all words give 1.0, else the stored signature gives an estimate; without one there is none,
    nor of containment.
    """
    place = np.searchsorted(documents.doc, pairs.doc)
    similarity, reverse = np.full((2, len(pairs.doc)), np.nan)
    similarity[_of_one_text(pairs, documents, place, segments)] = 1.0
    left = np.flatnonzero(np.isnan(similarity))
    ours = shingle_sets(documents.text, config)
    for at, texts, of in _indexed_texts(pairs, left, segments):
        sets = (ours, place[at], shingle_sets(texts, config), of)
        if config.by_containment:
            similarity[at], reverse[at] = containment(*sets)
        else:
            similarity[at] = jaccard(*sets)
    is_estimated = np.isnan(similarity)
    if config.index is not None and config.index.estimate:
        _estimate(similarity, pairs, documents, segments, config)
    reverse = np.where(np.isnan(reverse), similarity, reverse)
    return Compared(similarity, reverse, is_estimated)


def column_at(segment: Segment, numbers: np.ndarray, column: str) -> pa.Array:
    """A column of indexed documents in any order."""
    unique, inverse = np.unique(numbers, return_inverse=True)
    values = RowReader(segment.data / DOCUMENTS_NAME, column).take(unique.astype(np.int64), column)
    return values.take(pa.array(inverse))


def by_segment(pairs: Pairs, segments: Sequence[Segment]) -> Iterator[tuple[np.ndarray, Segment]]:
    """The segments of the pairs, each with the places of its pairs, int64."""
    for number in np.unique(pairs.segment):
        yield np.flatnonzero(pairs.segment == number), segments[number]


def _of_one_text(
    pairs: Pairs, documents: Documents, place: np.ndarray, segments: Sequence[Segment]
) -> np.ndarray:
    equal = np.zeros(len(pairs.doc), np.bool_)
    if not len(equal):
        return equal
    ours = key_words(documents.text_hash)
    for at, segment in by_segment(pairs, segments):
        theirs = key_words(column_at(segment, pairs.number[at], "text_hash"))
        equal[at] = (ours[place[at]] == theirs).all(axis=1)
    return equal


def _indexed_texts(
    pairs: Pairs, left: np.ndarray, segments: Sequence[Segment]
) -> Iterator[tuple[np.ndarray, pa.StringArray, np.ndarray]]:
    """Places of pairs, a block of indexed texts, and the place of each pair's in the block."""
    for within, segment in by_segment(take(pairs, left), segments):
        at = left[within]
        numbers, of = np.unique(pairs.number[at], return_inverse=True)
        for wanted, texts in _text_blocks(segment, numbers):
            chosen = np.isin(of, wanted)
            yield at[chosen], texts, np.searchsorted(wanted, of[chosen])


def _text_blocks(
    segment: Segment, numbers: np.ndarray
) -> Iterator[tuple[np.ndarray, pa.StringArray]]:
    """Texts that are still the indexed ones, with their places among ascending numbers."""
    files, rows = (column_at(segment, numbers, name).to_numpy() for name in ("file", "row"))
    hashes = column_at(segment, numbers, "text_hash")
    places: list[np.ndarray] = []
    block: list[pa.StringArray] = []
    for file in np.unique(files):
        here = np.flatnonzero(files == file)
        found = _texts(segment.out / segment.contents.files[file], rows[here].astype(np.int64))
        if found is None:
            continue
        texts, tagged = found
        same = pc.equal(hash_values(texts), hashes.take(pa.array(here)))
        places.append(here[same.to_numpy(zero_copy_only=False)])
        block.append(tagged.filter(same))
        if sum(part.nbytes for part in block) >= HUB_BYTES:
            yield np.concatenate(places), pa.concat_arrays(block)
            places, block = [], []
    if block:
        yield np.concatenate(places), pa.concat_arrays(block)


def _texts(path: Path, rows: np.ndarray) -> tuple[pa.StringArray, pa.StringArray] | None:
    """Texts at ascending rows, as stored and as compared; None where the file is not the one that
    was indexed."""
    if not path.is_file():
        return None
    try:
        reader = RowReader(path, "text", COMPARED)
        texts, tagged = reader.take(rows, "text"), reader.take(rows, COMPARED)
    except pa.ArrowInvalid:  # cut short or overwritten: the index says so by its stored hashes too
        return None
    return (texts, tagged) if len(texts) == len(rows) else None


def _estimate(
    similarity: np.ndarray,
    pairs: Pairs,
    documents: Documents,
    segments: Sequence[Segment],
    config: DedupConfig,
) -> None:
    """Fill in what is not known, where something is stored that tells."""
    similarity[np.isnan(similarity) & pairs.same_words] = 1.0
    left = np.flatnonzero(np.isnan(similarity))
    if config.minhash is None or config.by_containment:
        return
    for within, segment in by_segment(take(pairs, left), segments):
        for start in range(0, len(within) if segment.has_signatures else 0, BLOCK_PAIRS):
            at = left[within[start : start + BLOCK_PAIRS]]
            docs, of = np.unique(pairs.doc[at], return_inverse=True)
            texts = documents.text.take(pa.array(np.searchsorted(documents.doc, docs)))
            ours = sign(texts, config).minhashes
            similarity[at] = estimated_similarity(ours[of], _minhashes(segment, pairs.number[at]))


def _minhashes(segment: Segment, numbers: np.ndarray) -> np.ndarray:
    """Stored signatures of indexed documents, uint32 (n, num_perm)."""
    unique, inverse = np.unique(numbers, return_inverse=True)
    reader = RowReader(segment.data / SIGNATURES_NAME)
    values = reader.take(unique.astype(np.int64), "minhashes")
    rows: np.ndarray = values.flatten().to_numpy().reshape(len(unique), -1)[inverse]
    return rows
