"""Title, language and date of a page, and how they get into the meta values."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.schema import DOCUMENT
from pipeline.text.html.head import HEAD, heads
from pipeline.text.meta import with_meta

META = DOCUMENT.field("meta").type
keys = st.sampled_from(["a", "html_title", "html_date"])
maps = st.none() | st.lists(st.tuples(keys, st.none() | st.text(max_size=3)), max_size=3)
values = st.tuples(*[st.none() | st.text(max_size=3)] * 3)


@pytest.mark.parametrize(
    ("page", "title", "language", "date"),
    [
        ("<html lang=de><title>Eine\n  Br&uuml;cke</title><body>", "Eine Brücke", "de", None),
        ('<meta property="og:title" content="T"><meta name=date content=2020-01-02>', "T", None,
         "2020-01-02"),
        ("<meta name=DC.date content=b><meta property=article:published_time content=a>", None,
         None, "a"),
        ('<meta http-equiv="Content-Language" content="fr">', None, "fr", None),
        ('<html xml:lang="pl"><svg><title>no</title></svg>', None, "pl", None),
        ("<body><title>a title in the body</title>", None, None, None),
        ("<title> </title><meta name=date>", None, None, None),
        (f"<title>{'x' * 2000}</title>", None, None, None),
        ("<title>a\x00\u2028\x01b</title>", "a b", None, None),
        ("", None, None, None),
    ],
)  # fmt: skip
def test_a_page_says_its_title_language_and_date(page, title, language, date):
    assert heads(pa.array([page])).to_pylist() == [
        {"html_title": title, "html_language": language, "html_date": date}
    ]


def test_no_pages_say_nothing():
    assert heads(pa.array([], pa.string())).schema == HEAD


@given(st.lists(st.tuples(maps, values), max_size=6), st.integers(0, 2))
def test_values_are_added_to_the_map_of_their_row_and_take_the_place_of_their_name(rows, first):
    meta = pa.array([m for m, _ in rows], META)[first:]
    columns = [pa.array([v[k] for _, v in rows], pa.string()) for k in range(3)]
    given_values = pa.RecordBatch.from_arrays(columns, schema=HEAD)[first:]
    want = []
    for entries, row in rows[first:]:
        new = [(n, v) for n, v in zip(HEAD.names, row, strict=True) if v is not None]
        names = {name for name, _ in new}
        kept = [entry for entry in entries or [] if entry[0] not in names]
        want.append(kept + new if new or entries is not None else None)
    added = with_meta(meta, given_values)
    added.validate(full=True)
    assert added.to_pylist() == want
    assert added.type == META
