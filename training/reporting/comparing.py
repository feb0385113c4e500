"""`train compare`: two runs side by side on a terminal, in sentences and tables; or as a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.report.visible import visible
from training.errors import UsageError
from training.reporting.differences import (
    Difference,
    config_differences,
    origin_differences,
    same,
)
from training.reporting.mix import realised_shares, share
from training.reporting.numbers import count, duration, figure, percent
from training.reporting.optimisation import counted_events
from training.reporting.reading import RunFiles, read_run
from training.reporting.results import Result, compare_results
from training.reporting.speed import median_speed, seconds_by_kind
from training.reporting.written import by_prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two runs, and what there is to say of both."""

    a: RunFiles
    b: RunFiles
    names: tuple[str, str]
    config: list[Difference]
    origin: list[Difference]
    results: list[Result]


def read_pair(out_a: Path, out_b: Path) -> Pair:
    """Raises `UsageError` where there is no run, or one run twice."""
    if out_a.resolve() == out_b.resolve():
        raise UsageError(f"{out_a}: given twice; want the directories of two runs")
    a, b = read_run(out_a), read_run(out_b)
    names = (out_a.resolve().name, out_b.resolve().name)
    return Pair(
        a=a,
        b=b,
        names=names if names[0] != names[1] else (str(out_a), str(out_b)),
        config=config_differences(a, b),
        origin=origin_differences(a, b),
        results=compare_results(a, b),
    )


def print_comparison(out_a: Path, out_b: Path, target: Path | None = None) -> None:
    """Print it; with `target`, draw the page there as well."""
    from rich.console import Console

    pair = read_pair(out_a, out_b)
    console = Console(highlight=False, soft_wrap=True)
    for sentence in sentences(pair):
        console.print(visible(sentence), markup=False)
    for title, headings, rows in tables(pair):
        _print_table(console, title, headings, rows)
    if target is not None:
        from training.reporting.comparison_page import write_comparison

        console.print(str(write_comparison(pair, target)), markup=False)


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def tables(pair: Pair) -> Iterator[Table]:
    """Title, headings and rows of each table that has a row."""
    named = list(pair.names)
    yield "Config", ["key", *named], [[d.name, d.a, d.b] for d in pair.config]
    yield "Made of", ["what", *named], [[d.name, d.a, d.b] for d in pair.origin]
    headings = ["source", "measure", *named, "change %", "95 % interval"]
    yield "Validation", headings, [row for result in pair.results for row in result_rows(result)]
    forgotten = [[r.name, *(percent(value) for value in r.forgetting)] for r in pair.results]
    yield "Perplexity against the first evaluation", ["source", *named], forgotten
    yield "Run", ["what", *named], run_rows(pair)


def result_rows(result: Result) -> list[list[str]]:
    """Perplexity, where it can be compared, and bits per byte."""
    low, high = result.change.low, result.change.high
    interval = "-" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
    change = f"{result.change.value:+.2f}"
    before, after = (figure(value) for value in result.bits_per_byte)
    if result.perplexity is None:
        return [[result.name, "bits/byte", before, after, change, interval]]
    first = [figure(value) for value in result.perplexity]
    relative = 100 * (result.bits_per_byte[1] / result.bits_per_byte[0] - 1)
    return [
        [result.name, "perplexity", *first, change, interval],
        ["", "bits/byte", before, after, f"{relative:+.2f}", ""],
    ]


def run_rows(pair: Pair) -> list[list[str]]:
    """Steps, tokens, mix, speed, time, and what went wrong in either."""
    runs = (pair.a, pair.b)
    shares = [realised_shares(run) for run in runs]
    events = [counted_events(run) for run in runs]
    rows = [
        ["ended", *(run.status for run in runs)],
        ["steps", *(f"{run.last_step:,}" for run in runs)],
        ["tokens", *(count(float(np.nansum(run.steps.get("num_tokens")))) for run in runs)],
        ["training loss", *(figure(last_loss(run)) for run in runs)],
        *(
            [f"share of {name}", *(share(each.get(name)) for each in shares)]
            for name in dict.fromkeys([*shares[0], *shares[1]])
        ),
        ["tokens/s, median", *(count(median_speed(run)) for run in runs)],
        ["time", *(duration(sum(seconds_by_kind(run).values()) or None) for run in runs)],
    ]
    happened = [name for name in events[0] if events[0][name] or events[1][name]]
    return rows + [[name, *(count(each[name]) for each in events)] for name in happened]


