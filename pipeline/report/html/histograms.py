"""The histogram of one signal with its thresholds: what was kept, what went here and elsewhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from pipeline.page import plots
from pipeline.report.html.limits import MAX_LINES, NUM_BINS
from pipeline.report.html.signals import GONE_ELSEWHERE, GONE_HERE, KEPT_BY_ALL, Limit, SignalSurvey
from pipeline.report.html.words import limit, share, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_RANGE = 50  # a signal whose 99th percentile is so many times its median has a log axis


@dataclass(frozen=True, slots=True)
class Bins:
    """Edges ascending, one more than bins; what lies outside is in the first and last bin."""

    edges: np.ndarray
    is_log: bool

    def counts(self, values: np.ndarray) -> np.ndarray:
        clipped = np.clip(values, self.edges[0], self.edges[-1])
        numbers: np.ndarray = np.histogram(clipped, self.edges)[0]
        return numbers


def bins_of(values: np.ndarray, limits: list[float], *, is_whole: bool) -> Bins:
    """From the 1st to the 99th percentile and to the thresholds, in logs where these are far apart.

    A threshold that lies beyond all values is left out where it would hide them. Bins of whole
    numbers begin half below one, so that none is between two.
    """
    low, middle, high = (float(q) for q in np.percentile(values, (1, 50, 99)))
    near = [x for x in limits if x <= LOG_RANGE * max(high, 1.0)]
    low, high = min([low, *near]), max([high, *near])
    if near and high == max(near) < values.max():
        high += min((high - low) / 10, float(values.max()) - high)
    is_log = low >= 0 and high > LOG_RANGE * max(middle, 1.0)
    if is_log:
        return Bins(np.expm1(np.linspace(np.log1p(low), np.log1p(high), NUM_BINS + 1)), True)
    if is_whole and high - low < 2 * NUM_BINS:
        step = max(1, round((high - low + 1) / NUM_BINS))
        return Bins(np.arange(low - 0.5, high + step + 0.5, step), False)
    if high == low:
        high = low + (abs(low) or 1.0) / 10
    return Bins(np.linspace(low, high, NUM_BINS + 1), False)


def histogram(name: str, survey: SignalSurvey, filter_name: str) -> Markup:
    """A small figure; nothing where there is no value, or only one."""
    values = np.concatenate([np.zeros(0), *survey.values])
    if not len(values) or values.min() == values.max():
        return Markup("")
    fates = np.concatenate([np.zeros(0, np.int8), *survey.fates])
    limits = sorted({one.value for one in survey.limits if _cuts(one, values)})
    bins = bins_of(values, limits, is_whole=survey.is_whole)
    figure, axes = plots.new_small(xlabel=name)
    _bars(axes, bins, values, fates)
    if bins.is_log:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(bins.edges[0], bins.edges[-1])
    _lines(axes, survey, [x for x in limits if bins.edges[0] <= x <= bins.edges[-1]])
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_ylim(bottom=0)
    _few_ticks(axes)
    return plots.draw(figure, label=_label(filter_name, name, survey, len(values)))


def _cuts(one: Limit, values: np.ndarray) -> bool:
    """Whether a threshold could cut anything: at least 0 of a count is none."""
    return not one.is_minimum or one.value > float(values.min())


def _bars(axes: "Axes", bins: Bins, values: np.ndarray, fates: np.ndarray) -> None:
    """One outline each, not one on another: each is read against the axis."""
    for fate, colour, fills, word in (
        (KEPT_BY_ALL, "c0", True, "kept"),
        (GONE_ELSEWHERE, "c7", False, "removed by others"),
        (GONE_HERE, "bad", True, "removed here"),
    ):
        counts = bins.counts(values[fates == fate])
        if not counts.any():
            continue
        axes.stairs(
            counts,
            bins.edges,
            fill=fills,
            alpha=0.65 if fills else 1.0,
            color=plots.ROLES[colour],
            linewidth=0 if fills else 1.2,
            label=word,
        )


def _lines(axes: "Axes", survey: SignalSurvey, limits: list[float]) -> None:
    for value in limits[:MAX_LINES]:
        axes.axvline(value, color=plots.ROLES["ink"], linewidth=1.2, linestyle=(0, (4, 2)))


def _few_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

    plain = FuncFormatter(lambda value, _: short(value))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(plain)
    if axes.get_xscale() == "symlog":
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1.0))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(plain)


def _label(filter_name: str, name: str, survey: SignalSurvey, num_values: int) -> str:
    told = [
        f"{'at least' if one.is_minimum else 'at most'} {limit(one.value)} is asked for, which "
        f"{share(sides.num_outside, num_values) or '0 %'} of the documents are not"
        for one, sides in survey.limits.items()
    ]
    thresholds = "; ".join(told[:MAX_LINES]) or "it has no threshold"
    return f"Histogram of {filter_name}.{name} over {num_values:,} documents: {thresholds}."
