"""How the weights moved: learning rate, gradient norm, terms, and what went wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, paragraph, table, tabs
from pipeline.page.plots import ROLES, draw, new_axes
from training.reporting.curves import (
    HEIGHT,
    curve_over_steps,
    figure_of_columns,
    mark_steps,
    scale_by_logarithm,
    several,
)
from training.reporting.numbers import figure
from training.reporting.reading import RunFiles

MAX_EVENTS = 100  # rows of the table; how many there are is said
ONE_OF = {
    "spikes": "spike",
    "refused steps": "refused step",
    "overflows of the loss scale": "overflow of the loss scale",
    "steps passed over": "step passed over",
    "rewinds": "rewind",
}


def optimisation_section(run: RunFiles) -> Section | None:
    """None for a run without a step."""
    if not len(run.steps):
        return None
    panels = [
        ("Gradient norm", gradient_norms(run)),
        ("Learning rate", learning_rates(run)),
        ("Terms of the objective", terms(run)),
        ("Metrics of the objectives", metrics(run)),
    ]
    return Section(
        id="optimisation",
        title="Optimisation",
        lead=events_lead(run),
        body=several(
            [tabs("optimisation", [panel for panel in panels if panel[1]]), event_table(run)],
            "No figure was written.",
        ),
    )


def gradient_norms(run: RunFiles) -> Markup:
    """The norm before clipping, with where it is clipped, and lines where steps went wrong."""
    norms = run.steps.get("grad_norm")
    if not np.isfinite(norms).any():
        return Markup("")
    drawn, axes = new_axes(HEIGHT, xlabel="step", ylabel="norm before clipping")
    how = curve_over_steps(axes, run.steps.numbers, norms, colour=ROLES["c0"])
    limit = run.config.get("max_grad_norm")
    if limit:
        axes.axhline(limit, color=ROLES["muted"], linestyle="--", linewidth=1)
    if (norms[np.isfinite(norms)] > 0).all():
        scale_by_logarithm(axes)
    marked = [event_step(each) for each in run.events if each["kind"] != "control"]
    mark_steps(axes, marked[:MAX_EVENTS])
    clipped = f" Broken: clipped to {limit:g}." if limit else ""
    dotted = " Dotted: spikes, and steps refused or passed over." if marked else ""
    caption = f"{how}{clipped}{dotted}"
    return draw(drawn, label="Norm of the gradient over the steps", caption=caption.strip())


def learning_rates(run: RunFiles) -> Markup:
    """The learning rate of each step."""
    return figure_of_columns(
        run.steps,
        {"learning rate": run.steps.get("learning_rate")},
        ylabel="learning rate",
        label="Learning rate over the steps",
    )


def terms(run: RunFiles) -> Markup:
    """The terms of an objective that has several."""
    return figure_of_columns(
        run.steps,
        run.steps.under("terms"),
        ylabel="mean over the units",
        label="Terms of the objective over the steps",
        caption="Before their weights.",
        is_log=True,
    )


def metrics(run: RunFiles) -> Markup:
    """What objectives measure beside their loss."""
    return figure_of_columns(
        run.steps,
        run.steps.under("metrics"),
        ylabel="mean over the units",
        label="Metrics of the objectives over the steps",
    )


def num_rewinds(run: RunFiles) -> int:
    """How often the run went back: each time the control log skips rows."""
    return sum(1 for each in run.events if (each.get("event") or {}).get("kind") == "skip")


def counted_events(run: RunFiles) -> dict[str, int]:
    """How many of each kind."""
    kinds = [each["kind"] for each in run.events]
    return {
        "spikes": kinds.count("spike"),
        "refused steps": kinds.count("skipped"),
        "overflows of the loss scale": int(np.nansum(run.steps.get("overflowed"))),
        "steps passed over": kinds.count("passed"),
        "rewinds": num_rewinds(run),
    }


def events_lead(run: RunFiles) -> str:
    """One sentence on what went wrong."""
    happened = [
        f"{num:,} {ONE_OF[name] if num == 1 else name}"
        for name, num in counted_events(run).items()
        if num
    ]
    return f"{', '.join(happened)}." if happened else "No spike, no refused step, no rewind."


def event_table(run: RunFiles) -> Markup:
    """What happened, step by step."""
    if not run.events:
        return Markup("")
    rows = [
        Row(cells=[f"{event_step(each):,}", each["kind"], event_text(each)])
        for each in sorted(run.events[:MAX_EVENTS], key=event_step)
    ]
    columns = [Column(title="step", is_number=True), Column(title="what"), Column(title="details")]
    more = len(run.events) - MAX_EVENTS
    told = paragraph(f"{more:,} more are in metrics.jsonl.") if more > 0 else Markup("")
    return table(columns, rows, caption="What happened") + told


def event_step(event: Mapping[str, Any]) -> int:
    """Where it happened; the line of a spike that the run went back on has the step after that."""
    step: int = event.get("at_step", event["step"])
    return step


def event_text(event: Mapping[str, Any]) -> str:
    """The details of an event in words."""
    if event["kind"] == "skipped":
        return str(event.get("reason", ""))
    if event["kind"] == "spike":
        back = f"; the run went back to step {event['step']:,}" if "at_step" in event else ""
        return f"loss {figure(event.get('loss'))}{back}"
    if event["kind"] == "passed":
        return f"{event.get('num_rows')} rows from row {event.get('first_row')} of the stream"
    known = event.get("event") or {}
    return ", ".join(f"{key}: {value}" for key, value in known.items())
