"""Texts that look for trouble: any Unicode, and the characters that the rules turn on."""

import pyarrow as pa
from hypothesis import strategies as st

PIECES = st.sampled_from(
    [
        *("the", "The", "that's", "be", "and", "of", "with", "to", "word"),
        *("été", "e\u0301", "слово", "文字", "นี่", "\U0001d4b3", "1", "12", "_", "'", "\u200d"),
        *(" ", "  ", "\n", "\r\n", "\r", "\t", "\xa0", "\u3000", "\u2028", "\x1c", "\x85", "\x00"),
        *(".", "..", "...", "....", "…", "#", "-", "•", "*", "‣"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join))
ROWS = st.lists(st.one_of(TEXTS, st.none()), max_size=12)
STRING = pa.string()
KINDS = st.sampled_from([STRING, pa.large_string()])


def batch_of(texts: list[str | None], kind: pa.DataType = STRING) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(texts, kind)], names=["text"])


def sliced(texts: list[str | None], kind: pa.DataType = STRING) -> pa.Array:
    """The same texts as a slice out of a longer array: offset and first byte are not 0."""
    return pa.array(["before ...", *texts, "# after"], kind).slice(1, len(texts))
