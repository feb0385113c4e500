"""What `prepare plan` expects of a run, as tables for a person, and what to do next."""

from collections import Counter
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.table import Table

from pipeline.planning.prediction import Prediction
from pipeline.report.terminal import funnel_table
from pipeline.report.visible import visible

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
ROUND_DIGITS = 3


def print_prediction(found: Prediction, manifest: Path, console: Console) -> None:
    """The funnel, the stages, what would be quarantined, and what is not known."""
    _print_funnel(found, console)
    _print_stages(found, console)
    for line in _lines(found):
        console.print(visible(line), soft_wrap=True, highlight=False, markup=False)
    command = f"next: prepare run {visible(quote(str(manifest)))}"
    console.print(command, soft_wrap=True, highlight=False, markup=False)


def _print_funnel(found: Prediction, console: Console) -> None:
    console.print("What will become of the documents, about", style="table.title")
    console.print(funnel_table(found.ledger))


def _print_stages(found: Prediction, console: Console) -> None:
    if not found.stages:
        return
    title = f"How long it will take with {found.num_workers} workers, within a factor of 2"
    console.print(title, style="table.title")
    table = Table("stage")
    table.add_column("time", justify="right")
    table.add_column("of which always", justify="right")
    for stage in found.stages:
        table.add_row(stage.name, duration(stage.seconds), duration(stage.fixed_seconds))
    table.add_row("all", duration(found.seconds), "")
    console.print(table)


def _lines(found: Prediction) -> list[str]:
    disk = found.disk
    lines = [
        f"{rounded(found.num_tokens)} tokens in {found.num_shards:,} "
        f"{'shard' if found.num_shards == 1 else 'shards'}, "
        f"{rounded(found.num_rows)} rows of {found.sequence_tokens:,}.",
        f"Disk: {size(disk.total)} at the end (shards {size(disk.shards)}, texts "
        f"{size(disk.refined)}, tokens {size(disk.tokens)}, rest {size(disk.rest)}), up to "
        f"{size(disk.peak)} while it runs.",
    ]
    for name, (low, high) in found.removed.items():
        total = found.ledger[name].removed.total()
        lines.append(
            f"Duplicates of {name}: {rounded(total)}, with 95 % between {rounded(low)} and "
            f"{rounded(high)}."
        )
    lines += _quarantine(found)
    lines += [f"Not known: {one}." for one in found.unknown]
    if found.left is not None:
        left = found.left
        lines.append(
            f"Done before: {left.num_items:,} items of refine, {left.share:.0%} of the text; "
            f"{duration(max(0.0, found.seconds - left.seconds))} are left."
        )
    lines.append(_basis(found))
    return lines


def _quarantine(found: Prediction) -> list[str]:
    if not found.quarantined_fraction:
        return []
    limit = found.max_quarantined_fraction
    over = found.quarantined_fraction > limit
    verdict = "MORE THAN" if over else "within"
    lines = [
        f"Quarantined: {found.quarantined_fraction:.2%} of the rows, {verdict} "
        f"limits.max_quarantined_fraction = {limit:.2%}"
        + ("; the run would stop: mend the rows, or raise it." if over else ".")
    ]
    seen: Counter[str] = Counter()
    for one in found.examples:
        seen[one.reason] += 1
        if seen[one.reason] == 1:
            lines.append(f"  {one.reason}: {one.path} at {one.row:,}: {one.detail}")
    return lines


def _basis(found: Prediction) -> str:
    read = sum(one.stored_bytes * one.coverage for one in found.sampled.values())
    total = sum(one.stored_bytes for one in found.sampled.values())
    documents = sum(one.num_documents for one in found.sampled.values())
    num_bytes = sum(one.num_bytes for one in found.sampled.values())
    return (
        f"From {documents:,} documents ({size(num_bytes)}) that went through a run, and "
        f"{read / max(1, total):.0%} of {size(total)} that were read; it took "
        f"{duration(found.took_seconds)}."
    )


def rounded(number: float) -> str:
    """Three digits: an estimate has no more."""
    whole = round(number)
    digits = ROUND_DIGITS - len(str(abs(whole)))
    return f"{round(whole, min(0, digits)):,}"


def size(num_bytes: float) -> str:
    """Bytes in the largest unit that leaves a whole number."""
    for unit, name in UNITS:
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.1f} {name}"
    return f"{num_bytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
