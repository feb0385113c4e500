"""What there is to say of two outputs, as values."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.comparing.fates import KEPT, Moves, moves
from pipeline.comparing.funnels import Count, funnel, read_ledger, seconds
from pipeline.comparing.settings import Difference, origin_differences, settings_differences
from pipeline.errors import UsageError
from pipeline.explaining.output import Output, open_output


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """Documents of one source that one output packed and the other did not, by what took them."""

    source: str
    packed_in: str  # `a` or `b`
    fate: str  # in the other one
    num_documents: int
    examples: tuple[str, ...]  # ids, or places


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two outputs; of a source that one does not have no document was read there."""

    a: str
    b: str
    settings: list[Difference]
    origin: list[Difference]
    funnel: list[Count]
    sources: dict[str, list[Count]]
    moves: list[Move]
    num_packed_in_both: dict[str, int]
    unmatched: list[str]  # sources of both without a document in common
    same_tokenizer: bool
    seconds: list[Count]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare_outputs(out_a: Path, out_b: Path) -> Comparison:
    """Raises `UsageError` for what is no finished output, or one given twice."""
    if out_a.resolve() == out_b.resolve():
        raise UsageError(f"{out_a}: given twice; want the outputs of two runs")
    a, b = open_output(out_a), open_output(out_b)
    before, after = read_ledger(a), read_ledger(b)
    names = list(dict.fromkeys([*before, *after]))
    moved = [moves(a, b, name) for name in names]
    origin = origin_differences(a, b)
    return Comparison(
        a=str(out_a),
        b=str(out_b),
        settings=settings_differences(a, b),
        origin=origin,
        funnel=funnel(before.values(), after.values()),
        sources={
            name: funnel(*([side[name]] if name in side else [] for side in (before, after)))
            for name in names
        },
        moves=[move for each in moved for move in _moves_of(each)],
        num_packed_in_both={
            each.source: _num_in_both(each)
            for each in moved
            if each.by and each.source in before and each.source in after
        },
        unmatched=[each.source for each in moved if each.by is None],
        same_tokenizer="tokenizer" not in {each.name for each in origin},
        seconds=_seconds(a, b),
    )


def _moves_of(found: Moves) -> list[Move]:
    """The rows of the table in which exactly one fate is `KEPT`; few, as fates are."""
    return [
        Move(
            source=found.source,
            packed_in="a" if row["fate_a"] == KEPT else "b",
            fate=row["fate_b"] if row["fate_a"] == KEPT else row["fate_a"],
            num_documents=row["num_documents"],
            examples=tuple(dict.fromkeys([row["first"], row["last"]])),
        )
        for row in found.table.to_pylist()
        if (row["fate_a"] == KEPT) != (row["fate_b"] == KEPT)
    ]


def _num_in_both(found: Moves) -> int:
    rows = found.table.to_pylist()
    return sum(r["num_documents"] for r in rows if r["fate_a"] == r["fate_b"] == KEPT)


def _seconds(a: Output, b: Output) -> list[Count]:
    before, after = seconds(a), seconds(b)
    return [
        Count(name=stage, a=before.get(stage, 0.0), b=after.get(stage, 0.0))
        for stage in dict.fromkeys([*before, *after])
    ]
