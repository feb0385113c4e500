"""Windows must not change what is found, nor batches where it is found."""

import random
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from pipeline.text.buffers import utf8
from pipeline.text.pii.registry import RECOGNIZERS
from pipeline.text.pii.spans import Spans, find_spans, replace_spans, rows_of
from tests.pipeline.text.pii.strategies import digit_soup, salted
from tests.pipeline.text.strategies import batches


def found(texts, recognizers):
    """(row, begin in the row, end in the row, recogniser) of each span."""
    spans, (offsets, _) = find_spans(texts, recognizers), utf8(texts)
    rows = rows_of(texts, spans)
    begins, ends = spans.begins - offsets[rows], spans.ends - offsets[rows]
    return list(zip(*(x.tolist() for x in (rows, begins, ends, spans.recognizers)), strict=True))


def resolved(candidates):
    """Longest first, then by recogniser, then by place: the rule, quadratic and plain."""
    kept = []
    for begin, end, which in sorted(candidates, key=lambda c: (c[0] - c[1], c[2], c[0])):
        if all(end <= other[0] or other[1] <= begin for other in kept):
            kept.append((begin, end, which))
    return sorted(kept)


@settings(max_examples=150, deadline=None)
@given(batches(salted | digit_soup))
def test_each_recogniser_finds_in_windows_what_it_finds_in_whole_texts(texts):
    for recognizer in RECOGNIZERS:
        rows = enumerate(texts.to_pylist())
        want = [(i, *span, 0) for i, text in rows for span in recognizer.find(text.encode())]
        assert found(texts, [recognizer]) == want, recognizer.pattern


@settings(max_examples=100, deadline=None)
@given(batches(salted | digit_soup))
def test_overlaps_are_resolved_by_length_then_priority(texts):
    want = []
    for row, text in enumerate(texts.to_pylist()):
        every = [(*s, i) for i, r in enumerate(RECOGNIZERS) for s in r.find(text.encode())]
        want += [(row, *span) for span in resolved(every)]
    assert found(texts, RECOGNIZERS) == want


@settings(deadline=None)
@given(batches(salted))
def test_replacing_splices_at_the_spans_and_nowhere_else(texts):
    spans = find_spans(texts, RECOGNIZERS)
    tags = pa.array([f"<{i}é>" for i in range(len(spans.begins))], pa.string())
    want = [text.encode() for text in texts.to_pylist()]
    for (row, begin, end, _), tag in reversed(
        list(zip(found(texts, RECOGNIZERS), tags.to_pylist(), strict=True))
    ):
        want[row] = want[row][:begin] + tag.encode() + want[row][end:]
    replaced = replace_spans(texts, spans, tags)
    replaced.validate(full=True)
    assert [text.encode() for text in replaced.to_pylist()] == want


def test_spans_beside_empty_rows_fall_into_the_right_rows():
    texts = pa.array(["", "a@example.com", "", "", "b@example.com", ""])
    assert rows_of(texts, find_spans(texts, RECOGNIZERS)).tolist() == [1, 4]


@settings(max_examples=100, deadline=None)
@given(batches(salted))
def test_near_a_place_all_is_found_that_stands_beside_it_and_nothing_far_away(texts):
    every = find_spans(texts, RECOGNIZERS)
    nothing = np.empty((0, 2), np.int64)
    assert not len(find_spans(texts, RECOGNIZERS, near=nothing).begins)
    for begin, end, which in zip(*(column.tolist() for column in every), strict=True):
        near = find_spans(texts, [RECOGNIZERS[which]], near=np.array([[begin, end]]))
        assert (begin, end) in zip(near.begins.tolist(), near.ends.tolist(), strict=True)
    apart = pa.array(["a@example.com" + " " * 1000 + "b@example.com"])
    assert find_spans(apart, RECOGNIZERS, near=np.array([[0, 5]])).begins.tolist() == [0]


def test_more_windows_than_expected_are_all_found():
    texts = pa.array(["a@b.io " * 5000])
    assert len(find_spans(texts, RECOGNIZERS).begins) == 5000


def test_replacing_nothing_keeps_every_byte():
    nothing = np.empty(0, np.int64)
    texts = pa.array(["x", "", "é"])
    kept = replace_spans(texts, Spans(nothing, nothing, nothing), pa.array([], pa.string()))
    assert kept.equals(texts)


HOSTILE = [
    "a", "1", "@", "1-",
    "1 ", "a@", "a@a.", "-a@", "a.", "+1", "+1 ", "(", "2001:", "2001:.", "::", "1.",
    "1.1.1.1-", "617-253-1000", "4111 ", "617 253 1000 ", "536-22-8145-", ".@", "a@b.io", "[IP] ",
    "93.184.216.34 4111 1111 1111 1111 ", "1" * 19 + " ", "é", "+", "a%", "2001::1.", "x@y.zz..",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_megabyte_takes_seconds_at_most(piece):
    texts = pa.array([(piece * (1_000_000 // len(piece)))[:1_000_000], "a@example.com"])
    began = time.process_time()
    spans = find_spans(texts, RECOGNIZERS)
    # quadratic in 1 MB is hours; the slowest of these takes 2 s, for it is 125,000 addresses
    assert time.process_time() - began < 20
    assert rows_of(texts, spans)[-1] == 1


def test_a_random_soup_of_trigger_bytes_finds_the_same_in_windows():
    generator = random.Random(7)
    alphabet = "0123456789" * 3 + "+-. ()/:@abz[\n" + "é"
    texts = pa.array(["".join(generator.choices(alphabet, k=20_000)) for _ in range(10)])
    for recognizer in RECOGNIZERS:
        rows = enumerate(texts.to_pylist())
        want = [(i, *span, 0) for i, text in rows for span in recognizer.find(text.encode())]
        assert found(texts, [recognizer]) == want
