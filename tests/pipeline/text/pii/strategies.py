"""Texts salted with what is personal, what only looks so, and what may stand beside it."""

from tests.pipeline.text.pii.test_recognizers import NEGATIVES, POSITIVES
from tests.pipeline.text.strategies import text_of

GLUE = [
    " ", "  ",
    "\n", "-", ".", "..", ",", ":", "::", "/", "+", "(", ")", "@", "[", "]", "_", "\t", "é",
    "中", "0", "1", "7", "12", "617", "2001", "4111", "a", "v", "com", "phone ", "ssn ", "version ",
    " ip ", "    ", "x" * 45, " 11 " * 12, "[PHONE]", "[IP]", "\u00a0",
]  # fmt: skip

salted = text_of(
    *(text for cases in POSITIVES.values() for text, _ in cases),
    *(text for texts in NEGATIVES.values() for text in texts if len(text) < 60),
    *GLUE * 6,
    max_pieces=12,
)
digit_soup = text_of(*"0123456789", *" .-()+/:@a[", "\n", max_pieces=80)
