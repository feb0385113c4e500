"""Two runs on one page: what differs, curves over each other, samples side by side."""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from pipeline.page.document import Section, render, write_page
from pipeline.page.elements import (
    Column,
    Row,
    heading,
    join,
    paragraph,
    sample,
    table,
    tabs,
)
from pipeline.page.elements import (
    pair as side_by_side,
)
from pipeline.page.plots import ROLES, draw, new_axes, series
from training.reporting.comparing import Pair, same_prompts, sentences, tables
from training.reporting.curves import (
    HEIGHT,
    MAX_CURVES,
    add_legend,
    curve_over_steps,
    in_legend,
    left_out,
)
from training.reporting.learning import change_column, column, draw_with_band
from training.reporting.page import drawn_or_said
from training.reporting.written import continued

TEXT_TABLES = ("Config", "Made of")


def write_comparison(pair: Pair, target: Path) -> Path:
    """Write the page. Raises `ReportError` without matplotlib."""
    write_page(target, drawn_or_said(target, lambda: comparison_page(pair)))
    return target


def comparison_page(pair: Pair) -> str:
    """The page as text."""
    parts = {title: one_table(pair, title) for title, _, rows in tables(pair) if rows}
    made = join(parts[title] for title in TEXT_TABLES if title in parts)
    results = join(part for title, part in parts.items() if title not in TEXT_TABLES)
    sections = [
        Section(id="says", title="In short", body=join(map(paragraph, sentences(pair)))),
        Section(id="changed", title="What differs", body=made or paragraph("Nothing.")),
        Section(id="curves", title="Curves", body=curves(pair)),
        Section(id="results", title="Results", body=results),
    ]
    if same_prompts(pair):
        sections.append(Section(id="samples", title="Samples", body=samples(pair)))
    first, second = pair.names
    return render(title=f"{first} and {second}", subtitle="two runs of train", sections=sections)


def one_table(pair: Pair, title: str) -> Markup:
    """A table of the terminal as one of the page."""
    _, headings, rows = next(each for each in tables(pair) if each[0] == title)
    columns = [
        Column(title=name, is_number=number > 0 and title not in TEXT_TABLES and name != "measure")
        for number, name in enumerate(headings)
    ]
    return table(columns, [Row(cells=row) for row in rows], caption=title)


def curves(pair: Pair) -> Markup:
    """Perplexity, its change, and the training loss of both."""
    panels = [
        ("Perplexity", validation(pair, is_change=False)),
        ("Change of perplexity", validation(pair, is_change=True)),
        ("Training loss", training(pair)),
    ]
    panels = [panel for panel in panels if panel[1]]
    return tabs("curves", panels) if panels else paragraph("Neither run has written a step.")


def validation(pair: Pair, *, is_change: bool) -> Markup:
    """A colour for each source; the second run is broken, and without a band."""
    names = [result.name for result in pair.results]
    if not names:
        return Markup("")
    ylabel = "change of perplexity, %" if is_change else "perplexity"
    figure, axes = new_axes(HEIGHT, xlabel="step", ylabel=ylabel)
    for number, name in enumerate(names[:MAX_CURVES]):
        for run, style, of in ((pair.a, "-", pair.names[0]), (pair.b, "--", pair.names[1])):
            scores = run.scores(name)
            steps, label = [step for step, _ in scores], f"{name}, {of}"
            values = column([score for _, score in scores], "perplexity")
            if is_change and style == "-":
                value, low, high = (change_column(scores, e) for e in ("value", "low", "high"))
                draw_with_band(axes, steps, value, low, high, number, label)
                continue
            shown = change_column(scores, "value") if is_change else values
            axes.plot(
                steps,
                shown,
                style,
                color=series(number),
                marker="o",
                markersize=3,
                label=in_legend(label),
            )
    add_legend(axes)
    label = f"{ylabel} of {', '.join(names)} in both runs over the steps"
    return draw(
        figure,
        label=label,
        caption=f"Whole: {pair.names[0]}. Broken: {pair.names[1]}. {left_out(names)}",
    )


def training(pair: Pair) -> Markup:
    """The objective of both; not comparable where its terms differ, which the config says."""
    if not (len(pair.a.steps) and len(pair.b.steps)):
        return Markup("")
    figure, axes = new_axes(HEIGHT, xlabel="step", ylabel="objective")
    notes = []
    for run, name, colour in ((pair.a, pair.names[0], "c0"), (pair.b, pair.names[1], "c1")):
        losses = run.steps.get("loss")
        if np.isfinite(losses).any():
            notes.append(
                curve_over_steps(axes, run.steps.numbers, losses, colour=ROLES[colour], label=name)
            )
    add_legend(axes)
    return draw(figure, label="Training loss of both runs", caption=" ".join(dict.fromkeys(notes)))


def samples(pair: Pair) -> Markup:
    """The last text of each run for each prompt of both."""
    parts = []
    for number, (first, second) in enumerate(same_prompts(pair), 1):
        parts.append(heading(f"{number}. {first.get('source') or 'prompt of the config'}"))
        texts = [
            paragraph(f"{name}, step {line['step']}") + sample(continued(line, line["text"]))
            for name, line in zip(pair.names, (first, second), strict=True)
        ]
        parts.append(side_by_side(*texts))
    return join(parts)
