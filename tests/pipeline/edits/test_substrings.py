"""Repeated substrings, against brute force and a suffix array."""

import re

import numpy as np
import pyarrow as pa
import pydivsufsort
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.dedup.words import word_table
from pipeline.edits import kernels
from pipeline.edits.apply import cut
from pipeline.edits.substrings import CutRows, repeats, united

WORDS = ["a", "b", "ß", "é", "日", "ก", "x-y", "c.", "(d", "don't", "e\n", "f\n\n", "\u00ad", "—"]
TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=40), max_size=6
)


def words_in(text: str) -> list[tuple[int, int, int]]:
    """Hash and bytes of each word, by the kernel that has its own test."""
    data = np.frombuffer(text.encode(), np.uint8)
    hashes = np.empty(len(data) + 1, np.uint64)
    starts, stops = np.empty((2, len(data) + 1), np.int64)
    num = kernels.words_of(data, 0, len(data), word_table(), hashes, starts, stops)
    return list(
        zip(hashes[:num].tolist(), starts[:num].tolist(), stops[:num].tolist(), strict=True)
    )


def hashes_of(text: str) -> tuple[int, ...]:
    return tuple(each for each, _, _ in words_in(text))


def windows(words: tuple[int, ...], width: int) -> list[tuple[int, ...]]:
    return [words[i : i + width] for i in range(len(words) - width + 1)]


def cut_by_hand(texts: list[tuple[int, ...]], width: int) -> list[list[bool]]:
    """The rule, a word at a time: a window stands once all its words are kept."""
    standing: set[tuple[int, ...]] = set()
    marks = []
    for words in texts:
        gone = [False] * len(words)
        for i in range(len(words)):
            if words[i : i + width] in standing:
                gone[i : i + width] = [True] * width
            first = i - width + 1
            if first >= 0 and not any(gone[first : i + 1]):
                standing.add(words[first : i + 1])
        marks.append(gone)
    return marks


def gone_words(texts: list[str], width: int) -> list[list[bool]]:
    spans = repeats(pa.array(texts, pa.string()), np.arange(len(texts)), width)
    marks = []
    for row, text in enumerate(texts):
        own = [
            (a, b) for r, a, b in zip(spans.row, spans.start, spans.stop, strict=True) if r == row
        ]
        marks.append(
            [any(a <= start and stop <= b for a, b in own) for _, start, stop in words_in(text)]
        )
    return marks


def test_words_are_those_of_letters_marks_and_numbers() -> None:
    text = "Don't «STOP» x\u00ady 3rd 日本 end."
    found = [text.encode()[start:stop].decode() for _, start, stop in words_in(text)]
    assert found == ["Don", "t", "STOP", "x\u00ady", "3rd", "日", "本", "end"]
    assert hashes_of("dont stop XY") == hashes_of("DONT, (stop) x\u00ady!")


@given(TEXTS, st.integers(2, 6))
@example(["a " * 50], 5)
@example(["a b", "b c", "c d"], 2)
def test_what_is_cut_is_what_the_rule_says(texts: list[str], width: int) -> None:
    assert gone_words(texts, width) == cut_by_hand([hashes_of(text) for text in texts], width)


@given(TEXTS, st.integers(2, 6))
def test_each_cut_word_was_in_a_window_that_still_stands_whole(
    texts: list[str], width: int
) -> None:
    marks = gone_words(texts, width)
    all_words = [hashes_of(text) for text in texts]
    standing = set()
    for words, gone in zip(all_words, marks, strict=True):
        for i, window in enumerate(windows(words, width)):
            if not any(gone[i : i + width]):
                standing.add(window)
    for words, gone in zip(all_words, marks, strict=True):
        for i in range(len(words)):
            around = range(max(0, i - width + 1), i + 1)
            assert not gone[i] or any(words[j : j + width] in standing for j in around)


