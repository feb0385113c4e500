"""What was found against what stands there: recall and precision of each kind, with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Z_95 = 1.959964


class Gold(NamedTuple):
    """What stands in a text, in characters. Not scored: no fault to find it, none to leave it."""

    begin: int
    end: int
    kind: str
    scored: bool


class Found(NamedTuple):
    """What a tool found there; `score` is how sure it is, 1 where a tool does not say."""

    begin: int
    end: int
    kind: str
    score: float = 1.0


class Score(NamedTuple):
    """Of one kind. `num_rest`: what stands there and is not scored."""

    num_gold: int = 0
    num_recalled: int = 0
    num_right: int = 0
    num_wrong: int = 0
    num_rest: int = 0
    num_rest_recalled: int = 0

    def plus(self, **counts: int) -> "Score":
        """With one count or more raised."""
        return self._replace(**{name: getattr(self, name) + by for name, by in counts.items()})

    @property
    def recall(self) -> float:
        """Of what is scored; 0 if nothing is."""
        return self.num_recalled / self.num_gold if self.num_gold else 0.0

    @property
    def precision(self) -> float:
        """0 if nothing was found."""
        return self.num_right / (self.num_right + self.num_wrong) if self.num_right else 0.0


def wilson(num_successes: int, num_trials: int) -> tuple[float, float]:
    """The 95 % interval of Wilson (1927), which holds at 0 and at 1 too; (0, 1) without trials."""
    if num_trials == 0:
        return 0.0, 1.0
    share, z2 = num_successes / num_trials, Z_95**2 / num_trials
    centre = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    low = centre - half if num_successes else 0.0  # exactly, whatever the rounding
    high = centre + half if num_successes < num_trials else 1.0
    return low, high


def scores(
    golds: Sequence[Sequence[Gold]], founds: Sequence[Sequence[Found]]
) -> Mapping[str, Score]:
    """Of every kind that stands or was found anywhere; both have one sequence for each text.

    Recalled is what spans of its own kind cover to the last character: half an address is a leak.
    Right is a span that overlaps one of its kind; if only an unscored one, it is neither right nor
    wrong.
    """
    kept: dict[str, Score] = {}
    for gold, found in zip(golds, founds, strict=True):
        for each in gold:
            name = "gold" if each.scored else "rest"
            counts = {f"num_{name}": 1}
            counts["num_recalled" if each.scored else "num_rest_recalled"] = covers(found, each)
            kept[each.kind] = kept.get(each.kind, Score()).plus(**counts)
        for span in found:
            if (right := is_right(gold, span)) is not None:
                counts = {"num_right" if right else "num_wrong": 1}
                kept[span.kind] = kept.get(span.kind, Score()).plus(**counts)
    return kept


def covers(found: Sequence[Found], gold: Gold) -> bool:
    """Whether spans of its kind leave nothing of it."""
    place = gold.begin
    for span in sorted(found):
        if span.kind == gold.kind and span.begin <= place:
            place = max(place, span.end)
    return place >= gold.end


def is_right(gold: Sequence[Gold], span: Found) -> bool | None:
    """Whether it overlaps what stands there, of its kind; None if only what is not scored."""
    touched = [
        each.scored
        for each in gold
        if each.kind == span.kind and each.begin < span.end and span.begin < each.end
    ]
    if touched and not any(touched):
        return None
    return bool(touched)
