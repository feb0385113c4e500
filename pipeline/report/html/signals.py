"""The values of one signal over the documents, and the documents nearest to its thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.per_language import LANGUAGE, PerLanguage
from filters.protocol import Bound, Filter, bounds_of
from pipeline.report.html.limits import SAMPLES_A_SIDE

KEPT_BY_ALL, GONE_HERE, GONE_ELSEWHERE = 0, 1, 2


class Limit(NamedTuple):
    """One side of a bound: values of at least, or at most, `value` are inside."""

    is_minimum: bool
    value: float


class Near(NamedTuple):
    """A document near a threshold; those that other filters removed come last."""

    is_gone: bool
    distance: float
    item: int
    kind: str
    row: int
    value: float


@dataclass(slots=True)
class Sides:
    """The documents nearest to a threshold that it lets pass, and that it does not."""

    inside: list[Near] = field(default_factory=list)
    outside: list[Near] = field(default_factory=list)
    num_outside: int = 0


@dataclass(slots=True)
class SignalSurvey:
    """All values of a signal, with what became of each document, and its thresholds.

    `values`: float64, without NaN. `fates`: int8, `KEPT_BY_ALL`, `GONE_HERE` by this filter or
    `GONE_ELSEWHERE`.
    """

    values: list[np.ndarray] = field(default_factory=list)
    fates: list[np.ndarray] = field(default_factory=list)
    limits: dict[Limit, Sides] = field(default_factory=dict)
    num_missing: int = 0  # measured documents without this signal
    is_whole: bool = True  # all values are whole numbers by their type
    has_others: bool = False  # some languages are held to other thresholds


class Values(NamedTuple):
    """Whose the values are that are added: an item, a kind of file, rows, the fate of each."""

    item: int
    kind: str
    rows: np.ndarray
    fates: np.ndarray
    place: int  # of the filter: a fate that is this one went here


def by_signal(
    found: dict[str, SignalSurvey],
    rule: Filter,
    signals: pa.RecordBatch,
    measured: np.ndarray,
    spots: Values,
) -> None:
    """Add the numeric signals of some documents, and look for the ones near the thresholds."""
    plain = rule.default if isinstance(rule, PerLanguage) else rule
    bounds = {bound.signal: bound for bound in bounds_of(plain)}
    apart = _apart(rule, signals)
    fates = np.where(spots.fates == spots.place, GONE_HERE, GONE_ELSEWHERE)
    fates = np.where(spots.fates == -1, KEPT_BY_ALL, fates).astype(np.int8)
    for name, column in zip(signals.schema.names, signals.columns, strict=True):
        if not _is_number(column.type):
            continue
        survey = found.setdefault(name, SignalSurvey())
        floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        valid = np.isfinite(floats)
        survey.values.append(floats[valid])
        survey.fates.append(fates[valid])
        survey.num_missing += int(np.count_nonzero(measured & ~valid))
        survey.is_whole &= bool(pa.types.is_integer(column.type))
        survey.has_others |= isinstance(rule, PerLanguage)
        for limit in _limits(bounds.get(name)):
            sides = survey.limits.setdefault(limit, Sides())
            _nearest(sides, limit, floats, valid & ~apart, fates == GONE_ELSEWHERE, spots)


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _apart(rule: Filter, signals: pa.RecordBatch) -> np.ndarray:
    """Documents of languages with thresholds of their own."""
    if not isinstance(rule, PerLanguage) or LANGUAGE not in signals.schema.names:
        return np.zeros(signals.num_rows, np.bool_)
    own = pa.array([override.language for override in rule.overrides], pa.string())
    mask: np.ndarray = pc.is_in(signals[LANGUAGE].cast(pa.string()), own).to_numpy(
        zero_copy_only=False
    )
    return mask


def _limits(bound: Bound | None) -> Iterator[Limit]:
    if bound is None:
        return
    for is_minimum, value in ((True, bound.minimum), (False, bound.maximum)):
        if value is not None:
            yield Limit(is_minimum, float(value))


def _nearest(
    sides: Sides,
    limit: Limit,
    floats: np.ndarray,
    valid: np.ndarray,
    gone: np.ndarray,
    spots: Values,
) -> None:
    inside = floats >= limit.value if limit.is_minimum else floats <= limit.value
    sides.num_outside += int(np.count_nonzero(valid & ~inside))
    for near, mask in ((sides.inside, valid & inside), (sides.outside, valid & ~inside)):
        for is_gone in (False, True):
            places = np.flatnonzero(mask & (gone == is_gone))
            for place in _closest(np.abs(floats - limit.value), places):
                distance, value = float(abs(floats[place] - limit.value)), float(floats[place])
                row = int(spots.rows[place])
                near.append(Near(is_gone, distance, spots.item, spots.kind, row, value))
        near.sort()
        del near[SAMPLES_A_SIDE:]


def _closest(distance: np.ndarray, places: np.ndarray) -> list[int]:
    """A few of the places, those of the least distance; the first ones of equal distance."""
    if len(places) > SAMPLES_A_SIDE:
        limit = np.partition(distance[places], SAMPLES_A_SIDE - 1)[SAMPLES_A_SIDE - 1]
        places = places[distance[places] <= limit]
        places = places[np.argsort(distance[places], kind="stable")[:SAMPLES_A_SIDE]]
    found: list[int] = places.tolist()
    return found
