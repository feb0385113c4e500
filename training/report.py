"""What a run came to: `forgetting.json`, and the table at its end."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from pipeline.report.visible import visible
from training.measures.bootstrap import FEW_DOCUMENTS, Change, Comparison
from training.measures.gate import gate_values
from training.measures.metrics import json_line


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run came to."""

    step: int
    num_skipped: int
    best_step: int | None
    comparisons: Mapping[str, Comparison]  # by source and domain; empty: nothing was measured
    gate: Mapping[str, float]
    gate_failure: str | None = None


def forgetting(outcome: Outcome) -> dict[str, Any]:
    """Before, after and change of each source, as written to `forgetting.json`."""
    comparisons = dict(sorted(outcome.comparisons.items()))
    sources, joined = (
        {name: _compared(c) for name, c in comparisons.items() if bool(c.strata) == is_domain}
        for is_domain in (False, True)
    )
    return {
        "step": outcome.step,
        "num_skipped": outcome.num_skipped,
        "best_step": outcome.best_step,
        "confidence": 0.95,
        "sources": sources,
        "domains": joined,
        "gate": gate_values(outcome.gate, comparisons),
        "gate_failure": outcome.gate_failure,
    }


def write_forgetting(path: Path, outcome: Outcome) -> None:
    """Write `forgetting.json`, atomically."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text(json_line(forgetting(outcome), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def forgetting_table(outcome: Outcome) -> Table:
    """Perplexity and bits per byte of each source and domain, before and after; 80 columns do."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Validation after {outcome.step} steps, against step 0",
        caption="\n".join(_footnotes(outcome.comparisons)) or None,
        caption_justify="left",
    )
    table.add_column("source", overflow="fold", min_width=8)
    table.add_column("measure", no_wrap=True)
    for heading in ("before", "after", "change %", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, comparison in sorted(outcome.comparisons.items()):
        before, after = comparison.before, comparison.after
        mark = "*" if comparison.few_documents else ""
        change, relative = comparison.perplexity_percent, comparison.loss_percent
        cells = _cells(before.perplexity, after.perplexity, change)
        table.add_row(f"{escape(visible(name))}{mark}", "perplexity", *cells)
        cells = _cells(before.bits_per_byte, after.bits_per_byte, relative)
        table.add_row("", "bits/byte", *cells, end_section=True)
    return table


def _compared(comparison: Comparison) -> dict[str, Any]:
    """One source: each measure with its change, and the 95 % intervals as [low, high]."""
    before, after = comparison.before, comparison.after
    percents = {
        "loss": comparison.loss_percent,
        "perplexity": comparison.perplexity_percent,
        "bits_per_byte": comparison.loss_percent,
    }
    values: dict[str, Any] = {
        name: {
            "before": getattr(before, name),
            "after": getattr(after, name),
            "change_percent": percent.value,
            "change_percent_interval": [percent.low, percent.high],
        }
        for name, percent in percents.items()
    }
    for name in ("loss", "bits_per_byte"):
        change: Change = getattr(comparison, name)
        values[name] |= {"change": change.value, "change_interval": [change.low, change.high]}
    return values | {
        "num_targets": after.num_targets,
        "num_bytes": after.num_bytes,
        "num_documents": comparison.num_documents,
        "few_documents": comparison.few_documents,
        "step_of_baseline": comparison.baseline_step,
    }


def _cells(before: float, after: float, percent: Change) -> list[str]:
    """The colour says what the interval says: neither, where it holds 0."""
    colour = "green" if percent.high < 0 else "red" if percent.low > 0 else "default"
    change = f"[{colour}]{_percent(percent.value)}[/{colour}]"
    interval = f"{_percent(percent.low)} to {_percent(percent.high)}"
    return [_figure(before), _figure(after), change, interval]


def _figure(value: float) -> str:
    """At most 9 characters: a model from scratch starts at a perplexity of 50,000."""
    return f"{value:,.3f}" if abs(value) < 10_000 else f"{value:.3g}"


def _percent(value: float) -> str:
    """At most 8 characters, so that the table's other columns leave the source 8 of 80."""
    if not math.isfinite(value):
        return "?"
    return f"{value:{'+.2f' if abs(value) < 1000 else '+.0f' if abs(value) < 1e6 else '+.2g'}}"


def _footnotes(comparisons: Mapping[str, Comparison]) -> list[str]:
    notes = []
    if any(comparison.few_documents for comparison in comparisons.values()):
        notes.append(f"* fewer than {FEW_DOCUMENTS} documents: the interval says little")
    for name, comparison in sorted(comparisons.items()):
        if comparison.baseline_step:
            notes.append(
                f"{escape(visible(name))}: against step {comparison.baseline_step}, its first"
            )
    return notes
