"""How fast the run was, and where its time went."""

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, table, tabs
from training.reporting.curves import figure_of_columns, several
from training.reporting.numbers import duration
from training.reporting.reading import RunFiles

KINDS = {
    "evaluation_seconds": "validation",
    "samples_seconds": "samples",
    "checkpoint_seconds": "waiting for checkpoints",
}


def speed_section(run: RunFiles) -> Section | None:
    """None for a run without a step."""
    if not len(run.steps):
        return None
    steps = run.steps
    panels = [
        (
            "Tokens/s",
            figure_of_columns(
                steps,
                {"tokens/s": steps.get("tokens_per_second")},
                ylabel="tokens per second",
                label="Tokens per second over the steps",
                caption="Real tokens, padding left aside, of all processes.",
            ),
        ),
        (
            "MFU",
            figure_of_columns(
                steps,
                {"MFU": 100 * steps.get("mfu")},
                ylabel="% of the peak",
                label="Model FLOPs utilisation over the steps",
                caption="Of the devices' peak in dense bf16.",
            ),
        ),
        (
            "Waiting for data",
            figure_of_columns(
                steps,
                {"waiting": 100 * steps.get("data_fraction")},
                ylabel="% of the step",
                label="Share of each step that waits for data",
            ),
        ),
        (
            "Memory",
            figure_of_columns(
                steps,
                {"memory": steps.get("peak_memory_bytes") / 1e9},
                ylabel="GB, greatest so far",
                label="Peak memory over the steps",
                caption="Of the main process, or of its GPU.",
            ),
        ),
    ]
    return Section(
        id="speed",
        title="Throughput",
        lead=speed_lead(run),
        body=several(
            [tabs("throughput", [panel for panel in panels if panel[1]]), time_table(run)],
            "No time was written.",
        ),
    )


def median_speed(run: RunFiles) -> float:
    """Tokens per second of the median step; NaN where none is known."""
    speeds = run.steps.get("tokens_per_second")
    finite = speeds[np.isfinite(speeds)]
    return float(np.median(finite)) if len(finite) else float("nan")


def speed_lead(run: RunFiles) -> str:
    """The median step in a sentence."""
    speed = median_speed(run)
    if not np.isfinite(speed):
        return "The run did not write how fast it was."
    mfu = run.steps.get("mfu")
    known = f", {100 * np.nanmedian(mfu):.0f} % MFU" if np.isfinite(mfu).any() else ""
    waits = run.steps.get("data_fraction")
    waited = (
        f"; {100 * np.nanmedian(waits):.1f} % of a step waits for data"
        if np.isfinite(waits).any()
        else ""
    )
    return f"{speed:,.0f} tokens/s in the median step{known}{waited}."


def seconds_by_kind(run: RunFiles) -> dict[str, float]:
    """Where the measured time went; the first steps of a process compile and are slower."""
    seconds = run.steps.get("seconds")
    waiting = np.nansum(seconds * run.steps.get("data_fraction"))
    total = {
        "steps": float(np.nansum(seconds) - waiting),
        "waiting for data": float(waiting),
    }
    total |= {title: run.seconds[name] for name, title in KINDS.items() if name in run.seconds}
    return {name: value for name, value in total.items() if value > 0}


def time_table(run: RunFiles) -> Markup:
    """Seconds of each kind, and their share."""
    parts = seconds_by_kind(run)
    total = sum(parts.values())
    if not total:
        return Markup("")
    rows = [
        Row(cells=[name, duration(value), f"{100 * value / total:.1f} %"])
        for name, value in sorted(parts.items(), key=lambda part: -part[1])
    ]
    rows.append(Row(cells=["in all", duration(total), "100 %"], kind="total"))
    columns = [
        Column(title="what"),
        Column(title="time", is_number=True),
        Column(title="share", is_number=True),
    ]
    return table(columns, rows, caption="Where the time went, loading and start-up left aside")
