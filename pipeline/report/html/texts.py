"""The texts of the few documents that the page shows, each file opened once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pipeline.explaining.output import Output
from pipeline.refined import COMPARED, RowReader
from pipeline.report.html.limits import LOOKED_CHARS
from pipeline.report.html.masking import excerpts
from pipeline.report.html.survey import Spot

PII_RULES = "pii."  # what a document with PII was dropped by: no text of it is shown


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a document, masked. `key` is by what `prepare explain` finds it."""

    source: str
    key: str
    text: str
    rule: str | None  # by which it was dropped


def read_excerpts(output: Output, spots: Iterable[Spot]) -> Mapping[Spot, Excerpt]:
    """What stands there, with tags for PII; nothing of a document that was dropped for its PII."""
    wanted: dict[tuple[int, str], set[int]] = defaultdict(set)
    for spot in spots:
        wanted[spot.item, spot.kind].add(spot.row)
    found: dict[Spot, Excerpt] = {}
    for (number, kind), rows in sorted(wanted.items()):
        found.update(_of_file(output, number, kind, np.array(sorted(rows))))
    return found


def _of_file(output: Output, number: int, kind: str, rows: np.ndarray) -> dict[Spot, Excerpt]:
    item = output.items[number]
    names = ["key", *(["rule"] if kind == "dropped" else [])]
    reader = RowReader(item.paths[kind], COMPARED, *names)
    heads = pc.utf8_slice_codeunits(reader.take(rows, COMPARED), 0, LOOKED_CHARS + 1)
    keys = reader.take(rows, "key").to_pylist()
    rules = reader.take(rows, "rule").to_pylist() if "rule" in names else [None] * len(rows)
    texts = excerpts(heads.to_pylist())
    return {
        Spot(number, kind, row): Excerpt(item.source, key.hex(), text, rule)
        for row, key, rule, text in zip(rows.tolist(), keys, rules, texts, strict=True)
        if key is not None and not (rule or "").startswith(PII_RULES)
    }
