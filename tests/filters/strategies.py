"""Texts that look for trouble: any Unicode, and the characters that the rules turn on."""

import pyarrow as pa
from hypothesis import strategies as st

PIECES = st.sampled_from(
    [
        "the",
        "The",
        "that's",
        "be",
        "and",
        "of",
        "with",
        "to",
        "word",
        "été",
        "слово",
        "文字",
        "นี่",
        "𝒳",
    ]
    + [" ", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\x1c", "\x85", "\x00"]
    + [
        ".",
        "..",
        "...",
        "....",
        "…",
        "#",
        "-",
        "•",
        "*",
        "‣",
        "1",
        "12",
        "_",
        "'",
        "e\u0301",
        "\u200d",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join))
ROWS = st.lists(st.one_of(TEXTS, st.none()), max_size=12)
KINDS = st.sampled_from([pa.string(), pa.large_string()])


def batch_of(texts: list[str | None], kind: pa.DataType = pa.string()) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(texts, kind)], names=["text"])


def sliced(texts: list[str | None], kind: pa.DataType = pa.string()) -> pa.Array:
    """The same texts as a slice out of a longer array: offset and first byte are not 0."""
    return pa.array(["before ...", *texts, "# after"], kind).slice(1, len(texts))
