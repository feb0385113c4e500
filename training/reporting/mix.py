"""The planned mix and the realised one: shares of the learned tokens, source by source."""

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, join, table
from pipeline.page.plots import draw, new_axes, series
from training.reporting.buckets import bucketed, summed
from training.reporting.curves import HEIGHT, MAX_CURVES, add_legend, in_legend, left_out
from training.reporting.numbers import count
from training.reporting.reading import RunFiles

MAX_MIX_POINTS = 24  # of a share: a batch has few rows, and their sources jump about


def mix_section(run: RunFiles) -> Section | None:
    """None where the run has written neither."""
    planned = run.record.get("planned_mix")
    realised = realised_targets(run)
    if not planned and not realised:
        return None
    return Section(
        id="mix",
        title="Mix",
        lead="What the config planned for each source, and what the steps took.",
        body=join([mix_figure(run), mix_table(run)]),
    )


def realised_targets(run: RunFiles) -> dict[str, np.ndarray]:
    """Learned tokens of each step, by source; of a run whose losses are not of tokens: none.

    A step that was refused, or overflowed, has learned nothing.
    """
    steps = run.steps
    stayed = (steps.get("refused") == 1) | (steps.get("overflowed") == 1)
    return {
        name: np.where(stayed, 0.0, each)
        for name, each in steps.under("source_targets").items()
        if np.nansum(each) > 0
    }


def realised_shares(run: RunFiles) -> dict[str, float]:
    """Share of all learned tokens, by source."""
    targets = {name: float(np.nansum(each)) for name, each in realised_targets(run).items()}
    total = sum(targets.values())
    return {name: value / total for name, value in targets.items()} if total else {}


def planned_shares(run: RunFiles) -> dict[str, float]:
    """The mean planned weight over the steps that the run has done, by source."""
    planned = run.record.get("planned_mix")
    if not planned or not len(run.steps):
        return {}
    places = np.array(planned["steps"])
    middles = run.steps.numbers - 0.5
    return {
        name: float(np.interp(middles, places, weights).mean())
        for name, weights in planned["weights"].items()
    }


def mix_figure(run: RunFiles) -> Markup:
    """Lines: planned; points with steps: realised."""
    planned = run.record.get("planned_mix") or {"steps": [], "weights": {}}
    realised = realised_targets(run)
    names = list(dict.fromkeys([*planned["weights"], *realised]))
    figure, axes = new_axes(HEIGHT, xlabel="step", ylabel="share of the tokens")
    size = bucketed(run.steps.numbers, run.steps.get("loss"), MAX_MIX_POINTS).size
    total = sum(summed(each, size) for each in realised.values()) if realised else np.empty(0)
    for number, name in enumerate(names[:MAX_CURVES]):
        colour = series(number)
        if name in planned["weights"]:
            weights = planned["weights"][name]
            axes.plot(planned["steps"], weights, color=colour, linestyle="--", linewidth=1.2)
        if name in realised:
            with np.errstate(invalid="ignore", divide="ignore"):
                share = summed(realised[name], size) / total
            middles = bucketed(run.steps.numbers, realised[name], MAX_MIX_POINTS).steps
            axes.plot(middles, share, color=colour, drawstyle="steps-mid", label=in_legend(name))
        else:
            axes.plot([], [], color=colour, label=in_legend(name))
    axes.set_ylim(-0.02, 1.02)
    add_legend(axes)
    how = "" if size == 1 else f" Realised shares are of {size:,} steps together."
    caption = f"Broken: planned. Whole: realised, of the learned tokens.{how} {left_out(names)}"
    label = f"Planned and realised shares of {', '.join(names)} over the steps"
    return draw(figure, label=label, caption=caption)


def mix_table(run: RunFiles) -> Markup:
    """Shares over the steps done, tokens, and how often the rows of a source are seen."""
    planned, realised = planned_shares(run), realised_shares(run)
    targets = realised_targets(run)
    sizes = {each["name"]: each for each in run.record.get("sources", ())}
    names = list(dict.fromkeys([*sizes, *planned, *realised]))
    rows = [
        Row(
            cells=[
                name,
                share(planned.get(name)),
                share(realised.get(name)),
                count(float(np.nansum(targets[name])) if name in targets else None),
                count(sizes.get(name, {}).get("num_tokens")),
                epochs(sizes.get(name)),
            ]
        )
        for name in names
    ]
    titles = ("planned share", "realised share", "learned tokens", "tokens there are")
    columns = [
        Column(title="source"),
        *(Column(title=title, is_number=True) for title in (*titles, "epochs of the whole run")),
    ]
    return table(columns, rows, caption="Over the steps that were done")


def share(value: float | None) -> str:
    """In percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def epochs(size: dict[str, int] | None) -> str:
    """How often the run reads each row of a source, as planned."""
    return "-" if not size else f"{size['num_drawn_rows'] / max(1, size['num_rows']):.2f}"
