"""Texts salted with what is personal, what only looks so, and what may stand beside it."""

from tests.pipeline.text.pii import test_numbers, test_recognizers, test_reviewed, test_strings
from tests.pipeline.text.strategies import text_of

GLUE = [
    " ", "  ",
    "\n", "-", ".", "..", ",", ":", "::", "/", "+", "(", ")", "@", "[", "]", "_", "\t", "é",
    "中", "0", "1", "7", "12", "617", "2001", "4111", "a", "v", "com", "phone ", "ssn ", "version ",
    "steuer ", "nhs ", "card ", "dni ", "eth ", "0x", "bc1", "AB", "Z", "-1b", " ip ", "    ",
    "x" * 45, " 11 " * 12, "[PHONE]", "[IP]", "\u00a0",
]  # fmt: skip

_CASES = (test_recognizers, test_numbers, test_strings, test_reviewed)

salted = text_of(
    *(text for each in _CASES for cases in each.POSITIVES.values() for text, _ in cases),
    *(
        text
        for each in _CASES
        for texts in each.NEGATIVES.values()
        for text in texts
        if len(text) < 60
    ),
    *GLUE * 12,
    max_pieces=12,
)
digit_soup = text_of(*"0123456789", *" .-()+/:@a[", "\n", max_pieces=80)
