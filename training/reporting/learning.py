"""What was learned and what was forgotten: losses, perplexities with intervals, and the path."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, paragraph, table, tabs
from pipeline.page.plots import ROLES, draw, new_axes, series
from training.reporting.curves import (
    HEIGHT,
    MAX_CURVES,
    add_legend,
    figure_of_columns,
    in_legend,
    left_out,
    several,
)
from training.reporting.numbers import figure, percent
from training.reporting.reading import RunFiles
from training.reporting.roles import kept_and_learned

INTERVALS = (
    "Bands are 95 % bootstrap intervals of the change against the first evaluation of the same "
    "documents (resampled with both of their losses), put on the perplexity that was measured then."
)


def learning_section(run: RunFiles) -> Section:
    """Validation by source and domain over the run, and the training loss."""
    panels = [
        ("Perplexity", perplexities(run)),
        ("Change of perplexity", changes(run)),
        ("Training loss", training_losses(run)),
    ]
    return Section(
        id="learning",
        title="Loss and perplexity",
        lead=learning_lead(run),
        body=several(
            [score_table(run), tabs("loss and perplexity", [p for p in panels if p[1]])],
            "The run has written no step and no evaluation.",
        )
        if any(body for _, body in panels)
        else paragraph("The run has written no step and no evaluation."),
    )


def learning_lead(run: RunFiles) -> str:
    """One sentence: what the last evaluation says."""
    if not run.evaluations:
        return "Nothing was validated: the shards have no validation rows, or none was reached."
    sentences = []
    for name in measured(run):
        change = run.scores(name)[-1][1].get("perplexity_change_percent")
        if change is not None and run.evaluations[-1]["step"] > 0:
            sentences.append(f"{name} {percent(change['value'])}{verdict(change)}")
    step = run.evaluations[-1]["step"]
    if not sentences:
        return f"Validated at step {step}; there is nothing to compare it with yet."
    return f"Perplexity at step {step} against the first evaluation: {'; '.join(sentences)}."


def verdict(change: Mapping[str, float | None]) -> str:
    """What the interval says."""
    low, high = change.get("low"), change.get("high")
    if low is None or high is None:
        return " (too few documents for an interval)"
    if low <= 0 <= high:
        return " (within its interval of no change)"
    return ""


def measured(run: RunFiles) -> list[str]:
    """Sources and domains that were validated, as they first came."""
    found = [
        name
        for each in run.evaluations
        for group in ("sources", "domains")
        for name in each.get(group, {})
    ]
    return list(dict.fromkeys(found))


def score_table(run: RunFiles) -> Markup:
    """Before and after, by source and domain."""
    if not measured(run):
        return Markup("")
    rows = [
        Row(cells=score_cells(name, run.scores(name)[0][1], run.scores(name)[-1][1]))
        for name in measured(run)
    ]
    titles = ("perplexity", "after", "change", "95 % interval", "bits/byte", "after")
    columns = [Column(title="source"), *(Column(title=each, is_number=True) for each in titles)]
    first, last = run.evaluations[0]["step"], run.evaluations[-1]["step"]
    caption = f"Validation at step {first:,} and after, at step {last:,}"
    return table(columns, rows, caption=caption)


def score_cells(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line of the table."""
    change = after.get("perplexity_change_percent") or {}
    return [
        name,
        figure(before.get("perplexity")),
        figure(after.get("perplexity")),
        percent(change.get("value")),
        f"{percent(change.get('low'))} to {percent(change.get('high'))}",
        figure(before.get("bits_per_byte")),
        figure(after.get("bits_per_byte")),
    ]


def perplexities(run: RunFiles) -> Markup:
    """Perplexity over steps, with the intervals of their changes."""
    names = measured(run)
    if not names:
        return Markup("")
    drawn, axes = new_axes(HEIGHT, xlabel="step", ylabel="perplexity")
    for number, name in enumerate(names[:MAX_CURVES]):
        scores = run.scores(name)
        values = column([score for _, score in scores], "perplexity")
        low, high = (interval(scores, end) for end in ("low", "high"))
        draw_with_band(axes, [step for step, _ in scores], values, low, high, number, name)
    add_legend(axes)
    label = f"Validation perplexity of {', '.join(names)} over the steps"
    return draw(drawn, label=label, caption=f"{INTERVALS} {left_out(names)}")


def changes(run: RunFiles) -> Markup:
    """Change of the perplexity in percent over steps, with its intervals."""
    names = [n for n in measured(run) if "perplexity_change_percent" in run.scores(n)[-1][1]]
    if not names:
        return Markup("")
    drawn, axes = new_axes(HEIGHT, xlabel="step", ylabel="change of perplexity, %")
    axes.axhline(0, color=ROLES["muted"], linewidth=0.9)
    for number, name in enumerate(names[:MAX_CURVES]):
        scores = [(s, v) for s, v in run.scores(name) if "perplexity_change_percent" in v]
        value, low, high = (change_column(scores, end) for end in ("value", "low", "high"))
        draw_with_band(axes, [step for step, _ in scores], value, low, high, number, name)
    add_legend(axes)
    label = f"Change of validation perplexity of {', '.join(names)} over the steps"
    return draw(drawn, label=label, caption="Below 0: better. Bands are 95 % intervals.")


