"""What the figures of a run have in common: curves over steps, in the colours of the sources."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from pipeline.page.elements import join, paragraph
from pipeline.page.plots import ROLES, draw, new_axes, series
from training.reporting.buckets import bucketed, note
from training.reporting.reading import Steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 240.0
MAX_CURVES = 8  # as many colours as can be told apart


def curve_over_steps(
    axes: "Axes", steps: np.ndarray, values: np.ndarray, *, colour: str, label: str = ""
) -> str:
    """Draw a column of the steps; returns what the caption is to say of it."""
    curve = bucketed(steps, values)
    if not curve.is_exact:
        axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.22, linewidth=0)
    marker = "o" if np.isfinite(curve.mean).sum() == 1 else ""
    axes.plot(
        curve.steps, curve.mean, color=colour, label=in_legend(label), marker=marker, markersize=4
    )
    return note(curve)


def figure_of_columns(
    steps: Steps,
    columns: Mapping[str, np.ndarray],
    *,
    ylabel: str,
    label: str,
    caption: str = "",
    is_log: bool = False,
) -> Markup:
    """One figure of several columns of the steps, or nothing where none has a finite value."""
    shown = {name: each for name, each in columns.items() if np.isfinite(each).any()}
    if not shown:
        return Markup("")
    figure, axes = new_axes(HEIGHT, xlabel="step", ylabel=ylabel)
    for number, (name, values) in enumerate(list(shown.items())[:MAX_CURVES]):
        how = curve_over_steps(axes, steps.numbers, values, colour=series(number), label=name)
    if is_log and all((values[np.isfinite(values)] > 0).all() for values in shown.values()):
        scale_by_logarithm(axes)
    if len(shown) > 1:
        add_legend(axes)
    said = " ".join(part for part in (caption, how, left_out(list(shown))) if part)
    return draw(figure, label=label, caption=said)


def left_out(names: Sequence[str]) -> str:
    """What the caption says where there are more curves than colours."""
    more = len(names) - MAX_CURVES
    return f"The first {MAX_CURVES} of {len(names)} are drawn." if more > 0 else ""


def in_legend(name: str) -> str:
    """A name as the label of a curve: matplotlib leaves out of legends what begins with `_`."""
    return f" {name}" if name.startswith("_") else name


def add_legend(axes: "Axes") -> None:
    """The names of the curves, in the page's ink."""
    axes.legend(loc="best", frameon=False, labelcolor=ROLES["ink"])


def scale_by_logarithm(axes: "Axes") -> None:
    """Upright; the numbers as plain text, which the page's fonts have."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def mark_steps(axes: "Axes", steps: Sequence[int], role: str = "bad") -> None:
    """Thin upright lines where something happened."""
    for step in steps:
        axes.axvline(step, color=ROLES[role], linewidth=0.8, linestyle=":")


def several(parts: Sequence[Markup], nothing: str) -> Markup:
    """The parts that there are, or a sentence that there are none."""
    there = [part for part in parts if part]
    return join(there) if there else paragraph(nothing)
