"""Every pattern takes time in proportion to the text, whatever the text."""

import time

import pytest

from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.registry import RECOGNIZERS
from pipeline.text.pii.triggers import Words

PIECES = [
    b"a", b"1", b"A", b"Z1", b" ", b"-", b"1-", b"1 ", b"1.", b"A1 ", b"AB12 ", b"GB29 ", b"0x",
    b"bc1", b"0xaB", b"00:1b:", b"00-1b-", b"2001:", b"a@", b".a", b"@a.", b"+1 ", b"(1", b"1/",
    b"(", b"=", b"=\"", b"://", b"a:", b"\n", b"-\n", b"%C3", b"\xc3\xa9", b"[", b"_", b"eyJ.",
]  # fmt: skip
SIZE, TIMES = 10_000, 4


def seconds(recognizer: Recognizer, text: bytes) -> float:
    began = time.process_time()
    recognizer.find(text)
    return time.process_time() - began


@pytest.mark.parametrize(
    "recognizer", RECOGNIZERS, ids=[f"{r.kind}-{i}" for i, r in enumerate(RECOGNIZERS)]
)
def test_four_times_the_text_takes_about_four_times_as_long(recognizer):
    words = recognizer.trigger.words if isinstance(recognizer.trigger, Words) else ()
    pieces = PIECES + list(words[:3]) + [word + b" " for word in words[:3]]
    for piece in pieces:
        text = piece * (SIZE // len(piece))
        once = seconds(recognizer, text)
        assert once < 2, piece
        if once > 0.002:  # below it the clock is no measure; quadratic in 20 KB is seconds
            assert seconds(recognizer, text * TIMES) < 2.5 * TIMES * once + 0.05, piece
