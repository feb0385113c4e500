"""Verdicts from stored signals: which filters were reached, and by whose thresholds."""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.explaining.judging import Check, Verdict, judge

SPECS: list[dict[str, Any]] = [
    {"use": "length", "min_chars": 10},
    {"use": "length", "min_chars": 20, "per_language": {"de": {"min_chars": 5}}},
]


def judged(num_chars: int, language: str, dropped_by: str | None) -> list[Verdict]:
    row = {
        "length.num_chars": num_chars,
        "length.num_words": 3,
        "length#2.num_chars": num_chars,
        "length#2.num_words": 3,
        "length#2.language": language,
    }
    return judge(SPECS, pa.RecordBatch.from_pylist([row]), dropped_by)


def test_a_filter_after_the_one_that_drops_is_not_reached_but_told() -> None:
    first, second = judged(7, "en", "length.num_chars")
    assert (first.state, second.state) == ("dropped", "not reached")
    assert (first.rule, first.value, first.threshold) == ("length.num_chars", 7, 10)
    assert (second.rule, second.threshold) == ("length#2.num_chars", 20)


def test_the_thresholds_are_those_of_the_language() -> None:
    _, second = judged(12, "de", None)
    assert (second.state, second.rule) == ("passed", None)
    assert Check("num_chars", 12, minimum=5) in second.checks


@pytest.mark.parametrize("rule", ["empty", "decontaminate.mmlu"])
def test_what_goes_before_the_filters_reaches_none(rule: str) -> None:
    assert {verdict.state for verdict in judged(12, "en", rule)} == {"not reached"}


@pytest.mark.parametrize("value", [None, float("nan"), "x", 4.9])
def test_no_number_is_inside_no_limits(value: Any) -> None:
    assert not Check("s", value, minimum=5).is_inside
    assert Check("s", value).is_inside
