"""The whole story of one document, in the order of the data flow, from what a run stored.

Texts are the stored, anonymised ones. Of a quarantined row there is none: its raw bytes may hold
anything, so only their number and the reason are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.explaining.duplication import (
    Candidates,
    Removal,
    candidates_of,
    removal_of,
    removed_for,
)
from pipeline.explaining.finding import Place, column_names, row_values
from pipeline.explaining.judging import Verdict, judge
from pipeline.explaining.output import Output, doc_number
from pipeline.explaining.packed import Piece, pieces_of
from pipeline.keys import KEY_TYPE
from pipeline.splits import validation_mask

EXCERPT_CHARS = 400
KEPT, DROPPED, REMOVED, QUARANTINED = "kept", "dropped", "removed", "quarantined"
OWN = ("clean.", "pii.", "edited.", "decontaminate.")  # columns that no filter measured


@dataclass(frozen=True, slots=True)
class Read:
    """Where a document was read."""

    source: str
    format: str
    path: str
    row: int
    is_offset: bool  # `row` is the byte of the decompressed file where it begins
    url: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """The rule by which `refine` dropped a document."""

    rule: str
    value: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a row is no document."""

    reason: str
    detail: str  # of this row, in a sentence that holds no value of it
    num_raw_bytes: int | None  # that are kept, of at most 1 MiB; None: there are none


@dataclass(frozen=True, slots=True)
class Deduplication:
    """What deduplication found of a document that reached it."""

    removal: Removal | None
    removed_for_it: tuple[Removal, ...]  # the most similar
    num_removed_for_it: int
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class Story:
    """One document, or one row that is none; what does not apply is None or empty."""

    fate: str  # KEPT, DROPPED, REMOVED or QUARANTINED
    read: Read
    id: str | None = None
    key: str | None = None
    text_hash: str | None = None
    num_bytes: int | None = None
    num_chars: int | None = None
    excerpt: str | None = None
    quarantine: Quarantine | None = None
    cleaned: Mapping[str, int] | None = None
    pii: Mapping[str, int] | None = None  # kinds and counts; no value is stored anywhere
    edited: Mapping[str, int] | None = None
    decontaminated: Mapping[str, Mapping[str, Any]] | None = None
    filters: tuple[Verdict, ...] = ()
    other_signals: Mapping[str, Any] | None = None
    drop: Drop | None = None
    deduplication: Deduplication | None = None
    split: str | None = None
    pieces: tuple[Piece, ...] = ()


def tell(output: Output, place: Place) -> Story:
    """The story of one row of a refined file."""
    if place.kind == "quarantined":
        return _quarantined(output, place)
    row = row_values(place, column_names(place))
    values = {name: row[name][0].as_py() for name in row.schema.names if name != "meta"}
    drop = None
    if place.kind == "dropped":
        drop = Drop(values["rule"], values["value"], values["threshold"])
    doc = doc_number(place.item, place.row)
    found = _deduplication(output, doc) if place.kind == "kept" else None
    source = values["source"]
    specs = output.plan.filters_of(source)
    filters = tuple(judge(specs, row, None if drop is None else drop.rule))
    removed = found is not None and found.removal is not None
    is_packed = place.kind == "kept" and not removed
    text = values["text"]
    return Story(
        fate=DROPPED if drop else REMOVED if removed else KEPT,
        read=read_place(output, source, values),
        id=values["id"],
        key=values["key"].hex(),
        text_hash=values["text_hash"].hex(),
        num_bytes=len(text.encode()),
        num_chars=len(text),
        excerpt=text[:EXCERPT_CHARS],
        cleaned=_counts(values, "clean."),
        pii=_counts(values, "pii.", "num_pii_"),
        edited=_counts(values, "edited."),
        decontaminated=_by_set(values),
        filters=filters,
        other_signals=_other_signals(values, filters),
        drop=drop,
        deduplication=found,
        split=_split(output, source, values["text_hash"]) if found else None,
        pieces=tuple(pieces_of(output.out, source, values["key"])) if is_packed else (),
    )


def _quarantined(output: Output, place: Place) -> Story:
    row = row_values(place, ["source", "source_path", "source_row", "reason", "detail", "raw"])
    values = {name: row[name][0].as_py() for name in row.schema.names if name != "raw"}
    raw = row["raw"][0]
    num_bytes = len(raw.as_buffer()) if raw.is_valid else None
    return Story(
        QUARANTINED,
        read_place(output, values["source"], values),
        quarantine=Quarantine(values["reason"], values["detail"], num_bytes),
    )


def read_place(output: Output, source: str, values: Mapping[str, Any]) -> Read:
    """Where a row of a refined file was read, by its columns `source_path`, `source_row`, `url`."""
    config = output.plan.source(source)
    is_offset = config.format == "jsonl" or (config.format == "text" and config.per == "line")
    return Read(
        source,
        config.format,
        values["source_path"],
        values["source_row"],
        is_offset,
        values.get("url"),
    )


def _counts(values: Mapping[str, Any], prefix: str, more: str = "") -> dict[str, int]:
    """Counts that are not 0, by what follows the prefix."""
    return {
        name.removeprefix(prefix).removeprefix(more): value
        for name, value in values.items()
        if name.startswith(prefix) and value
    }


def _by_set(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Columns `decontaminate.<set>.<signal>` by set; only of sets that were met."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name.startswith("decontaminate."):
            place, _, signal = name.removeprefix("decontaminate.").rpartition(".")
            found.setdefault(place, {})[signal] = value
    return {place: signals for place, signals in found.items() if signals.get("num_ngrams")}


def _other_signals(values: Mapping[str, Any], filters: tuple[Verdict, ...]) -> dict[str, Any]:
    """What is stored besides, under a name with a dot that no filter of the source has."""
    own = (*OWN, *(f"{verdict.filter}." for verdict in filters))
    return {
        name: value
        for name, value in values.items()
        if "." in name and not name.startswith(own) and value is not None
    }


def _deduplication(output: Output, doc: int) -> Deduplication:
    removal = removal_of(output, doc)
    gone, num_gone = removed_for(output, doc)
    return Deduplication(removal, tuple(gone), num_gone, candidates_of(output, doc))


def _split(output: Output, source: str, text_hash: bytes) -> str:
    """The side that the text's hash gives it; whether it reaches it, the removal says."""
    fraction = output.plan.source(source).validation_fraction
    held_out = validation_mask(pa.array([text_hash], KEY_TYPE), fraction)
    return "validation" if np.any(held_out) else "train"
