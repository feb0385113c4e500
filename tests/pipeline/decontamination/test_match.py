"""Matching and cutting against sets of word tuples in plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.decontamination.config import EvaluationSet
from pipeline.decontamination.match import Decontaminator, cut_text, losses, signal_names
from pipeline.decontamination.table import words_of
from pipeline.dedup import kernels
from pipeline.dedup.words import word_table
from tests.pipeline.decontamination.oracle import (
    ANY_TEXT,
    TEXTS,
    Items,
    decontaminator,
    ngrams,
    ngrams_of,
    overlap,
)
from tests.pipeline.dedup.oracle import words

ITEMS = st.lists(st.lists(TEXTS | ANY_TEXT, min_size=1, max_size=3), min_size=1, max_size=5)
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5)).map(sorted)
OVERLAPS = st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])


def config(name: str, action: str, ngram: int, least: int, min_overlap: float = 0) -> EvaluationSet:
    return EvaluationSet(
        name=name,
        paths=("x.jsonl",),
        ngram=ngram,
        min_words=least,
        min_overlap=min_overlap,
        action=action,
    )


def looked_at(made: Decontaminator, texts: list[str]) -> tuple[list[str], pa.RecordBatch]:
    found = made(pa.array(texts, pa.string()))
    assert found.columns.num_rows == len(texts)
    return found.texts.to_pylist(), found.columns


@given(texts=st.lists(TEXTS | ANY_TEXT, max_size=6))
def test_word_spans_are_those_of_the_words_that_are_hashed(texts: list[str]) -> None:
    hashed = words_of(pa.array(["before", *texts], pa.string()).slice(1))
    for text, start, stop in zip(texts, hashed.offsets[:-1], hashed.offsets[1:], strict=True):
        data = np.frombuffer(text.encode(), np.uint8)
        spans = np.empty((len(data) // 2 + 1, 2), np.int64)
        spans = spans[: kernels.word_spans(data, 0, len(data), word_table(), spans)]
        cut = [data[a:b].tobytes().decode() for a, b in spans]
        assert [word for piece in cut for word in words(piece)] == words(text)
        assert len(cut) == stop - start
        again = words_of(pa.array(cut, pa.string()))
        assert again.hashes.tolist() == hashed.hashes[start:stop].tolist()


@settings(max_examples=120, deadline=None)
@given(
    items=st.tuples(ITEMS, ITEMS),
    texts=st.lists(TEXTS | ANY_TEXT, max_size=5),
    sizes=st.tuples(SIZES, SIZES),
    overlaps=st.tuples(OVERLAPS, OVERLAPS),
    copied=st.booleans(),
)
def test_overlaps_are_those_of_sets_of_word_tuples(
    items: tuple[Items, Items],
    texts: list[str],
    sizes: tuple[list[int], list[int]],
    overlaps: tuple[float, float],
    copied: bool,
) -> None:
    sets = [
        config(f"s{n}", "report", sizes[n][1], sizes[n][0], overlaps[n]) for n in range(len(items))
    ]
    if copied:
        texts = [*texts, items[0][0][0], f"x {items[1][-1][-1]} {items[0][-1][0]}"]
    unchanged, columns = looked_at(decontaminator(sets, items), texts)
    assert unchanged == texts
    for one, own in zip(sets, items, strict=True):
        for row, text in enumerate(texts):
            wanted = overlap(one, own, text)
            name = f"decontaminate.{one.name}"
            assert columns[f"{name}.num_ngrams"][row].as_py() == wanted.num_ngrams
            assert columns[f"{name}.overlap"][row].as_py() == wanted.overlap
            item = None if wanted.item is None else str(wanted.item)
            assert columns[f"{name}.item"][row].as_py() == item
            assert columns[f"{name}.items"][row].as_py() == wanted.items


@settings(max_examples=120, deadline=None)
@given(items=ITEMS, texts=st.lists(TEXTS, min_size=1, max_size=4), size=SIZES, part=OVERLAPS)
@example(items=[["a b c"]], texts=["a a b c b c a b c"], size=[3, 3], part=0.0)
def test_what_is_left_of_a_cut_holds_no_ngram_and_all_other_words(
    items: Items, texts: list[str], size: list[int], part: float
) -> None:
    sets = [config("s", "cut", size[1], size[0], part)]
    texts = [*texts, f"x {items[0][0]} y", items[-1][0]]
    made = decontaminator(sets, [items])
    left, columns = looked_at(made, texts)
    grams = set().union(*(ngrams_of(sets[0], p) for item in items for p in item))
    for row, (before, after) in enumerate(zip(texts, left, strict=True)):
        assert not overlap(sets[0], items, after).items
        if part == 0:
            assert not any(
                gram in grams for length in range(1, size[1] + 1) for gram in ngrams(after, length)
            )
        num_cut = columns["edited.decontaminate.s.num_words"][row].as_py()
        assert len(words(before)) - len(words(after)) == num_cut
        assert is_subsequence(words(after), words(before))
        if not num_cut:
            assert after == before
    assert not made.is_contaminated(pa.array(left, pa.string())).any()


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in part)


@settings(max_examples=60, deadline=None)
@given(items=ITEMS, texts=st.lists(TEXTS, max_size=6), cut=st.integers(0, 6))
def test_batches_do_not_matter(items: Items, texts: list[str], cut: int) -> None:
    sets = [config("c", "cut", 2, 1), config("d", "drop", 3, 3)]
    made = decontaminator(sets, [items, items[:1]])
    whole_texts, whole = looked_at(made, texts)
    array = pa.array(texts, pa.string())
    parts = [made(array.slice(0, cut)), made(array.slice(cut))]
    assert [text for part in parts for text in part.texts.to_pylist()] == whole_texts
    assert [row for part in parts for row in part.columns.to_pylist()] == whole.to_pylist()


def test_a_cut_reaches_from_the_first_word_of_a_run_to_its_last() -> None:
    made = decontaminator([config("s", "cut", 3, 3)], [[["one two three four"]]])
    texts = [
        "Before this: ONE, two; (three) four! After.",
        "one two three four",
        "two three four",
        "we count one two three five",
        "漢字one two three四",
        "one\u00adtwo one two three",
        "tail one two three",
        "",
    ]
    left, columns = looked_at(made, texts)
    assert left == [
        "Before this: ! After.",
        "",
        "",
        "we count five",
        "漢字 四",
        "one\u00adtwo ",
        "tail ",
        "",
    ]
    assert columns["edited.decontaminate.s.num_words"].to_pylist() == [4, 4, 3, 3, 3, 3, 3, 0]


def test_what_a_cut_puts_side_by_side_is_cut_too() -> None:
    made = decontaminator([config("s", "cut", 3, 3)], [[["a b c"], ["x y z"]]])
    left, columns = looked_at(made, ["q a x y z b c r"])
    assert left == ["q r"]
    assert columns["edited.decontaminate.s.num_words"].to_pylist() == [6]
    assert columns["decontaminate.s.items"].to_pylist() == [[1]]  # what was there to begin with


def test_a_document_that_goes_is_not_cut_and_one_that_a_cut_empties_goes() -> None:
    sets = [config("c", "cut", 3, 3), config("d", "drop", 2, 2, 0.5), config("r", "report", 1, 1)]
    made = decontaminator(sets, [[["a b c"]], [["b c d e"]], [["a"]]])
    texts = ["a b c d", "a b c", "z a b c", "a", "none"]
    left, columns = looked_at(made, texts)
    assert left == ["a b c d", "", "z ", "a", "none"]
    lost = losses(columns.append_column("text", pa.array(left)), sets)
    assert lost["rule"].to_pylist() == ["decontaminate.d", "decontaminate.c", None, None, None]
    assert lost["value"].to_pylist() == [2 / 3, 1.0, None, None, None]
    assert lost["threshold"].to_pylist() == [0.5, 1.0, None, None, None]


def test_a_seam_that_makes_an_ngram_of_a_set_that_drops_is_seen() -> None:
    sets = [config("c", "cut", 3, 3), config("d", "drop", 2, 2)]
    made = decontaminator(sets, [[["a b c"]], [["p q"]]])
    left, columns = looked_at(made, ["p a b c q", "p a b c r"])
    assert left == ["p q", "p r"]
    lost = losses(columns.append_column("text", pa.array(left)), sets)
    assert lost["rule"].to_pylist() == ["decontaminate.d", None]


def test_the_names_of_signals_are_those_of_the_columns_that_are_numbers() -> None:
    made = decontaminator([config("s", "cut", 3, 3), config("t", "drop", 3, 3)], [[["a b c"]]] * 2)
    schema = made(pa.array(["a b c"])).columns.schema
    numbers = {
        f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)
    }
    assert set(signal_names(made.sets)) == numbers


def test_an_empty_batch_has_the_columns() -> None:
    made = decontaminator([config("s", "cut", 3, 3)], [[["a b c"]]])
    assert made(pa.array([], pa.string())).columns.schema == (
        made(pa.array(["a b c"])).columns.schema
    )


MATCHING = np.array([[True]])


@pytest.mark.parametrize("text", ["a b c", "a  b\nc", "¡a! b c"])
def test_a_whole_text_that_is_cut_is_empty(text: str) -> None:
    left, num_words = cut_text(text, np.array([[0, 3]]), MATCHING)
    assert (left, num_words.tolist()) == ("", [3])


@pytest.mark.parametrize("first", [0, 2])
def test_no_letter_is_cut_from_its_marks(first: int) -> None:
    # Each code point is a word; the second and the third are marks of the first.
    text, num_words = cut_text("\u0e01\u0e35\u0e48\u0e02\u0e49", np.array([[first, 1]]), MATCHING)
    assert (text, num_words.tolist()) == ("\u0e02\u0e49", [1])


def test_an_item_that_stands_in_many_documents_is_found_in_each() -> None:
    made = decontaminator([config("s", "drop", 3, 3)], [[["a b c"]] * 50])
    _, columns = looked_at(made, ["a b c a b c"] * 2000)
    assert columns["decontaminate.s.items"].to_pylist() == [list(range(50))] * 2000
    assert set(columns["decontaminate.s.item"].to_pylist()) == {"0"}
