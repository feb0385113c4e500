"""Tokens by source, and the mix that a training run would draw them in.

The mix is that of a train config (`--mix`), else in proportion to the tokens. Of a schedule only
its ends are looked at: what a run realises, `train report` tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from pipeline.errors import UsageError
from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, join, paragraph, prose, table
from pipeline.report.html.corpus import Finished
from pipeline.report.html.limits import MAX_ROWS
from pipeline.report.html.words import count, limit, share

LEAD = "Tokens to train on, by what a train config can name: a source, or a stratum of one."
MAX_BARS = 24


@dataclass(frozen=True, slots=True)
class Planned:
    """Weights of one entry at both ends of a run, as they are written; they need not sum to 1."""

    start: float
    end: float
    max_epochs: float | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """A train config's mix, and how many tokens it trains on where it says so in tokens."""

    entries: Mapping[str, Planned]
    num_tokens: float | None = None


def read_mix(path: Path) -> Mix:
    """The `mix` of a train config. Raises `UsageError` where there is none that can be read."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise UsageError(
            f"--mix {path}: cannot be read ({exc.strerror}); give a train config"
        ) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise UsageError(f"--mix {path}: not valid YAML: {' '.join(str(exc).split())}") from exc
    mix = values.get("mix") if isinstance(values, dict) else None
    if not isinstance(mix, dict) or not mix:
        raise UsageError(
            f"--mix {path}: got no mapping `mix`, want weights by source, such as "
            "mix: {domain: 0.7, general: 0.3}; give the config of `train`"
        )
    entries = {str(name): _planned(path, str(name), value) for name, value in mix.items()}
    return Mix(entries, _num_tokens(values))


def _planned(path: Path, name: str, value: Any) -> Planned:
    found: Any = {"start": value} if not isinstance(value, dict) else value
    if points := found.get("points"):
        found = {**found, "start": points[0][1], "end": points[-1][1]}
    start = found.get("start")
    numbers = (start, found.get("end", start), found.get("max_epochs"))
    if not all(n is None or isinstance(n, int | float) for n in numbers) or start is None:
        raise UsageError(
            f"--mix {path}: mix.{name}: got {value!r}, want a weight, or start and end, or points"
        )
    end = start if numbers[1] is None else numbers[1]
    return Planned(float(start), float(end), numbers[2])


def _num_tokens(values: Mapping[str, Any]) -> float | None:
    """What the run trains on, where the config says it in numbers that it holds."""
    if isinstance(values.get("tokens"), int | float):
        return float(values["tokens"])
    sizes = [values.get(name) for name in ("steps", "batch_rows", "sequence_tokens")]
    if all(isinstance(size, int) for size in sizes):
        steps, rows, length = sizes
        return float(steps * rows * length)  # type: ignore[operator]
    return None


def tokens(corpus: Finished, mix: Mix | None) -> Section:
    """The entries with most tokens first."""
    available = {
        name: sum(shard.num_tokens for shard in shards)
        for name, shards in corpus.index.select("train").items()
    }
    available |= {name: 0 for name in corpus.sources if not _has(available, name)}
    ordered = dict(sorted(available.items(), key=lambda each: (-each[1], each[0])))
    if mix is not None:
        ordered |= {name: 0 for name in mix.entries if name not in ordered}
    planned = _plan(ordered, mix)
    parts = [
        _figure(ordered, planned, mix),
        _table(ordered, planned, mix),
        paragraph(prose(_how(mix))),
    ]
    return Section(id="mix", title="Tokens and mix", lead=LEAD, body=join(parts))


def _has(available: Mapping[str, int], source: str) -> bool:
    return any(name == source or name.startswith(f"{source}/") for name in available)


def _plan(available: Mapping[str, int], mix: Mix | None) -> dict[str, tuple[float, float]]:
    """Shares at both ends, which sum to 1 each; of the tokens where there is no mix."""
    if mix is None:
        whole = sum(available.values()) or 1
        return {name: (number / whole,) * 2 for name, number in available.items()}
    ends = [
        _normal({name: getattr(one, end) for name, one in mix.entries.items()})
        for end in ("start", "end")
    ]
    return {name: (ends[0].get(name, 0.0), ends[1].get(name, 0.0)) for name in available}


def _normal(weights: Mapping[str, float]) -> dict[str, float]:
    whole = sum(weights.values()) or 1.0
    return {name: weight / whole for name, weight in weights.items()}


def _how(mix: Mix | None) -> str:
    if mix is None:
        return (
            "No mix was given: in proportion to the tokens, each is seen once in the same time. "
            "`prepare report OUT --mix train.yaml` shows that of a train config."
        )
    told = "Weights are made to sum to 1 at each end of the run."
    if mix.num_tokens is None:
        return f"{told} The config does not say in tokens how long the run is, so epochs are open."
    return f"{told} Epochs: of a run over {mix.num_tokens:,.0f} tokens, by the mean of both ends."


def _table(
    available: Mapping[str, int], planned: Mapping[str, tuple[float, float]], mix: Mix | None
) -> Markup:
    whole = sum(available.values())
    columns = [Column("entry"), Column("tokens", True), Column("of all", True)]
    columns += [Column("mix at the start", True), Column("at the end", True)]
    columns += [Column("epochs", True), Column("at most", True)]
    rows = []
    for name, number in list(available.items())[:MAX_ROWS]:
        start, end = planned[name]
        cells = [name, count(number), share(number, whole), share(start, 1), share(end, 1)]
        rows.append(Row(cells=[*cells, *_epochs(name, number, (start + end) / 2, mix)]))
    more = len(available) - len(rows)
    note = paragraph(f"… and {more:,} smaller ones") if more else Markup("")
    return join([table(columns, rows), note])


def _epochs(name: str, number: int, drawn: float, mix: Mix | None) -> list[str]:
    if mix is None:
        return ["1" if number else "0", ""]
    most = mix.entries[name].max_epochs if name in mix.entries else None
    at_most = "" if most is None else limit(most)
    if mix.num_tokens is None:
        return ["", at_most]
    if not number:
        return ["no tokens" if drawn else "0", at_most]
    return [f"{drawn * mix.num_tokens / number:.2f}", at_most]


def _figure(
    available: Mapping[str, int], planned: Mapping[str, tuple[float, float]], mix: Mix | None
) -> Markup:
    """Shares of the tokens beside the shares of the mix."""
    chosen = list(available)[:MAX_BARS]
    whole = sum(available.values())
    if not whole:
        return paragraph("There are no tokens to train on.")
    bars = [("tokens", "c7", [available[name] / whole for name in chosen])]
    if mix is not None:
        bars.append(("mix at the start", "c0", [planned[name][0] for name in chosen]))
        bars.append(("mix at the end", "c1", [planned[name][1] for name in chosen]))
    height = 0.8 / len(bars)
    figure, axes = plots.new_axes(60 + (18 + 8 * len(bars)) * len(chosen), xlabel="%")
    for number, (word, colour, shares) in enumerate(bars):
        places = [place + (number - (len(bars) - 1) / 2) * height for place in range(len(chosen))]
        widths = [100 * one for one in shares]
        axes.barh(places, widths, height=height * 0.9, color=plots.ROLES[colour], label=word)
    axes.set_yticks(range(len(chosen)), [name[:40] for name in chosen])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if len(bars) > 1:
        plots.legend_above(figure)
    label = f"Shares of {whole:,} tokens to train on, by source, and of the planned mix."
    return plots.draw(figure, label=label, caption="Shares of the tokens and of the mix.")
