"""Evaluation sets: their items are read once, at the start, into the table that workers map.

Their texts go through the same normalisation and anonymisation as documents (an address in a
document is a tag by the time it is compared), but for HTML: an item is taken at its word.

    OUT/state/decontaminate/<fingerprint>.json    "counts": {<set>: {"num_items", "num_ngrams"}}
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pyarrow as pa

from pipeline.decontamination.config import EvaluationSet
from pipeline.decontamination.match import Decontaminator
from pipeline.decontamination.table import (
    PASSAGES,
    NgramTable,
    match_lengths,
    paths,
    words_of,
    write_table,
)
from pipeline.errors import SourceError
from pipeline.plan import Plan, cleaning_settings
from pipeline.records import Record, code_fingerprint, fingerprint
from pipeline.sources.protocol import Input, Slice
from pipeline.sources.registry import open_reader
from pipeline.sources.schema import QUARANTINE
from pipeline.text.clean import clean
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.settings import finding_settings

STAGE = "decontaminate"
FOLDER = "decontaminate"
WITHOUT_TEXT = ("null_text", "missing_field")  # an item need not have every field

Row = tuple[int, int]  # input, and the row in it


class Found(NamedTuple):
    """A file of a set, with the path of the manifest that it was found by."""

    path: str
    input: Input


@dataclass(slots=True)
class Items:
    """The items of one set as they are read, field by field."""

    names: dict[Row, str] = field(default_factory=dict)
    texts: dict[str, dict[Row, str]] = field(default_factory=dict)


def prepare_sets(plan: Plan) -> Record | None:
    """The record of the table of all sets of the manifest; None where it names none.

    Raises `SourceError` where a set or a field of it is not there, or is no text.
    """
    sets = plan.manifest.decontaminate
    if not sets:
        return None
    files = [_files(plan, place) for place in range(len(sets))]
    key = fingerprint(
        [one.model_dump(mode="json", exclude={"action", "min_overlap"}) for one in sets],
        [
            [(file.input.relative, _hash(plan, one, file)) for file in own]
            for one, own in zip(sets, files, strict=True)
        ],
        cleaning_settings(plan.manifest.clean),
        finding_settings(plan.manifest.pii),
        plan.manifest.limits.max_document_bytes,
        code_fingerprint("pipeline/decontamination", "pipeline/sources", "pipeline/text")
        + code_fingerprint("pipeline/dedup/words.py", "pipeline/dedup/kernels.py")
        + code_fingerprint("pipeline/arrow.py"),
    )
    store = plan.records(STAGE)
    return store.load(key) or _write(plan, key, files)


def with_evaluation_sets(plan: Plan) -> Plan:
    """The plan with the table of its evaluation sets, which is made if it is not there."""
    record = prepare_sets(plan)
    return plan if record is None else replace(plan, evaluation_sets=record["fingerprint"])


def decontaminator_of(plan: Plan) -> Decontaminator | None:
    """The evaluation sets of a plan, with their table mapped into memory."""
    if plan.evaluation_sets is None:
        return None
    table = NgramTable.load(plan.out / FOLDER, plan.evaluation_sets)
    return Decontaminator(plan.manifest.decontaminate, table)


def _where(plan: Plan, place: int) -> str:
    return f"decontaminate.{place} ({plan.manifest.decontaminate[place].name})"


def _files(plan: Plan, place: int) -> list[Found]:
    """The files of a set, each once, in the order of its paths."""
    config = plan.manifest.decontaminate[place]
    found: dict[str, Found] = {}
    for path in config.paths:
        source = config.source(config.text_fields[0], path)
        try:
            inputs = open_reader(
                source, plan.base, plan.manifest.limits.max_document_bytes
            ).inputs()
        except SourceError as exc:
            # Of a set's several paths each is the only one of its source.
            told = str(exc).replace("paths.0 ", "").replace(f"source {config.name!r}", "paths")
            raise SourceError(f"{_where(plan, place)}: {told}") from exc
        for one in inputs:
            found.setdefault(one.relative, Found(path, one))
    return list(found.values())


def _hash(plan: Plan, config: EvaluationSet, file: Found) -> str:
    source = config.source(config.text_fields[0], file.path)
    reader = open_reader(source, plan.base, plan.manifest.limits.max_document_bytes)
    return reader.fingerprint(file.input)


def _write(plan: Plan, key: str, files: list[list[Found]]) -> Record:
    started = time.monotonic()
    sets = plan.manifest.decontaminate
    items = [_read(plan, place, files[place]) for place in range(len(sets))]
    passages, texts = _passages(plan, items)
    words = words_of(_as_stored(plan, texts))
    lengths = match_lengths(
        words.counts,
        [one.ngram for one in sets],
        [one.least_words for one in sets],
        passages["set"].to_numpy(),
    )
    targets = paths(plan.out / FOLDER, key)
    written = write_table(targets, passages, words, lengths)
    counts = {}
    for place, one in enumerate(sets):
        own = written["num_ngrams"].to_numpy()[written["set"].to_numpy() == place]
        if not own.any():
            raise SourceError(
                f"{_where(plan, place)}: got {len(items[place].names):,} items, none with "
                f"{one.least_words} words in {' or '.join(one.text_fields)}; want such a field, or "
                "a lower min_words"
            )
        counts[one.name] = {"num_items": len(items[place].names), "num_ngrams": int(own.sum())}
    return plan.records(STAGE).commit(key, targets, counts, time.monotonic() - started)


def _read(plan: Plan, place: int, files: list[Found]) -> Items:
    """All items of a set. Raises `SourceError` where there are none, or a row is damaged."""
    config, items = plan.manifest.decontaminate[place], Items()
    for name in config.text_fields:
        items.texts[name] = {}
        for number, file in enumerate(files):
            _read_field(plan, place, items, name, (number, file))
        if items.names and not items.texts[name]:
            raise SourceError(
                f"{_where(plan, place)}: none of {len(items.names):,} items has a text in "
                f"{name!r}; want the names of fields that hold text in text_fields"
            )
    if not items.names:
        told = ", ".join(file.input.relative for file in files)
        raise SourceError(f"{_where(plan, place)}: {told}: got no item at all, want at least one")
    return items


def _read_field(
    plan: Plan, place: int, items: Items, name: str, numbered: tuple[int, Found]
) -> None:
    number, file = numbered
    source = plan.manifest.decontaminate[place].source(name, file.path)
    reader = open_reader(source, plan.base, plan.manifest.limits.max_document_bytes)
    for rows in reader.read(Slice(input=file.input)):
        _check_readable(_where(plan, place), name, rows.quarantined)
        for row in rows.quarantined["source_row"].to_pylist():
            items.names.setdefault((number, row), f"{file.input.relative}#{row}")
        documents = rows.documents.select(["source_row", "id", "text"])
        for row, identifier, text in zip(*(c.to_pylist() for c in documents.columns), strict=True):
            items.names[number, row] = identifier
            items.texts[name][number, row] = text


def _check_readable(where: str, name: str, quarantined: pa.RecordBatch) -> None:
    """A set is read whole or not at all: an item that is passed over would not be looked for."""
    for bad in quarantined.select(QUARANTINE.names[:-1]).to_pylist():
        if bad["reason"] not in WITHOUT_TEXT:
            raise SourceError(
                f"{where}: {bad['source_path']}, row {bad['source_row']}, {name!r}: "
                f"{bad['detail']} ({bad['reason']}); mend the file: an item that cannot be read "
                "would never be found"
            )


def _passages(plan: Plan, items: list[Items]) -> tuple[pa.RecordBatch, list[str]]:
    """The first columns of PASSAGES, by set, item and field, and their texts.

    An item without any text has one passage, without words.
    """
    rows = [
        (place, number, one.names[row], name, one.texts[name].get(row, ""))
        for place, one in enumerate(items)
        for number, row in enumerate(sorted(one.names))
        for name in _fields_of(one, row)
    ]
    columns = list(zip(*rows, strict=True))
    arrays = [
        pa.array(values, column.type) for values, column in zip(columns[:4], PASSAGES, strict=False)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=PASSAGES.names[:4]), list(columns[4])


def _fields_of(items: Items, row: Row) -> Iterator[str]:
    found = [name for name, texts in items.texts.items() if row in texts]
    yield from found or list(items.texts)[:1]


def _as_stored(plan: Plan, texts: list[str]) -> pa.StringArray:
    config = plan.manifest.clean.model_copy(update={"html": "never"})
    cleaned = clean(pa.array(texts, pa.string()), config)
    return anonymise(cleaned.texts, plan.manifest.pii).texts
