"""Texts to try cleaning and anonymising on."""

import pyarrow as pa
from hypothesis import strategies as st

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def text_of(*pieces: str, max_pieces: int = 25) -> st.SearchStrategy[str]:
    """Texts put together from these pieces, with any character between them now and then."""
    piece = st.one_of(st.sampled_from(pieces), st.characters(exclude_categories=["Cs"]))
    return st.lists(piece, max_size=max_pieces).map("".join)


def batches(texts: st.SearchStrategy[str]) -> st.SearchStrategy[pa.StringArray]:
    """String arrays of 0 to 6 rows, some of them slices of a longer array."""
    rows = st.lists(texts, max_size=6)
    whole = rows.map(lambda r: pa.array(r, pa.string()))
    sliced = rows.map(lambda r: pa.array(["before\n", *r, " after"], pa.string()).slice(1, len(r)))
    return st.one_of(whole, sliced)
