"""Which sources a run is to learn, and which it is not to forget."""

from training.reporting.reading import RunFiles


def kept_and_learned(run: RunFiles) -> tuple[list[str], list[str]]:
    """What is not to be forgotten, and what is learned; of what was validated twice.

    Not to be forgotten is what the gate names and the source of the replay; else, what the planned
    mix ends with less of than it begins with; else all but the source with the largest weight.
    """
    names = [name for name in run.names if len(run.scores(name)) > 1]
    gates = {**run.config.get("gate", {}), **run.outcome.get("gate", {})}
    named = {*gates, (run.config.get("replay") or {}).get("source")}
    kept = [name for name in names if name in named]
    weights = run.record.get("planned_mix", {}).get("weights", {})
    if not kept:
        kept = [n for n in names if n in weights and weights[n][-1] < weights[n][0]]
    if not kept or len(kept) == len(names):
        largest = max(names, key=lambda name: weights.get(name, [0])[-1], default=None)
        kept = [name for name in names if name != largest]
    return kept, [name for name in names if name not in kept]
