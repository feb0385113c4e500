"""What a batch of documents shares with the evaluation sets, and what is done about it.

A document matches an item where it holds at least `min_overlap` of the n-grams of one of the item's
fields, and one n-gram at least. All sets look at the same text. A document that a `drop` set
matches stays as it is, to go with its evidence. Otherwise the words of the matching n-grams of
`cut` sets are cut out, from the first word of a run of them to its last, and the rest is looked at
again, for what now stands side by side may match: what is left matches no set that drops or cuts.

Columns, for each set:

    decontaminate.<set>.num_ngrams    int32, distinct n-grams of the set in the document
    decontaminate.<set>.overlap       float64, the largest part of one field's n-grams
    decontaminate.<set>.item          string, the item that this field is of; null without n-grams
    decontaminate.<set>.items         list<int32>, numbers of all items that match
    edited.decontaminate.<set>.num_words   int32, words cut out; of `cut` sets alone
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.protocol import FAILURES
from pipeline.arrow import num_value_bytes
from pipeline.decontamination import kernels
from pipeline.decontamination.config import EvaluationSet
from pipeline.decontamination.table import NgramTable, words_of
from pipeline.dedup import kernels as word_kernels
from pipeline.dedup.words import word_table
from pipeline.text.buffers import replace_rows

PREFIX = "decontaminate"
ITEMS = pa.list_(pa.int32())

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Overlaps(NamedTuple):
    """What the texts share with the sets."""

    num_ngrams: np.ndarray  # (texts, sets) int32
    overlap: np.ndarray  # (texts, sets) float64
    best: np.ndarray  # (texts, sets) int64: a passage, or -1
    matches: np.ndarray  # (m, 3) int32: text, set, item, in this order
    hits: np.ndarray  # (hits, 4) int64: text, first word, number of words, n-gram
    is_matching: np.ndarray  # (hits, sets) bool: an n-gram of a passage that matches

    @property
    def matched(self) -> Mask:
        """Whether a text matches an item of a set, (texts, sets)."""
        mask = np.zeros(self.best.shape, np.bool_)
        mask[self.matches[:, 0], self.matches[:, 1]] = True
        return mask


class Decontaminated(NamedTuple):
    """Texts, and the columns above for each."""

    texts: pa.StringArray
    columns: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Decontaminator:
    """The evaluation sets of a manifest with their n-grams."""

    sets: Sequence[EvaluationSet]
    table: NgramTable

    def __call__(self, texts: pa.StringArray) -> Decontaminated:
        """Look at each text, and cut out of it what `cut` sets match. `texts` has no nulls."""
        found = self.overlaps(texts)
        num_cut = np.zeros(found.best.shape, np.int32)
        rows, latest = np.arange(len(texts)), found
        while len(chosen := self._to_cut(found, latest, rows)):
            cut, num_words = self._cut(texts.take(pa.array(rows[chosen])), latest, chosen)
            rows = rows[chosen]
            num_cut[rows] += num_words
            mask = np.zeros(len(texts), np.bool_)
            mask[rows] = True
            texts = replace_rows(texts, mask, cut)
            latest = self.overlaps(cut)
            found = _with_later(found, latest, rows)
        return Decontaminated(texts, self._columns(found, num_cut))

    def overlaps(self, texts: pa.StringArray) -> Overlaps:
        """What each text shares with each set."""
        hits = self.table.find(words_of(texts))
        shape = (len(texts), len(self.sets))
        matches = np.empty((self._most_matches(hits), 3), np.int32)
        found = Overlaps(
            np.zeros(shape, np.int32),
            np.zeros(shape),
            np.full(shape, -1, np.int64),
            matches,
            hits,
            np.zeros((len(hits), len(self.sets)), np.bool_),
        )
        if not len(hits):
            return found
        num_matches = kernels.score(
            hits,
            self.table.posting_offsets,
            self.table.postings,
            self.table.column("set"),
            self.table.column("item"),
            self.table.column("num_ngrams"),
            np.array([one.min_overlap for one in self.sets]),
            found.num_ngrams,
            found.overlap,
            found.best,
            matches,
            found.is_matching,
        )
        return found._replace(matches=matches[:num_matches])

    def _most_matches(self, hits: np.ndarray) -> int:
        """No more items can match: of each text all that have an n-gram of it, or all there are."""
        offsets, places = self.table.posting_offsets, hits[:, 3]
        by_text = np.bincount(hits[:, 0], weights=offsets[places + 1] - offsets[places])
        return int(np.minimum(by_text, self.table.passages.num_rows).sum())

    def is_contaminated(self, texts: pa.StringArray) -> Mask:
        """Whether a text matches a set that drops or cuts, (texts,)."""
        matters = ~self._does("report")
        return np.asarray(self.overlaps(texts).matched[:, matters].any(axis=1))

    def _does(self, action: str) -> Mask:
        return np.array([one.action == action for one in self.sets])

    def _to_cut(self, found: Overlaps, latest: Overlaps, rows: Integers) -> Integers:
        """Rows of `latest` that a `cut` set matches there, and that no `drop` set has matched."""
        dropped = found.matched[rows][:, self._does("drop")].any(axis=1)
        return np.flatnonzero(latest.matched[:, self._does("cut")].any(axis=1) & ~dropped)

    def _cut(
        self, texts: pa.StringArray, found: Overlaps, rows: Integers
    ) -> tuple[pa.StringArray, np.ndarray]:
        """The texts, which are those of `rows`, without their matches; words that each set cut."""
        matching = found.is_matching & self._does("cut")
        ends = np.searchsorted(found.hits[:, 0], rows, side="right")
        starts = np.searchsorted(found.hits[:, 0], rows, side="left")
        left, num_words = [], np.zeros((len(rows), len(self.sets)), np.int32)
        for i, text in enumerate(texts.to_pylist()):
            part = slice(starts[i], ends[i])
            shorter, num_words[i] = cut_text(text, found.hits[part, 1:3], matching[part])
            left.append(shorter)
        return pa.array(left, pa.string()), num_words

    def _columns(self, found: Overlaps, num_cut: np.ndarray) -> pa.RecordBatch:
        names = self.table.passages["id"]
        columns: dict[str, pa.Array] = {}
        for place, one in enumerate(self.sets):
            best = found.best[:, place]
            prefix = f"{PREFIX}.{one.name}"
            columns[f"{prefix}.num_ngrams"] = pa.array(found.num_ngrams[:, place])
            columns[f"{prefix}.overlap"] = pa.array(found.overlap[:, place])
            columns[f"{prefix}.item"] = names.take(pa.array(best, mask=best < 0))
            columns[f"{prefix}.items"] = _items(found.matches, place, len(best))
            if one.action == "cut":
                columns[f"edited.{prefix}.num_words"] = pa.array(num_cut[:, place])
        return pa.RecordBatch.from_pydict(columns)


def signal_names(sets: Sequence[EvaluationSet]) -> list[str]:
    """The columns of these sets that are numbers."""
    found = [f"{PREFIX}.{one.name}.{name}" for one in sets for name in ("num_ngrams", "overlap")]
    cut = [f"edited.{PREFIX}.{one.name}.num_words" for one in sets if one.action == "cut"]
    return found + cut


def cut_text(text: str, spans: np.ndarray, matching: np.ndarray) -> tuple[str, np.ndarray]:
    """The text without the words of the n-grams at `spans` (first word, number of words).

    `matching` (n-grams, sets) tells which to cut; also returned are the words that each set cut,
    each word counted for the first of its sets. White space is not doubled where words are cut, and
    none is left where no word is.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    words = np.empty((len(data) // 2 + 1, 2), np.int64)
    words = words[: word_kernels.word_spans(data, 0, len(data), word_table(), words)]
    owner = np.full(len(words), -1)
    for number in range(matching.shape[1] - 1, -1, -1):
        for first, length in spans[matching[:, number]].tolist():
            owner[first : first + length] = number
    num_words = np.bincount(owner[owner >= 0], minlength=matching.shape[1])
    if (owner >= 0).all():
        return "", num_words
    edges = np.flatnonzero(np.diff(np.concatenate([[False], owner >= 0, [False]]).astype(np.int8)))
    firsts, lasts = edges[::2], edges[1::2] - 1
    raw = data.tobytes()
    begins = [0, *(_past_marks(raw, at) for at in words[lasts, 1].tolist())]
    ends = [*(_at_letter(raw, at) for at in words[firsts, 0].tolist()), len(data)]
    parts = [raw[a:b].decode() for a, b in zip(begins, ends, strict=True)]
    return _joined(parts), num_words


def _past_marks(raw: bytes, at: int) -> int:
    """Where the combining marks at `at` end: they go with the letter before."""
    while (size := _mark_bytes(raw, at)) > 0:
        at += size
    return at


def _at_letter(raw: bytes, at: int) -> int:
    """Where the letter begins whose combining marks are at `at`: it goes with them."""
    while at > 0 and _mark_bytes(raw, at) > 0:
        at -= 1
        while raw[at] & 0xC0 == 0x80:
            at -= 1
    return at


def _mark_bytes(raw: bytes, at: int) -> int:
    """How many bytes the combining mark at `at` has; 0 where there is none."""
    character = raw[at : at + 4].decode(errors="ignore")[:1]
    is_mark = character != "" and unicodedata.category(character)[0] == "M"
    return len(character.encode()) if is_mark else 0


def _joined(parts: list[str]) -> str:
    """Parts of a text with what stood between them cut out: words stay apart by white space."""
    text = parts[0]
    for part in parts[1:]:
        if not text or text[-1].isspace():
            text += part.lstrip(" \t")
        elif not part or part[0].isspace():
            text += part
        else:
            text += f" {part}"
    return text


def _with_later(found: Overlaps, later: Overlaps, rows: Integers) -> Overlaps:
    """With the matches of texts after a cut, for sets that did not match them before."""
    fresh = later.matched & ~found.matched[rows]
    at = np.zeros_like(found.best, np.bool_)
    at[rows] = fresh
    for whole, part in zip(found[:3], later[:3], strict=True):
        whole[at] = part[fresh]
    chosen = later.matches[fresh[later.matches[:, 0], later.matches[:, 1]]].copy()
    chosen[:, 0] = rows[chosen[:, 0]]
    matches = np.concatenate([found.matches, chosen])
    return found._replace(matches=matches[np.lexsort(matches.T[::-1])])


def _items(matches: np.ndarray, place: int, num_texts: int) -> pa.ListArray:
    own = matches[matches[:, 1] == place]
    offsets = np.searchsorted(own[:, 0], np.arange(num_texts + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(own[:, 2]))


def losses(documents: pa.RecordBatch, sets: Sequence[EvaluationSet]) -> pa.RecordBatch:
    """Schema FAILURES: the first set by which a document goes; the rule is null where it stays.

    It goes by a `drop` set that it matches, and by a `cut` set that has left nothing of it. The
    value is the number of n-grams against 1, or the overlap against `min_overlap`.
    """
    columns = [pa.nulls(documents.num_rows, field.type) for field in FAILURES]
    is_empty = pa.array(num_value_bytes(documents["text"]) == 0)
    for one in sets:
        if one.action == "report":
            continue
        prefix = f"{PREFIX}.{one.name}"
        goes = pc.greater(pc.list_value_length(documents[f"{prefix}.items"]), 0)
        if one.action == "cut":
            goes = pc.and_(goes, is_empty)
        value = documents[f"{prefix}.{'overlap' if one.min_overlap else 'num_ngrams'}"]
        values = (prefix, value.cast(pa.float64()), one.min_overlap or 1.0)
        columns = [
            pc.coalesce(column, pc.if_else(goes, new, pa.scalar(None, column.type)))
            for column, new in zip(columns, values, strict=True)
        ]
    return pa.RecordBatch.from_arrays(columns, schema=FAILURES)
