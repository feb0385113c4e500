"""The gate on what a run may forget."""

import math

import numpy as np
import pytest

from training.errors import ConfigError
from training.evaluate import Evaluation
from training.measures.baseline import Baseline
from training.measures.bootstrap import Comparison, compare_all
from training.measures.documents import Documents
from training.measures.gate import check_gate, check_gate_names, gate_values

NAMES = ["domain/easy", "domain/hard", "general"]


def compared(**nats_per_target: float) -> dict[str, Comparison]:
    """Comparisons against 2 nats per target; the documents differ by 1 % about the mean."""
    spread = np.linspace(0.99, 1.01, 21)

    def scored(nats: float) -> Documents:
        return Documents(
            keys=np.stack([np.arange(21)] * 2, axis=1).astype(np.uint64),
            nats=100 * nats * (spread if nats != 2 else np.ones(21)),
            num_targets=np.full(21, 100),
            num_bytes=np.full(21, 400.0),
        )

    names = {name.replace("__", "/"): nats for name, nats in nats_per_target.items()}
    before = {name: scored(2.0) for name in names}
    after = Evaluation(documents={name: scored(nats) for name, nats in names.items()})
    return compare_all(Baseline(documents=before, steps=dict.fromkeys(names, 0)), after, seed=1)


@pytest.mark.parametrize(("percent", "stops"), [(2.9, False), (3.1, True), (-10.0, False)])
def test_the_run_stops_above_the_limit(percent: float, stops: bool) -> None:
    found = compared(general=2 + math.log1p(percent / 100))
    assert (check_gate({"general": 0.03}, found, 500) is not None) == stops
    assert gate_values({"general": 0.03}, found)["general"]["passed"] != stops


def test_a_failure_says_estimate_interval_and_limit() -> None:
    failure = check_gate({"general": 0.03}, compared(general=2 + math.log(1.05)), 500)
    assert failure is not None
    assert failure.step == 500
    (breach,) = failure.breaches
    assert breach.change.low < breach.change.value < breach.change.high
    assert str(failure).startswith(
        "step 500: gate: general: perplexity is +5.00 % against step 0 "
        f"(95 % interval {breach.change.low:+.2f} to {breach.change.high:+.2f}), "
        "the gate lets +3 % pass"
    )


def test_a_domain_is_judged_over_all_its_strata() -> None:
    found = compared(domain__easy=2.10, domain__hard=1.96, general=2.0)
    assert check_gate({"domain": 0.04}, found, 1) is None
    assert check_gate({"domain/easy": 0.04}, found, 1) is not None
    assert check_gate({"domain": 0.02}, found, 1) is not None


def test_every_breach_is_named() -> None:
    failure = check_gate({"a": 0.01, "b": 0.01, "c": 0.5}, compared(a=2.1, b=2.1, c=2.1), 1)
    assert failure is not None
    assert [breach.name for breach in failure.breaches] == ["a", "b"]


def test_a_perplexity_that_is_not_a_number_is_a_failure() -> None:
    failure = check_gate({"general": 0.03}, compared(general=math.nan), 1)
    assert failure is not None
    assert "no interval" in str(failure)


def test_no_gate_stops_nothing() -> None:
    assert check_gate({}, compared(general=9.0), 1) is None


def test_sources_and_domains_are_known() -> None:
    check_gate_names({"general": 0.1, "domain": 0.1, "domain/easy": 0.1}, NAMES)


@pytest.mark.parametrize(("name", "meant"), [("genral", "general"), ("domian", "domain")])
def test_an_unknown_name_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"gate\.{name}: .*did you mean '{meant}'.*general"):
        check_gate_names({name: 0.03}, NAMES)


def test_a_gate_without_validation_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="want no gate"):
        check_gate_names({"general": 0.03}, [])


def test_a_failure_of_a_model_that_diverged_has_no_hundred_digits() -> None:
    failure = check_gate({"general": 0.03}, compared(general=600.0), 500)
    assert "e+" in str(failure)
    assert len(str(failure)) < 400