def draw_with_band(
    axes: Any,
    steps: Sequence[int],
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    number: int,
    name: str,
) -> None:
    """A curve of evaluations: each is a point."""
    colour = series(number)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, values, color=colour, marker="o", markersize=3.5, label=in_legend(name))


def interval(scores: Sequence[tuple[int, Mapping[str, Any]]], end: str) -> np.ndarray:
    """One end of the perplexity's band: the first perplexity, changed by that end."""
    first = scores[0][1].get("perplexity")
    changed = change_column(scores, end)
    return (np.nan if first is None else first) * (1 + changed / 100)


def change_column(scores: Sequence[tuple[int, Mapping[str, Any]]], end: str) -> np.ndarray:
    """One figure of the changes; NaN where there is none."""
    return column([score.get("perplexity_change_percent") or {} for _, score in scores], end)


def column(scores: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """A figure of each, NaN for null."""
    return np.array([np.nan if s.get(name) is None else s[name] for s in scores], dtype=float)


def training_losses(run: RunFiles) -> Markup:
    """The loss of each step, and that of the tokens of each source."""
    columns = {"all": run.steps.get("loss")} | run.steps.under("sources")
    return figure_of_columns(
        run.steps,
        columns,
        ylabel="nats per target",
        label="Training loss over the steps, of all targets and by source",
        caption="“all” is the objective, with all of its terms.",
    )


def forgetting_section(run: RunFiles) -> Section | None:
    """The path of the run: what must stay against what is learned; None for one evaluation."""
    kept, learned = kept_and_learned(run)
    pairs = [(k, n) for k in kept for n in learned][:6]
    panels = [(f"{k} against {n}", path(run, k, n)) for k, n in pairs]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return None
    return Section(
        id="forgetting",
        title="Forgetting against learning",
        lead="Each point is an evaluation, from the first one at the cross to the ringed last one. "
        "Left is learned, up is forgotten.",
        body=tabs("what stays against what is learned", panels)
        if len(panels) > 1
        else panels[0][1],
    )


def path(run: RunFiles, kept: str, learned: str) -> Markup:
    """Change of the one's perplexity against that of the other, evaluation by evaluation."""
    first, second = dict(run.scores(learned)), dict(run.scores(kept))
    steps = [s for s in first if s in second]
    x = change_column([(s, first[s]) for s in steps], "value")
    y = change_column([(s, second[s]) for s in steps], "value")
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 2:
        return Markup("")
    drawn, axes = new_axes(300.0, xlabel=f"{learned}: change of perplexity, %")
    axes.set_ylabel(f"{kept}: change of perplexity, %")
    axes.axhline(0, color=ROLES["muted"], linewidth=0.9)
    axes.axvline(0, color=ROLES["muted"], linewidth=0.9)
    limit = run.config.get("gate", {}).get(kept)
    is_near = limit is not None and 100 * limit < 3 * max(1.0, np.nanmax(np.abs(y)))
    if is_near:
        axes.axhline(100 * limit, color=ROLES["bad"], linestyle="--", linewidth=1.2)
    axes.plot(x, y, color=series(0), marker="o", markersize=4)
    draw_last(axes, first[steps[-1]], second[steps[-1]])
    for number in named_points(len(steps)):
        axes.annotate(f" {steps[number]}", (x[number], y[number]), va="bottom")
    axes.plot([0], [0], marker="+", markersize=12, color=ROLES["ink"], linestyle="")
    gate = " Broken: the gate." if is_near else ""
    label = f"Change of {kept} against change of {learned} at {len(steps)} evaluations"
    return draw(drawn, label=label, caption=f"Numbers are steps; bars are 95 % intervals.{gate}")


def draw_last(axes: Any, x: Mapping[str, Any], y: Mapping[str, Any]) -> None:
    """The last point with its intervals, where they are finite."""
    across, up = x["perplexity_change_percent"], y["perplexity_change_percent"]
    if None not in (across["low"], across["high"]):
        axes.hlines(up["value"], across["low"], across["high"], color=ROLES["ink"], linewidth=1)
    if None not in (up["low"], up["high"]):
        axes.vlines(across["value"], up["low"], up["high"], color=ROLES["ink"], linewidth=1)
    axes.plot(
        [across["value"]],
        [up["value"]],
        marker="o",
        markersize=10,
        markerfacecolor="none",
        color=ROLES["ink"],
    )


def named_points(count: int) -> list[int]:
    """At most 8 points, the last one always."""
    stride = max(1, -(-count // 8))
    return sorted({*range(count - 1, 0, -stride)})
