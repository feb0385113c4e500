"""What the model wrote, before and after, from the same prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pipeline.page.document import Section
from pipeline.page.elements import details, heading, join, marked, pair, paragraph, sample
from training.reporting.reading import RunFiles

MAX_BETWEEN = 4  # evaluations between the first and the last that can be opened
Line = Mapping[str, Any]


def samples_section(run: RunFiles) -> Section | None:
    """None where the run wrote none, and was not asked for them."""
    if not run.samples:
        return none_section(run)
    groups = by_prompt(run.samples)
    steps = sorted({line["step"] for line in run.samples})
    both = [lines for lines in groups if len(lines) > 1]
    same = sum(lines[0]["text"] == lines[-1]["text"] for lines in both)
    once = (
        f" {len(groups) - len(both)} more were continued once." if len(both) < len(groups) else ""
    )
    lead = (
        f"Greedy continuations of {len(both)} prompts at step {steps[0]:,} and at step "
        f"{steps[-1]:,}; {same} of them are the same.{once}"
        if both
        else f"Greedy continuations of {len(groups)} prompts at step {steps[0]:,}; none was "
        "written later."
    )
    return Section(
        id="samples",
        title="Samples",
        lead=lead,
        body=join(one_prompt(number, lines) for number, lines in enumerate(groups, 1)),
    )


def none_section(run: RunFiles) -> Section | None:
    """Why there are none, where the run should have written some."""
    if not run.config.get("samples"):
        return None
    is_masked = (run.config.get("objective") or {}).get("mlm") is not None
    why = (
        "A masked model fills in and does not write on, so there are no samples."
        if is_masked
        else "None was written: it takes validation documents, or `samples.prompts`, and the "
        "tokenizer beside the shards."
    )
    return Section(id="samples", title="Samples", body=paragraph(why))


def by_prompt(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of each prompt, one per step (the last of it), in order."""
    groups: dict[tuple[str, str, str], dict[int, Line]] = {}
    for line in lines:
        key = (line.get("source", ""), line.get("document", ""), line["prompt"])
        groups.setdefault(key, {})[line["step"]] = line
    return [[group[step] for step in sorted(group)] for group in groups.values()]


def one_prompt(number: int, lines: Sequence[Line]) -> Markup:
    """First and last side by side; what came between, and the document itself, on request."""
    first, last = lines[0], lines[-1]
    source = first.get("source")
    title = f"{number}. {source}" if source else f"{number}. prompt of the config"
    parts = [
        heading(title),
        pair(at_step(first), at_step(last)) if last != first else at_step(first),
    ]
    if first.get("reference"):
        told = f"How the document goes on ({first['document'][:8]})"
        parts.append(details(told, sample(continued(first, first["reference"]))))
    between = lines[1:-1]
    if between:
        stride = -(-len(between) // MAX_BETWEEN)
        shown = between[stride - 1 :: stride]
        parts.append(details(f"Between: {len(shown)} of {len(between)}", join(map(at_step, shown))))
    return join(parts)


def at_step(line: Line) -> Markup:
    """One text, its prompt marked."""
    return paragraph(f"Step {line['step']:,}") + sample(continued(line, line["text"]))


def continued(line: Line, text: str) -> Markup:
    """The prompt, marked, and what follows it."""
    return marked([("mark", line["prompt"]), ("", text)])
