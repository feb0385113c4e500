"""A run's directory as values: the journal as columns, and the small files beside it.

Everything but `metrics.jsonl` may be missing: older versions wrote less, a run that was stopped has
not written all. What is missing is empty, or None, and never an error.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import ReportError, UsageError

JOURNAL, RECORD = "metrics.jsonl", "run.json"
SAMPLES, OUTCOME = "samples.jsonl", "forgetting.json"
EVENTS = ("skipped", "spike", "passed", "control")
MAX_SKIPPED_IN_ROW = 5  # `training.loop` ends the run there


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """The lines of steps as columns; NaN where a line has no such figure.

    `values` are by path, such as `loss` or `sources/domain`.
    """

    numbers: np.ndarray  # (N,) int64
    values: Mapping[str, np.ndarray]  # (N,) float64 each

    def __len__(self) -> int:
        return len(self.numbers)

    def get(self, name: str) -> np.ndarray:
        """A column, all NaN where no line has it."""
        return self.values.get(name, np.full(len(self), np.nan))

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The columns of `prefix/...`, by what follows."""
        start = f"{prefix}/"
        return {k.removeprefix(start): v for k, v in self.values.items() if k.startswith(start)}


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What a run's directory says."""

    out: Path
    steps: Steps
    evaluations: tuple[Mapping[str, Any], ...]  # one per step, in order
    tasks: tuple[Mapping[str, Any], ...]
    events: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float]  # of evaluations, samples and checkpoints
    record: Mapping[str, Any] = field(default_factory=dict)  # run.json
    outcome: Mapping[str, Any] = field(default_factory=dict)  # forgetting.json
    samples: tuple[Mapping[str, Any], ...] = ()

    @property
    def config(self) -> Mapping[str, Any]:
        """With all defaults; empty where the run did not write it."""
        config: Mapping[str, Any] = self.record.get("config", {})
        return config

    @property
    def num_steps(self) -> int | None:
        """Of the whole run, where it is known."""
        return self.record.get("num_steps")

    @cached_property
    def last_step(self) -> int:
        """The last one of which there is a line."""
        found = [each["step"] for each in (*self.evaluations, *self.events)]
        last: int = max([0, *found, *self.steps.numbers[-1:].tolist()])
        return last

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, in the order of the run's, then others that were measured."""
        known = [each["name"] for each in self.record.get("sources", ())]
        seen = [name for each in self.evaluations for name in each.get("sources", {})]
        return tuple(dict.fromkeys([*known, *self.steps.under("sources"), *seen]))

    @property
    def status(self) -> str:
        """`finished`, `gate`, `diverged`, or `unfinished`."""
        if self.outcome.get("gate_failure"):
            return "gate"
        last = [each["step"] for each in self.events if each["kind"] == "skipped"][-5:]
        ends = list(range(self.last_step - MAX_SKIPPED_IN_ROW + 1, self.last_step + 1))
        if last == ends:
            return "diverged"
        if self.outcome or (self.num_steps is not None and self.last_step >= self.num_steps):
            return "finished"
        return "unfinished"

    def scores(self, name: str) -> list[tuple[int, Mapping[str, Any]]]:
        """What each evaluation found for a source or domain, with its step."""
        return [
            (each["step"], each.get(group, {})[name])
            for each in self.evaluations
            for group in ("sources", "domains")
            if name in each.get(group, {})
        ]


def read_run(out: Path) -> RunFiles:
    """Read a run's directory. Raises `UsageError` where there is none, `ReportError` for damage."""
    if not (out / JOURNAL).is_file():
        raise UsageError(f"{out}: no {JOURNAL} here; want the --out of a run of `train`")
    columns, lines = _Columns(), _Lines()
    for line in read_lines(out / JOURNAL):
        (columns.add if line["kind"] == "step" else lines.add)(line)
    run = RunFiles(
        out=out,
        steps=columns.steps(),
        evaluations=_last_of_each_step(lines.of("eval")),
        tasks=_last_of_each_step(lines.of("tasks")),
        events=tuple(lines.of(*EVENTS)),
        seconds=lines.seconds(),
        record=_read_json(out / RECORD),
        samples=_read_samples(out / SAMPLES),
    )
    outcome = _read_json(out / OUTCOME)  # it may be of where the run was stopped before it went on
    return replace(run, outcome=outcome) if outcome.get("step") == run.last_step else run


def _read_samples(path: Path) -> tuple[Mapping[str, Any], ...]:
    lines = tuple(read_lines(path)) if path.is_file() else ()
    for line in lines:
        if not all(isinstance(line.get(name), str) for name in ("prompt", "text")):
            raise ReportError(
                f"{path}: a line of step {line['step']} has no `prompt` or no `text`; the file is "
                "damaged: remove that line"
            )
    return lines


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file. The last line may be one that is being written."""
    broken = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if broken:
                raise ReportError(
                    f"{path}:{broken}: not a JSON object with `kind` and `step`; the file is "
                    "damaged: remove that line"
                )
            value = _parse(line)
            if value is None:
                broken = number
                continue
            yield value


def _parse(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    is_line = isinstance(value, dict) and "kind" in value and type(value.get("step")) is int
    return value if is_line else None


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise ReportError(f"{path}: cannot be read ({exc}); remove it") from exc
    return value if isinstance(value, dict) else {}


class _Columns:
    """Collects lines of steps: 8 bytes a figure, however many there are."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._found: dict[str, tuple[array[int], array[float]]] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        """One line."""
        for name, value in flat_numbers(line):
            rows, values = self._found.setdefault(name, (array("q"), array("d")))
            rows.append(len(self._numbers))
            values.append(value)
        self._numbers.append(line["step"])

    def steps(self) -> Steps:
        """All lines."""
        columns = {}
        for name, (rows, values) in self._found.items():
            column = np.full(len(self._numbers), np.nan)
            column[np.array(rows)] = np.array(values)
            columns[name] = column
        return Steps(numbers=np.array(self._numbers, dtype=np.int64), values=columns)


class _Lines:
    """The lines that are no steps, by kind."""

    def __init__(self) -> None:
        self._lines: list[Mapping[str, Any]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        """One line."""
        self._lines.append(line)

    def of(self, *kinds: str) -> list[Mapping[str, Any]]:
        """Those of some kinds, in order."""
        return [line for line in self._lines if line["kind"] in kinds]

    def seconds(self) -> dict[str, float]:
        """The sums of what the lines of times say."""
        sums: dict[str, float] = {}
        for line in self.of("time"):
            for name, value in flat_numbers(line):
                sums[name] = sums.get(name, 0.0) + value
        return sums


def flat_numbers(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line by path; its step is none."""
    for key, value in line.items():
        if isinstance(value, Mapping):
            yield from flat_numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and key != "step":
            yield f"{prefix}{key}", float(value)


def _last_of_each_step(lines: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """A run that shards join is evaluated twice at one step."""
    by_step = {line["step"]: line for line in lines}
    return tuple(by_step[step] for step in sorted(by_step))