@given(TEXTS, st.integers(2, 6))
def test_the_words_left_are_those_that_were_not_cut(texts: list[str], width: int) -> None:
    marks = gone_words(texts, width)
    array = pa.array(texts, pa.string())
    left = cut(array, repeats(array, np.arange(len(texts)), width)).to_pylist()
    for text, gone, after in zip(texts, marks, left, strict=True):
        kept = tuple(
            word for word, cut_off in zip(hashes_of(text), gone, strict=True) if not cut_off
        )
        assert hashes_of(after) == kept
        assert any(gone) or after == text
        newlines = re.findall(r"\n+", text.strip())
        assert all(len(run) <= max(map(len, newlines)) for run in re.findall(r"\n+", after.strip()))


@given(TEXTS, st.integers(2, 6))
def test_a_slice_is_as_good_as_an_array(texts: list[str], width: int) -> None:
    whole = pa.array(["before a b c", *texts, "after"], pa.string()).slice(1, len(texts))
    alone = pa.array(texts, pa.string())
    order = np.arange(len(texts))
    assert cut(whole, repeats(whole, order, width)) == cut(alone, repeats(alone, order, width))


def suffix_array_coverage(texts: list[tuple[int, ...]], width: int) -> set[int]:
    """Positions of words, end to end, in a repeat of `width` words, by pydivsufsort.

    Words become bytes of a fixed number, texts end in one that stands nowhere else.
    """
    number: dict[object, int] = {}
    symbols = []
    for i, words in enumerate(texts):
        symbols += [number.setdefault(word, len(number)) for word in words]
        symbols.append(number.setdefault(("end", i), len(number)))
    array = np.array(symbols, np.int64)
    suffixes = pydivsufsort.divsufsort(array)
    common = pydivsufsort.kasai(array, suffixes)
    covered: set[int] = set()
    for i in np.flatnonzero(common >= width):
        for at in (suffixes[i], suffixes[i + 1]):
            covered.update(range(at, at + width))
    return covered


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=25).map(" ".join), min_size=1, max_size=5)
)
def test_a_suffix_array_finds_the_same_repeats(texts: list[str]) -> None:
    width = 4
    words = [hashes_of(text) for text in texts]
    covered = suffix_array_coverage(words, width)
    flat = [window for each in words for window in windows(each, width)]
    expected, position = set(), 0
    for each in words:
        for i, window in enumerate(windows(each, width)):
            if flat.count(window) > 1:
                expected.update(range(position + i, position + i + width))
        position += len(each) + 1
    assert covered == expected
    gone, position = set(), 0
    for marks in gone_words(texts, width):
        gone |= {position + i for i, cut_off in enumerate(marks) if cut_off}
        position += len(marks) + 1
    assert gone <= covered
    assert bool(gone) <= bool(covered)


@pytest.mark.parametrize("texts", [[], [""], ["", "a"], ["a b c d e"] * 2])
def test_small_input(texts: list[str]) -> None:
    spans = repeats(pa.array(texts, pa.string()), np.arange(len(texts)), 5)
    assert spans.row.tolist() == ([1] if len(texts) == 2 and texts[0] else [])


def test_a_text_is_cut_by_the_groups_in_which_it_ranks_best() -> None:
    rows = CutRows(
        key=np.array([7, 7, 7, 7, 7, 3, 3], np.uint64),
        low=np.array([1, 1, 1, 1, 2, 1, 1], np.uint64),
        rank_high=np.array([5, 5, 5, 9, 9, 2, 4], np.uint64),
        rank_low=np.zeros(7, np.uint64),
        start=np.array([30, 0, 10, 50, 4, 0, 8]),
        stop=np.array([40, 0, 35, 60, 6, 0, 9]),
    )
    cuts = united(rows)
    found = list(zip(*(column.tolist() for column in cuts), strict=True))
    assert found == [(7, 1, 10, 40), (7, 2, 4, 6)]
    order = np.array([6, 4, 2, 0, 1, 3, 5])
    again = united(CutRows(*(column[order] for column in rows)))
    assert all(np.array_equal(a, b) for a, b in zip(cuts, again, strict=True))
