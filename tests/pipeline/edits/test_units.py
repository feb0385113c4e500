"""Lines and paragraphs: found, counted by distinct texts, kept in the text that ranks best."""

import re
from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edits.apply import cut
from pipeline.edits.config import LinesConfig, ParagraphsConfig
from pipeline.edits.group import Group, Texts
from pipeline.edits.substrings import Spans
from pipeline.edits.units import UnitKind, UnitRows, keepers, unit_rows, units
from tests.pipeline.edits.test_substrings import hashes_of

LINE = st.sampled_from(["a b c", "A, b; c!", "d e f", "g h", "", " ", "日本", "x" * 9, "1 2 3 4"])
TEXTS = st.lists(st.lists(LINE, max_size=7).map("\n".join) | st.text(max_size=30), max_size=8)
POLICY = ("priority", "longest", "id")


def found_in(texts: list[str], kind: UnitKind, min_words: int) -> list[tuple[int, str]]:
    config = LinesConfig if kind == "lines" else ParagraphsConfig
    found = units(pa.array(texts, pa.string()), kind, config(min_words=min_words), "s")
    return [
        (row, texts[row].encode()[start:stop].decode())
        for row, start, stop in zip(found.row, found.start, found.stop, strict=True)
    ]


@given(TEXTS, st.integers(1, 4))
def test_lines_are_what_line_feeds_part(texts: list[str], min_words: int) -> None:
    expected = [
        (row, line)
        for row, text in enumerate(texts)
        for line in text.split("\n")
        if len(hashes_of(line)) >= min_words
    ]
    assert found_in(texts, "lines", min_words) == expected


@given(TEXTS, st.integers(1, 4))
def test_paragraphs_are_what_blank_lines_part(texts: list[str], min_words: int) -> None:
    expected = [
        (row, paragraph)
        for row, text in enumerate(texts)
        for paragraph in re.split(
            r"\n(?:[ \t\r\v\f]*(?:\n|\Z))+", re.sub(r"\A(?:[ \t\r\v\f]*\n)+", "", text)
        )
        if len(hashes_of(paragraph)) >= min_words
    ]
    assert found_in(texts, "paragraphs", min_words) == expected


def rows_of(texts: list[str], priority: list[int], max_documents: int) -> UnitRows:
    array = pa.array(texts, pa.string())
    distinct = Group([("s", p, array.slice(i, 1)) for i, p in enumerate(priority)]).texts(POLICY)
    found = units(distinct.texts, "lines", LinesConfig(min_words=1), "s")
    return unit_rows(found, distinct.words[:, 0], distinct[2:], max_documents)


def joined(*parts: UnitRows) -> UnitRows:
    return UnitRows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@given(TEXTS, st.integers(1, 3), st.integers(0, 8), st.data())
def test_a_line_too_frequent_stays_in_the_text_that_ranks_best(
    texts: list[str], max_documents: int, first: int, data: st.DataObject
) -> None:
    priority = data.draw(st.lists(st.integers(-1, 1), min_size=len(texts), max_size=len(texts)))
    groups = [
        rows_of(texts[part], priority[part], max_documents)
        for part in (slice(first), slice(first, None))
    ]
    found = keepers(joined(*groups), max_documents)
    array = pa.array(texts, pa.string())
    everything = Texts.of(array, np.array(priority, np.int64), POLICY)
    best = {text: place for place, text in enumerate(everything.texts.to_pylist())}
    holders: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for text in texts:
        for line in text.split("\n"):
            if hashes_of(line):
                holders[hashes_of(line)].add(text)
    expected = sorted(
        int(everything.words[min(best[text] for text in own), 0])
        for own in holders.values()
        if len(own) > max_documents
    )
    assert sorted(found.text.tolist()) == expected
    assert (np.diff(found.key.astype(object)) > 0).all()
    backwards = keepers(joined(*reversed(groups)), max_documents)
    assert all(np.array_equal(a, b) for a, b in zip(found, backwards, strict=True))


def test_the_best_copy_of_a_text_gives_its_rank() -> None:
    texts = pa.array(["short", "a longer text", "short"], pa.string())
    found = Texts.of(texts, np.array([0, 5, 9]), POLICY)
    assert found.texts.to_pylist() == ["short", "a longer text"]
    assert Texts.of(texts, np.array([0, 5, 0]), POLICY).texts.to_pylist()[0] == "a longer text"
    assert len(Texts.of(texts.slice(0, 0), np.zeros(0, int), POLICY).words) == 0


def without(text: str, *parts: str) -> str:
    data = text.encode()
    starts = [data.index(part.encode()) for part in parts]
    stops = [start + len(part.encode()) for start, part in zip(starts, parts, strict=True)]
    spans = Spans(np.zeros(len(parts), np.int64), np.array(starts), np.array(stops))
    (left,) = cut(pa.array([text]), spans).to_pylist()
    return str(left)


def test_with_a_line_goes_its_line_feed_and_no_blank_lines_are_left() -> None:
    text = "one\ntwo\n\nthree\n\nfour"
    assert without(text, "one") == "two\n\nthree\n\nfour"
    assert without(text, "two") == "one\n\nthree\n\nfour"
    assert without(text, "three") == "one\ntwo\n\nfour"
    assert without(text, "four") == "one\ntwo\n\nthree"
    assert without(text, "one", "two") == "three\n\nfour"
    assert without(text, "two", "three") == "one\n\nfour"
    assert without(text, "one\ntwo", "two\n\nthree", "four") == ""
    assert without("  keep\n    gone\n  this", "    gone") == "  keep\n  this"


def test_spaces_and_words_do_not_run_together() -> None:
    assert without("the end of it", "end of") == "the it"
    assert without("the end", "end") == "the"
    assert without("the end\nnext", "end") == "the\nnext"
    assert without("(the) end", "the") == "() end"
    assert without("abc日本def", "日本") == "abc def"
    assert without("abc\u00ad日本def", "日本") == "abc\u00ad def"
    assert without("日本語", "本") == "日語"


def test_no_letter_is_cut_from_its_marks() -> None:
    text = "\u0e01\u0e35\u0e48\u0e02\u0e49"  # letter, two marks, letter, mark
    spans = Spans(np.array([0]), np.array([0]), np.array([3]))
    assert cut(pa.array([text]), spans).to_pylist() == [text[3:]]  # its marks go with it
    spans = Spans(np.array([0]), np.array([6]), np.array([12]))
    assert cut(pa.array([text]), spans).to_pylist() == [text[:3]]  # its second mark stays


def test_marks_between_two_cuts_take_nothing_with_them() -> None:
    text = "keep this aaaa\u0e34\u0e35\u0e34 tail"  # the second cut is of the last mark
    start = len("keep this ")
    spans = Spans(
        np.array([0, 0]), np.array([start, start + 10]), np.array([start + 4, start + 13])
    )
    assert cut(pa.array([text]), spans).to_pylist() == ["keep this tail"]


def test_a_text_without_a_word_left_is_empty() -> None:
    spans = Spans(np.array([0, 1]), np.array([4, 0]), np.array([14, 9]))
    texts = pa.array(["\u2022 some words", "some words \u2022", "\u2022"])
    assert cut(texts, spans).to_pylist() == ["", "s \u2022", "\u2022"]
