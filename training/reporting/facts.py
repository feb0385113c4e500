"""What the run is in short, its gate and tasks, and what it was made of."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, code, details, join, paragraph, table, tiles
from pipeline.page.plots import draw, new_axes, series
from training.reporting.curves import HEIGHT, MAX_CURVES, add_legend, in_legend, left_out
from training.reporting.learning import measured
from training.reporting.numbers import count, duration, figure, percent
from training.reporting.reading import RunFiles
from training.reporting.speed import median_speed, seconds_by_kind

STATUS = {
    "finished": ("good", "The run is done."),
    "gate": ("bad", "A gate stopped the run."),
    "diverged": ("bad", "The run diverged: five steps in a row were not finite."),
    "unfinished": ("note", "The run is not done: it is going on, or was stopped."),
}


def overview_section(run: RunFiles) -> Section:
    """The figures that matter, and how the run ended."""
    kind, text = STATUS[run.status]
    failure = run.outcome.get("gate_failure")
    parts = [paragraph(f"{text} {failure}" if failure else text, kind), tiles(facts(run))]
    if not run.record:
        told = "The run was made by a version that wrote no run.json: config and mix are not known."
        parts.append(paragraph(told))
    return Section(id="overview", title="Overview", body=join(parts))


def facts(run: RunFiles) -> list[tuple[str, str, str]]:
    """Name, value, a word on it."""
    steps = run.steps
    total = "" if run.num_steps is None else f"of {run.num_steps:,}"
    losses = steps.get("loss")[np.isfinite(steps.get("loss"))]
    found = [
        ("steps", f"{run.last_step:,}", total),
        ("tokens", count(float(np.nansum(steps.get("num_tokens")))), "seen in training"),
        ("training loss", figure(losses[-1] if len(losses) else None), first_loss(losses)),
        ("tokens/s", count(median_speed(run)), "median step"),
        ("time", duration(sum(seconds_by_kind(run).values()) or None), parts_of(run)),
    ]
    for name in measured(run)[:MAX_CURVES]:
        step, score = run.scores(name)[-1]
        change = (score.get("perplexity_change_percent") or {}).get("value")
        said = f"{percent(change)} at step {step:,}" if step else "at step 0"
        found.append((f"perplexity, {name}", figure(score.get("perplexity")), said))
    return found


def first_loss(losses: np.ndarray) -> str:
    """What it was at first."""
    return f"{losses[0]:.3f} at first" if len(losses) else ""


def parts_of(run: RunFiles) -> str:
    """How often the run was started."""
    parts = len(run.record.get("parts", ()))
    return f"in {parts} parts" if parts > 1 else ""


def gate_section(run: RunFiles) -> Section | None:
    """Limits and what the last evaluation found; None without a gate."""
    limits = run.config.get("gate") or {}
    values = run.outcome.get("gate") or {}
    if not limits and not values:
        return None
    rows = [Row(cells=gate_cells(run, name, limits, values)) for name in {**limits, **values}]
    columns = [Column(title="source")] + [
        Column(title=title, is_number=True) for title in ("limit", "change", "95 % interval")
    ]
    return Section(
        id="gate",
        title="Gate",
        lead="The run stops where a perplexity rose by more than this, by the point estimate.",
        body=table([*columns, Column(title="passed")], rows, caption="Gate"),
    )


def gate_cells(
    run: RunFiles, name: str, limits: Mapping[str, float], values: Mapping[str, Any]
) -> list[str]:
    """One line: of the outcome, or of the last evaluation of a run that is not done."""
    scores = run.scores(name)
    change = (scores[-1][1].get("perplexity_change_percent") if scores else None) or {}
    limit = values.get(name, {}).get("limit_percent", 100 * limits.get(name, float("nan")))
    value = change.get("value")
    passed = "-" if value is None else "yes" if value <= limit else "no"
    interval = f"{percent(change.get('low'))} to {percent(change.get('high'))}"
    return [name, percent(limit), percent(value), interval, passed]


def tasks_section(run: RunFiles) -> Section | None:
    """The tasks of `lm_eval`; None where there were none."""
    if not run.tasks:
        return None
    found: dict[str, list[tuple[int, float]]] = {}
    for line in run.tasks:
        for task, metrics in line["tasks"].items():
            for metric, value in metrics.items():
                if value is not None:
                    found.setdefault(f"{task} {metric}", []).append((line["step"], value))
    rows = [
        Row(
            cells=[
                name,
                f"{points[0][0]:,}",
                figure(points[0][1]),
                f"{points[-1][0]:,}",
                figure(points[-1][1]),
            ]
        )
        for name, points in found.items()
    ]
    titles = ("first step", "first", "last step", "last")
    columns = [Column(title="task"), *(Column(title=t, is_number=True) for t in titles)]
    body = table(columns, rows, caption="Tasks")
    if any(len(points) > 1 for points in found.values()):
        body = task_figure(found) + body
    return Section(id="tasks", title="Tasks", lead="Of lm_eval, on the model in memory.", body=body)


def task_figure(found: Mapping[str, list[tuple[int, float]]]) -> Markup:
    """The metrics over the steps."""
    drawn, axes = new_axes(HEIGHT, xlabel="step", ylabel="metric")
    for number, (name, points) in enumerate(list(found.items())[:MAX_CURVES]):
        axes.plot(
            *zip(*points, strict=True),
            color=series(number),
            marker="o",
            markersize=3.5,
            label=in_legend(name),
        )
    add_legend(axes)
    label = "Metrics of the tasks over the steps"
    return draw(drawn, label=label, caption=left_out(list(found)))


def origin_section(run: RunFiles) -> Section:
    """Config, versions, fingerprints, and the parts of a run that was resumed."""
    record = run.record
    if not record:
        return Section(
            id="origin", title="Config and origin", body=paragraph("The run wrote no run.json.")
        )
    model = record.get("model", {})
    rows = [Row(cells=["model", str(model.get("path")), str(model.get("fingerprint") or "-")])]
    for shards in record.get("shards", ()):
        rows.append(Row(cells=["shards", shards["path"], shards["fingerprint"]]))
        rows.append(Row(cells=["tokenizer", shards["path"], shards["tokenizer"]]))
    named = [Column(title="what"), Column(title="where"), Column(title="fingerprint")]
    parts = [
        Row(
            cells=[f"{part['step']:,}", part["started"], str(part["num_processes"]), part["device"]]
        )
        for part in record.get("parts", ())
    ]
    started = [
        Column(title="from step", is_number=True),
        Column(title="started"),
        Column(title="processes", is_number=True),
        Column(title="device"),
    ]
    versions = [Row(cells=[name, value]) for name, value in record.get("versions", {}).items()]
    return Section(
        id="origin",
        title="Config and origin",
        body=join(
            [
                table(named, rows, caption="Model, shards and tokenizer"),
                table(started, parts, caption="Parts of the run"),
                table(
                    [Column(title="library"), Column(title="version")],
                    versions,
                    caption="Versions of the last part",
                ),
                details("Config, with all defaults", code(json.dumps(run.config, indent=1))),
            ]
        ),
    )
