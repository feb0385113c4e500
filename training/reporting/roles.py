"""Which sources a run is to learn, and which it is not to forget."""

from collections.abc import Mapping
from typing import Any

from training.reporting.reading import RunFiles


def kept_and_learned(run: RunFiles) -> tuple[list[str], list[str]]:
    """What is not to be forgotten, and what is learned; of what was validated twice.

    Not to be forgotten is what the gate names and the source of the replay; else, what the planned
    mix ends with less of than it begins with; else all but the source with the largest weight.
    Strata count together as their source, but for those that the gate names.
    """
    gates = {**run.config.get("gate", {}), **run.outcome.get("gate", {})}
    names = [name for name in compared_names(run, gates) if len(run.scores(name)) > 1]
    named = {*gates, (run.config.get("replay") or {}).get("source")}
    kept = [name for name in names if name in named]
    weights = {name: planned_ends(run, name) for name in names}
    if not kept:
        kept = [name for name in names if weights[name][1] < weights[name][0]]
    if not kept or len(kept) == len(names):
        largest = max(names, key=lambda name: weights[name][1], default=None)
        kept = [name for name in names if name != largest]
    return kept, [name for name in names if name not in kept]


def compared_names(run: RunFiles, gates: Mapping[str, Any]) -> list[str]:
    """Sources, a source of several strata in their place, and the strata that the gate names."""
    joined = {name for each in run.evaluations for name in each.get("domains", {})}
    strata = [name for name in run.names if name.partition("/")[0] not in joined or name in gates]
    sources = (name.partition("/")[0] for name in run.names)
    return list(dict.fromkeys([*strata, *(name for name in sources if name in joined)]))


def planned_ends(run: RunFiles, name: str) -> tuple[float, float]:
    """The config's weights of a source, or of all of its strata, at the first and last step."""
    planned = run.record.get("planned_mix", {})
    ends = planned.get("ends") or planned.get("weights", {})
    parts = [each for key, each in ends.items() if name in (key, key.partition("/")[0])]
    return sum(each[0] for each in parts), sum(each[-1] for each in parts)
