import pickle

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.errors import FilterError
from filters.protocol import (
    FAILURES,
    Bound,
    CallableFilter,
    Filter,
    apply,
    as_filter,
    edit,
    edits,
    first_failure,
    first_failures,
    load,
    signals,
    within,
)
from tests.filters.strategies import batch_of

NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))
LIMITS = st.one_of(st.none(), st.integers(-5, 5))
BATCH = batch_of(["a", "b", "c"])


def not_blank(batch):
    return pc.greater(pc.utf8_length(batch["text"]), 0)


class Stub:
    """A filter that returns what it is told to."""

    def __init__(self, measured=None, mask=None, edited=None):
        self.measured = signals(x=pa.array([1, 2, 3])) if measured is None else measured
        self.mask = pa.array([True, False, True]) if mask is None else mask
        self.edited = edited

    def measure(self, batch, shared):
        return self.measured

    def keep(self, measured):
        return self.mask

    def edit(self, batch):
        return self.edited


def test_apply_gives_signals_and_mask():
    measured, mask = apply(Stub(), BATCH)
    assert measured["x"].to_pylist() == [1, 2, 3]
    assert mask.to_pylist() == [True, False, True]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (pa.array([True, None, True]), r"Stub\.keep: got 1 nulls in 3 rows"),
        (pa.array([True, False]), r"Stub\.keep: got 2 rows for 3"),
        (pa.array([1, 0, 1]), r"Stub\.keep: got int64, want a pyarrow BooleanArray"),
        (pa.chunked_array([[True, False, True]]), r"Stub\.keep: got bool, want a pyarrow"),
        ([True, False, True], r"Stub\.keep: got list"),
    ],
)
def test_a_mask_that_breaks_the_contract_is_refused_by_name(mask, message):
    with pytest.raises(FilterError, match=message):
        apply(Stub(mask=mask), BATCH)


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        (signals(x=pa.array([1, 2])), r"Stub\.measure: got 2 rows for 3"),
        ({"x": [1, 2, 3]}, r"Stub\.measure: got dict"),
    ],
)
def test_signals_that_break_the_contract_are_refused_by_name(measured, message):
    with pytest.raises(FilterError, match=message):
        apply(Stub(measured=measured), BATCH)


def test_an_edit_must_keep_rows_and_columns():
    assert edit(Stub(edited=BATCH), BATCH).equals(BATCH)
    with pytest.raises(FilterError, match=r"Stub\.edit: got 2 rows for 3"):
        edit(Stub(edited=BATCH[:2]), BATCH)
    with pytest.raises(FilterError, match=r"Stub\.edit: want a RecordBatch with the columns"):
        edit(Stub(edited=BATCH.rename_columns(["other"])), BATCH)


def test_an_edit_may_append_counts_and_nothing_else():
    counted = BATCH.append_column("edited.x.num_words", pa.array([1, 2, 3], pa.int32()))
    assert edit(Stub(edited=counted), BATCH).equals(counted)
    assert edit(Stub(edited=counted), counted).equals(counted)
    for name, kind in (
        ("num_words", pa.int32()),
        ("edited.x", pa.int32()),
        ("edited.x.y", pa.int64()),
    ):
        other = BATCH.append_column(name, pa.array([1, 2, 3], kind))
        with pytest.raises(FilterError, match=r"none but int32 columns edited\.<filter>\.<count>"):
            edit(Stub(edited=other), BATCH)
    with pytest.raises(FilterError, match=r"none but int32 columns"):
        edit(Stub(edited=counted.append_column("edited.x.num_words", counted[1])), BATCH)


def test_a_filter_without_edit_and_load_changes_and_loads_nothing():
    plain = as_filter(not_blank)
    load(plain)
    assert edit(plain, BATCH) is BATCH


def test_a_plain_callable_is_a_filter():
    plain = pickle.loads(pickle.dumps(as_filter(not_blank)))
    assert isinstance(plain, Filter)
    measured, mask = apply(plain, batch_of(["a", "", "b"]))
    assert mask.to_pylist() == [True, False, True]
    assert first_failures(plain, "blank", measured)["rule"].to_pylist() == [None, "blank", None]


def test_a_callable_that_answers_null_is_refused_by_its_name():
    with pytest.raises(FilterError, match="not_blank"):
        apply(as_filter(not_blank), batch_of(["a", None]))


@pytest.mark.parametrize("plugin", [3, Stub, CallableFilter, None])
def test_what_is_no_filter_is_refused(plugin):
    with pytest.raises(FilterError, match="want an instance with measure"):
        as_filter(plugin)


def test_signals_of_unequal_length_or_of_no_arrow_type_are_refused():
    with pytest.raises(FilterError, match="unequal length"):
        signals(x=pa.array([1]), y=pa.array([1, 2]))
    with pytest.raises(FilterError, match="signal x: got list"):
        signals(x=[1, 2])


def test_a_batch_without_text_is_refused_with_its_columns():
    with pytest.raises(FilterError, match=r"\['other'\], want one named text"):
        apply(as_filter(not_blank), BATCH.rename_columns(["other"]))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8), LIMITS, LIMITS, LIMITS)
def test_bounds_and_their_first_failure_are_those_of_plain_python(rows, low, high, other_low):
    x, y = ([row[column] for row in rows] for column in (0, 1))
    measured = signals(x=pa.array(x, pa.float64()), y=pa.array(y, pa.float64()))
    bounds = [Bound("x", low, high), Bound("y", minimum=other_low)]
    checks = [("x", low, min), ("x", high, max), ("y", other_low, min)]
    failed = []
    for row in rows:
        values = dict(zip("xy", row, strict=True))
        broken = [
            (name, values[name], limit)
            for name, limit, side in checks
            if limit is not None
            and not (values[name] is not None and side(limit, values[name]) == limit
                     and values[name] == values[name])
        ]  # fmt: skip
        failed.append(broken[0] if broken else (None, None, None))
    got = first_failure(measured, bounds)
    assert within(measured, bounds).to_pylist() == [rule is None for rule, _, _ in failed]
    assert got.schema == FAILURES
    assert str(got.to_pylist()) == str(
        [
            {"rule": rule, "value": value, "threshold": None if limit is None else float(limit)}
            for rule, value, limit in failed
        ]
    )


@pytest.mark.parametrize("says", [True, False])
def test_a_filter_may_say_that_it_edits_nothing(says):
    class Silent(Stub):
        edits = says

        def edit(self, batch):
            calls.append(batch)
            return batch

    calls = []
    assert edits(Silent()) == says
    assert edit(Silent(), BATCH) is BATCH
    assert len(calls) == says


def test_failures_must_agree_with_the_decision():
    class Liar(Stub):
        def failures(self, measured):
            rows = {"rule": ["r", None, None], "value": [1.0, None, None], "threshold": [None] * 3}
            return pa.RecordBatch.from_pydict(rows, schema=FAILURES)

    with pytest.raises(FilterError, match=r"Liar\.failures: want a rule where keep is false"):
        first_failures(Liar(), "liar", Stub().measured)
