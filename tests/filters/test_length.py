import pickle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import FilterConfigError
from filters.length import Length
from filters.protocol import apply, first_failures
from tests.filters import oracle
from tests.filters.strategies import ROWS, batch_of

BOUNDS = st.tuples(st.integers(0, 6), st.none() | st.integers(6, 12))


@settings(max_examples=200, deadline=None)
@given(ROWS, BOUNDS, BOUNDS)
def test_documents_within_both_bounds_are_kept(rows, chars, words):
    rule = Length(min_chars=chars[0], max_chars=chars[1], min_words=words[0], max_words=words[1])
    _, mask = apply(rule, batch_of(rows))
    for text, kept in zip(rows, mask.to_pylist(), strict=True):
        of = oracle.counts(text)
        assert kept == (
            chars[0] <= of["num_chars"] <= (chars[1] or 10**9)
            and words[0] <= of["num_words"] <= (words[1] or 10**9)
        )


def test_the_failure_names_rule_value_and_threshold():
    rule = Length(min_words=2, max_chars=9)
    measured, _ = apply(rule, batch_of(["one", "one two", "ten letters", None]))
    assert first_failures(rule, "length", measured).to_pylist() == [
        {"rule": "length.num_words", "value": 1.0, "threshold": 2.0},
        {"rule": None, "value": None, "threshold": None},
        {"rule": "length.num_chars", "value": 11.0, "threshold": 9.0},
        {"rule": "length.num_words", "value": 0.0, "threshold": 2.0},
    ]


def test_the_default_keeps_everything_even_null():
    measured, mask = apply(Length(), batch_of(["", None, "x"]))
    assert mask.to_pylist() == [True] * 3
    assert measured.schema.types == [pa.int32(), pa.int32()]


def test_an_empty_batch_gives_empty_answers():
    measured, mask = apply(Length(), batch_of([]))
    assert (measured.num_rows, len(mask)) == (0, 0)


@pytest.mark.parametrize("bad", [{"min_chars": -1}, {"min_words": 3, "max_words": 2}])
def test_bounds_that_nothing_can_meet_are_refused(bad):
    with pytest.raises(FilterConfigError, match=r"want 0 <= min_"):
        Length(**bad)


def test_an_instance_pickles_and_is_frozen():
    rule = Length(min_words=3)
    assert pickle.loads(pickle.dumps(rule)) == rule
    with pytest.raises(AttributeError):
        rule.min_words = 4
