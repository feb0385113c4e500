"""What the manifest says, from what was seen: filters that keep most, limits that hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.initialising.grouping import Group
from pipeline.initialising.observing import FILTERS, LENGTH, QUALITY, Observed

# Share of a source's documents that one filter, and all together, may drop.
MOST_BY_ONE, MOST_BY_ALL = 0.4, 0.5
SCORES = (0.65, 0.5, 0.3)  # FineWeb's, and what short or mixed documents need
MOST_BY_SCORE = 0.2
SURE = 0.65  # of a language that is told to be there
LEAST_SHARE, LEAST_DOCUMENTS = 0.01, 2  # of a language that is kept
ENGLISH, MOSTLY = "en", 0.8  # gopher_quality looks for English words
FRACTIONS = ((10_000, 0.01), (1_000, 0.02), (100, 0.05), (20, 0.1))  # by number of rows
QUARANTINE, LARGE_BYTES = 0.01, 10_000_000  # the manifest's own defaults


@dataclass(frozen=True, slots=True)
class Filters:
    """Names of sources by filter, and why another one is left out.

    `min_score` belongs to `languages`; `drops` is the share that all of them drop, by source.
    """

    length: tuple[str, ...]
    languages: tuple[str, ...]
    language: tuple[str, ...]
    min_score: float
    quality: tuple[str, ...]
    left_out: tuple[str, ...]
    drops: Mapping[str, float]


def propose_filters(groups: Sequence[Group], observed: Mapping[str, Observed]) -> Filters:
    """Filters for the sources of prose; programs have other rules."""
    prose = {g.name: observed[g.name] for g in groups if not g.is_code and g.name in observed}
    prose = {name: one for name, one in prose.items() if len(one.language)}
    left_out: list[str] = []
    keep = _languages(prose)
    min_score = _min_score(prose, keep)
    language = [
        n
        for n, one in prose.items()
        if keep and one.dropped_by_language(keep, min_score).mean() <= MOST_BY_ALL
    ]
    length = _fitting(prose, LENGTH, left_out)
    english = {n: o for n, o in prose.items() if dict(o.languages()).get(ENGLISH, 0) >= MOSTLY}
    quality = _fitting(english, QUALITY, left_out)
    drops: dict[str, float] = {}
    for name, one in prose.items():
        gone = np.zeros(len(one.language), bool)
        for names, mask in (
            (language, one.dropped_by_language(keep, min_score)),
            (length, ~one.kept[LENGTH]),
            (quality, ~one.kept[QUALITY]),
        ):
            if name in names and (gone | mask).mean() > MOST_BY_ALL:
                names.remove(name)
                left_out.append(f"{name}: one filter more would leave less than half")
            elif name in names:
                gone = gone | mask
        drops[name] = float(gone.mean())
    return Filters(
        tuple(length),
        tuple(keep),
        tuple(language),
        min_score,
        tuple(quality),
        tuple(left_out),
        drops,
    )


def _languages(prose: Mapping[str, Observed]) -> list[str]:
    """Those that are surely in one source, the most frequent first."""
    found: dict[str, float] = {}
    for one in prose.values():
        least = max(LEAST_SHARE, min(0.5, LEAST_DOCUMENTS / len(one.language)))
        for name, share in one.languages(SURE):
            if share >= least:
                found[name] = found.get(name, 0) + share
    return sorted(found, key=lambda name: -found[name])


def _min_score(prose: Mapping[str, Observed], keep: Sequence[str]) -> float:
    """The highest at which no source loses many documents."""
    for score in SCORES:
        if all(
            one.dropped_by_language(keep, score).mean() <= MOST_BY_SCORE for one in prose.values()
        ):
            return score
    return SCORES[-1]


def _fitting(sources: Mapping[str, Observed], place: int, left_out: list[str]) -> list[str]:
    """Sources of which the filter drops not too many; of the others it is said why."""
    found = []
    for name, one in sources.items():
        share = one.drops(place)
        if share <= MOST_BY_ONE:
            found.append(name)
            continue
        first = one.rules[place][0][0] if one.rules[place] else ""
        use = FILTERS[place]["use"]
        left_out.append(f"{use} for {name}: it would drop {share:.0%}, most by {first}")
    return found


def validation_fraction(num_rows: float) -> float:
    """More of few documents, so that there are some; none of a handful."""
    return next((fraction for least, fraction in FRACTIONS if num_rows >= least), 0.0)


def max_quarantined(
    groups: Sequence[Group], observed: Mapping[str, Observed], num_empty: int
) -> float:
    """Twice what was seen, and never less than the default: a run stops above it.

    `num_empty` files without a byte may be among those that are read.
    """
    rows = sum(group.num_rows for group in groups)
    bad = sum(
        group.num_rows * observed[group.name].quarantined
        for group in groups
        if group.name in observed
    )
    share = (bad + num_empty) / max(1.0, rows + num_empty)
    return min(1.0, max(QUARANTINE, math.ceil(200 * share) / 100))


def max_document_bytes(groups: Sequence[Group]) -> int:
    """Enough for every file that is one document."""
    sizes = [
        one.file.size_bytes
        for group in groups
        if group.format in ("text", "html") and not group.is_per_line
        for one in group.looked
    ]
    largest = max(sizes, default=0)
    if largest <= LARGE_BYTES:
        return LARGE_BYTES
    return math.ceil(1.1 * largest / LARGE_BYTES) * LARGE_BYTES