def last_loss(run: RunFiles) -> float | None:
    """Of the last step that has one."""
    losses = run.steps.get("loss")
    finite = losses[np.isfinite(losses)]
    return float(finite[-1]) if len(finite) else None


def sentences(pair: Pair) -> list[str]:
    """What matters, and what must not be compared."""
    return [
        *config_sentences(pair),
        *caveats(pair),
        *(result_sentence(each, pair.names) for each in pair.results),
        *sample_sentences(pair),
    ]


def config_sentences(pair: Pair) -> list[str]:
    """How many keys differ."""
    if not (pair.a.config and pair.b.config):
        return ["One of the runs wrote no run.json, so their configs are not compared."]
    if not pair.config:
        return ["The configs are the same."]
    keys = ", ".join(each.name for each in pair.config[:6])
    more = f" and {len(pair.config) - 6} more" if len(pair.config) > 6 else ""
    return [f"The configs differ in {keys}{more}."]


def caveats(pair: Pair) -> list[str]:
    """What the figures do not tell."""
    said = []
    if same(pair.a, pair.b, "tokenizer") is False:
        said.append("The tokenizers differ: perplexities are not compared, bits per byte are.")
    if same(pair.a, pair.b, "shards") is False:
        said.append("The shards differ: only documents that both validated are paired.")
    if same(pair.a, pair.b, "model") is False:
        said.append("The models that the runs began with differ.")
    steps = [run.evaluations[-1]["step"] if run.evaluations else None for run in (pair.a, pair.b)]
    if None in steps or not pair.results:
        said.append("No source was validated in both runs, so there is no result to compare.")
    elif steps[0] != steps[1]:
        said.append(f"The last evaluations are of different steps: {steps[0]:,} and {steps[1]:,}.")
    if any(not result.num_paired for result in pair.results):
        said.append(
            "Where no document was scored in both last evaluations, the difference is unpaired and "
            "has no interval."
        )
    return said


def result_sentence(result: Result, names: tuple[str, str]) -> str:
    """Which is better, and whether that is clear."""
    measure = "bits per byte" if result.perplexity is None else "perplexity"
    direction = "lower" if result.change.value < 0 else "higher"
    if result.change.low is None or result.change.high is None:
        sure = "unpaired, no interval"
    else:
        sure = f"95 % interval {result.change.low:+.2f} to {result.change.high:+.2f} %"
        sure += f", {result.num_paired} documents"
        sure += "" if result.change.is_clear else "; not a clear difference"
    size = f"{abs(result.change.value):.2f} %"
    return (
        f"{result.name}: {measure} of {names[1]} is {size} {direction} than of {names[0]} ({sure})."
    )


def sample_sentences(pair: Pair) -> list[str]:
    """How many of the same prompts were continued alike at the end."""
    both = same_prompts(pair)
    if not both:
        return []
    num = sum(first["text"] == second["text"] for first, second in both)
    return [f"Samples: of {len(both)} prompts of both, {num} end in the same text."]


def same_prompts(pair: Pair) -> list[tuple[dict[str, str], dict[str, str]]]:
    """The last lines of both runs for each prompt that both have."""
    first, second = (
        {lines[-1]["prompt"]: lines[-1] for lines in by_prompt(run.samples)}
        for run in (pair.a, pair.b)
    )
    return [(dict(first[prompt]), dict(second[prompt])) for prompt in first if prompt in second]


def _print_table(
    console: object, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if not rows:
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for number, heading in enumerate(headings):
        is_number = number > 0 and title not in ("Config", "Made of")
        to_right = is_number and heading != "measure"
        table.add_column(
            escape(visible(heading)), justify="right" if to_right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    console.print(table)  # type: ignore[attr-defined]
