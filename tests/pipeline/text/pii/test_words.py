"""Word triggers: every word is found, windows hold what their patterns may match, none overlap."""

import re
import time

import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from pipeline.text.buffers import utf8
from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.spans import find_spans, rows_of
from pipeline.text.pii.triggers import Words, find_windows
from pipeline.text.pii.windows import BEGIN, END, MARGIN_BEGIN, MARGIN_BYTES, MARGIN_END
from tests.pipeline.text.strategies import batches, text_of

TOKENS = Words(words=(b"tok_", b"eyJ"), reach_bytes=0)
NAMED = Words(words=(b"passport", b"pass", b"id no"), lead_bytes=8, reach_bytes=12)
LISTS = (TOKENS, NAMED, Words(words=(b"pass",)))

PIECES = [
    "tok_", "TOK_", "eyJ", "Eyj", "tok", "_", "passport", "PassPort", "pass", "id no", "ID NO",
    "id", " no", " ", "x", "x" * 30, " " * 13, " " * 60, "9", "é", "\n", "%", "<", "中", "@",
]  # fmt: skip
worded = text_of(*PIECES, max_pieces=30)

RECOGNIZERS = [
    Recognizer(
        kind="token",
        trigger=TOKENS,
        pattern=re.compile(rb"(?i)(?<![a-z])(?:tok_|eyj)[a-z0-9_%]+"),
        accept=lambda match: match.span(),
    ),
    Recognizer(
        kind="named",
        trigger=NAMED,
        pattern=re.compile(
            rb"(?i)(?:my {0,3}x{0,3})?(?:pass(?:port)?|id no)[ \n]{0,10}([x9]{1,2})"
        ),
        accept=lambda match: match.span(1),
    ),
]


@pytest.fixture(scope="module", autouse=True)
def _kernels_compiled():
    find_spans(pa.array(["tok_1"]), RECOGNIZERS)


def cores(text: bytes, trigger: Words) -> list[tuple[int, int]]:
    """Where each word stands in the text, by its own search."""
    return sorted(
        (match.start(), match.start() + len(word))
        for word in trigger.words
        for match in re.finditer(rb"(?i)(?=%s)" % re.escape(word), text)
    )


@settings(max_examples=300)
@given(batches(worded))
@example(pa.array(["tok", "_tok_", "", "pa", "ss"]))
def test_windows_hold_every_word_and_its_reach_and_nothing_without_one(texts):
    offsets, _ = utf8(texts)
    for trigger, windows in zip(LISTS, find_windows(texts, LISTS), strict=True):
        want = [
            (begin + offset, end + offset, offset, offset + len(text.encode()))
            for text, offset in zip(texts.to_pylist(), offsets.tolist(), strict=False)
            for begin, end in cores(text.encode(), trigger)
        ]
        held = set()
        for window in windows.tolist():
            inside = [w for w in want if window[BEGIN] <= w[0] and w[1] <= window[END]]
            held.update(inside)
            first = max(inside[0][2], inside[0][0] - trigger.lead_bytes - MARGIN_BYTES)
            assert window[BEGIN] == window[MARGIN_BEGIN] == first
            assert window[END] == window[MARGIN_END] <= inside[0][3]
            for _, end, _, row_end in inside:
                assert window[END] >= min(row_end, end + trigger.reach_bytes + MARGIN_BYTES)
        assert held == set(want)
        assert (windows[1:, BEGIN] >= windows[:-1, END]).all()


@settings(max_examples=300)
@given(batches(worded))
def test_words_find_in_windows_what_the_pattern_finds_in_whole_texts(texts):
    offsets = utf8(texts).offsets.tolist()
    for recognizer in RECOGNIZERS:
        want = [
            (begin + offset, end + offset)
            for text, offset in zip(texts.to_pylist(), offsets, strict=False)
            for begin, end in recognizer.find(text.encode())
        ]
        spans = find_spans(texts, [recognizer])
        assert list(zip(spans.begins.tolist(), spans.ends.tolist(), strict=True)) == want


def test_a_word_across_two_rows_or_two_blocks_is_none_or_one():
    (windows,) = find_windows(pa.array(["to", "k_", "tok_"]), [TOKENS])
    assert windows[:, BEGIN].tolist() == [4]
    for shift in range(-5, 5):
        texts = pa.array(["x" * ((1 << 15) + shift) + "tok_1"])
        (windows,) = find_windows(texts, [TOKENS])
        assert windows[:, BEGIN].tolist() == [(1 << 15) + shift - MARGIN_BYTES], shift


def test_a_run_of_any_length_lies_in_the_window_of_the_word_it_goes_on_from():
    texts = pa.array(["say tok_" + "a" * 100_000 + " end"])
    spans = find_spans(texts, RECOGNIZERS[:1])
    assert (spans.begins[0], spans.ends[0]) == (4, 8 + 100_000)


def test_words_are_at_least_three_ascii_bytes():
    with pytest.raises(AssertionError, match="at least 3"):
        Words(words=(b"no",))


@pytest.mark.parametrize("piece", ["tok_", "eyJ", "pass", "passport ", "tok_ ", "id no ", "to"])
def test_windows_take_no_more_room_than_a_few_texts_and_time_is_linear(piece):
    seconds = []
    for size in (1_000_000, 4_000_000):
        texts = pa.array([(piece * size)[:size]])
        began = time.process_time()
        found = find_windows(texts, LISTS)
        seconds.append(time.process_time() - began)
        for windows in found:
            assert (windows[:, MARGIN_END] - windows[:, MARGIN_BEGIN]).sum() <= size
    assert seconds[1] < 10 * seconds[0] + 0.1
    assert not rows_of(texts, find_spans(texts, RECOGNIZERS)).any()
