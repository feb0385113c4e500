"""The gate: a run stops where a source got worse than it may, against step 0."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.suggest import did_you_mean
from training.errors import ConfigError
from training.measures.bootstrap import Change, Comparison
from training.measures.documents import domains


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """One source or domain that is over its limit."""

    name: str
    limit_percent: float
    change: Change  # of the perplexity, in percent
    baseline_step: int

    def __str__(self) -> str:
        change = self.change
        interval = (
            f"95 % interval {_percent(change.low)} to {_percent(change.high)}"
            if math.isfinite(change.low) and math.isfinite(change.high)
            else "no interval"
        )
        return (
            f"{self.name}: perplexity is {_percent(change.value)} % against step "
            f"{self.baseline_step} ({interval}), the gate lets {self.limit_percent:+g} % pass"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFailure:
    """Why a gate stopped the run at `step`."""

    step: int
    breaches: tuple[Breach, ...]

    def __str__(self) -> str:
        what = "; ".join(map(str, self.breaches))
        return (
            f"step {self.step}: gate: {what}; start a new run with a lower lr.peak or more replay, "
            "or raise the limit and run the same command again to go on from the last checkpoint"
        )


def check_gate_names(
    gate: Mapping[str, float], sources: Iterable[str], without_targets: Iterable[str] = ()
) -> None:
    """Raise `ConfigError` for a name that is no source that is measured, and no such domain.

    `without_targets`: those of `sources` whose validation rows have nothing to be predicted.
    """
    every, silent = sorted(sources), set(without_targets)
    names = [name for name in every if name not in silent]
    known = sorted({*names, *domains(names)})
    for name in gate:
        lost = [each for each in (name, *domains(every).get(name, ())) if each in silent]
        if lost and name not in known:
            raise ConfigError(
                f"gate.{name}: no validation row of {', '.join(lost)} has a target (all is erased, "
                "or masked as prompts are), so its perplexity is not known; take it out of `gate`, "
                "or prepare shards with validation documents of which something is learned"
            )
        if name not in known:
            hint = did_you_mean(name, known)
            have = f"one of {', '.join(known)}" if known else "no gate"
            raise ConfigError(
                f"gate.{name}: got {name!r}{hint}, which has no validation rows; want {have}"
            )


def check_is_measured(gate: Mapping[str, float], comparisons: Mapping[str, Comparison]) -> None:
    """Raise `ConfigError` where a name of the gate has no figures: it must not pass for that.

    So with `mlm`, where no token happens to be drawn in the few that a source has.
    """
    for name in sorted(gate.keys() - comparisons.keys()):
        raise ConfigError(
            f"gate.{name}: no target was drawn in its validation rows, so its perplexity is not "
            "known; raise eval_rows, or take it out of `gate`"
        )


def check_gate(
    gate: Mapping[str, float], comparisons: Mapping[str, Comparison], step: int
) -> GateFailure | None:
    """What is over its limit (0.03: 3 %) by the point estimate; a perplexity of NaN is too."""
    breaches = tuple(
        Breach(
            name=name,
            limit_percent=100 * limit,
            change=comparisons[name].perplexity_percent,
            baseline_step=comparisons[name].baseline_step,
        )
        for name, limit in gate.items()
        if name in comparisons and not comparisons[name].perplexity_percent.value <= 100 * limit
    )
    return GateFailure(step=step, breaches=breaches) if breaches else None


def gate_values(
    gate: Mapping[str, float], comparisons: Mapping[str, Comparison]
) -> dict[str, dict[str, Any]]:
    """The gate as `forgetting.json` has it, by source or domain."""
    failure = check_gate(gate, comparisons, step=0)
    breached = {breach.name for breach in failure.breaches} if failure else set()
    values = {}
    for name in gate.keys() & comparisons.keys():
        change = comparisons[name].perplexity_percent
        values[name] = {
            "limit_percent": 100 * gate[name],
            "change_percent": change.value,
            "change_percent_interval": [change.low, change.high],
            "passed": name not in breached,
        }
    return dict(sorted(values.items()))


def _percent(value: float) -> str:
    """Of a model that diverged, which may be 300 digits long, the first three."""
    return f"{value:{'+.2f' if abs(value) < 1e6 else '+.3g'}}"
