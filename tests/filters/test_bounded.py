import pickle
from dataclasses import dataclass

import pyarrow as pa
import pytest

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.protocol import Bound, Filter, bounds_of, checked_keep, first_failures, signals
from filters.registry import create, names


@dataclass(frozen=True, slots=True)
class Between(Bounded):
    """Keeps x of minimum or more, and y of 2 or less."""

    minimum: int

    def measure(self, batch, shared):
        return batch

    def bounds(self):
        return (Bound("x", self.minimum), Bound("y", maximum=2))


MEASURED = signals(x=pa.array([1, 5, 5, None]), y=pa.array([9, 9, 2, 1]))


def test_decisions_and_reasons_are_those_of_the_bounds():
    rule = Between(3)
    assert isinstance(rule, Filter)
    assert checked_keep(rule, MEASURED).to_pylist() == [False, False, True, False]
    assert first_failures(rule, "between", MEASURED).to_pylist() == [
        {"rule": "between.x", "value": 1.0, "threshold": 3.0},
        {"rule": "between.y", "value": 9.0, "threshold": 2.0},
        {"rule": None, "value": None, "threshold": None},
        {"rule": "between.x", "value": None, "threshold": 3.0},
    ]


def test_an_instance_has_slots_and_pickles():
    rule = Between(3)
    assert not hasattr(rule, "__dict__")
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert bounds_of(rule)[0].minimum == 3


def test_one_without_bounds_cannot_be_made():
    class Unbounded(Bounded):
        pass

    with pytest.raises(TypeError, match="bounds"):
        Unbounded()


def test_built_in_filters_stay_small():
    found = []
    for name in names():
        try:
            rule = create({"use": name})[1]
        except FilterConfigError:  # has parameters that must be given
            continue
        if isinstance(rule, Bounded):
            found.append(name)
            assert not hasattr(rule, "__dict__")
    assert {"length", "gopher_quality", "boilerplate"} <= set(found)
