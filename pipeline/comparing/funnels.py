"""The counts of two outputs side by side: rows by stage and rule, tokens, PII, time."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.explaining.output import Output
from pipeline.files import read_json
from pipeline.ledger import Ledger, SourceLedger, from_json

STAGES = ("refine", "deduplicate", "tokenise", "pack")


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """One figure of both. `kind`: `stage`, or a loss between two stages, or a sum."""

    name: str
    a: float
    b: float
    kind: str = "stage"


def read_ledger(output: Output) -> Ledger:
    """What became of the rows of each source."""
    return from_json(read_json(output.out / "ledger.json"))


def funnel(a: Iterable[SourceLedger], b: Iterable[SourceLedger]) -> list[Count]:
    """From rows read to tokens, of some sources together."""
    before, after = list(a), list(b)

    def of(name: str, value: Callable[[SourceLedger], int], kind: str = "stage") -> Count:
        return Count(name=name, a=sum(map(value, before)), b=sum(map(value, after)), kind=kind)

    return [
        of("read", lambda e: e.num_read),
        *_losses(before, after, "quarantined"),
        *_losses(before, after, "dropped"),
        of("refined", lambda e: e.num_kept),
        *_losses(before, after, "removed"),
        of("packed", lambda e: e.num_packed),
        of("packed bytes", lambda e: e.num_packed_bytes),
        of("tokens", lambda e: e.num_tokens),
        *_losses(before, after, "pii"),
    ]


def _losses(a: list[SourceLedger], b: list[SourceLedger], counter: str) -> list[Count]:
    """One for each reason, the most first."""
    before, after = (
        sum((Counter(getattr(entry, counter)) for entry in side), Counter[str]()) for side in (a, b)
    )
    names = sorted(before.keys() | after.keys(), key=lambda n: (-before[n] - after[n], n))
    label = "PII" if counter == "pii" else counter
    return [
        Count(name=f"{label}: {name}", a=before[name], b=after[name], kind="loss") for name in names
    ]


def seconds(output: Output) -> dict[str, float]:
    """Of all work items by stage, as if one process had done them; those of the last run."""
    found = {}
    for stage in STAGES:
        records = [read_json(path) for path in _record_paths(output.out, stage)]
        total = sum(float(record.get("seconds", 0.0)) for record in records)
        if records:
            found[stage] = round(total, 3)
    return found


def _record_paths(out: Path, stage: str) -> list[Path]:
    names = read_json(out / "run.json").get(stage, [])
    return [path for name in names if (path := out / "state" / stage / f"{name}.json").is_file()]
