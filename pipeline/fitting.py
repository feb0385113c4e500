"""Refining the items of a run, with thresholds that are fitted on what was measured of all of them.

A filter that needs a fit keeps everything at first; what it measured is read back from the refined
files, the fit is recorded, and the items are filtered again, without reading the corpus twice. With
several such filters, one after the other: each sees the documents that those before it keep.

    OUT/state/fit/<fingerprint>.json    "counts": {"source", "filter", "parameters", ...}
"""

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from filters.chain import needs_fit
from filters.errors import FilterError
from filters.protocol import Filter
from filters.registry import NAME_KEY, create, describe
from pipeline.graph.each import EachItem
from pipeline.graph.refine import refine_item
from pipeline.plan import Fit, Plan, RefineItem
from pipeline.records import Record, code_fingerprint, fingerprint
from pipeline.refined import RowReader
from pipeline.reuse import Measured, measured_before, reusing
from pipeline.stage import Context, run_stage, tell_why

STAGE = "fit"

Items = list[RefineItem]


def refine_all(
    context: Context, items_of: Callable[[Plan], Items]
) -> tuple[Items, dict[str, Record]]:
    """All refined files, in the order that numbers documents.

    `items_of` gives the items under a plan; `context.plan` has all fits afterwards.
    """
    while places := _unfitted(context.plan):
        items = [item for item in items_of(context.plan) if item.source in places]
        # The plan stays as it is until all are fitted: the items are named after it.
        fits = _fits(context, places, items)
        context.plan = replace(context.plan, fits=(*context.plan.fits, *fits))
    items = items_of(context.plan)
    return items, refine(context, items)


def refine(context: Context, items: Items) -> dict[str, Record]:
    """The records of these items; what was measured before is filtered again."""
    items = reusing(items, measured_so_far(context))
    again = {
        item.fingerprint
        for item in items
        if item.measured in context.again and item.fingerprint not in context.read_again
    }
    transform = EachItem(refine_item, plan=context.plan)
    label = _label(context.plan, items, again)
    records = run_stage(
        context,
        "refine",
        transform,
        items,
        label=label,
        made_of=lambda item: item.made_of,
        again=again,
    )
    context.read_again |= again
    return records


def measured_so_far(context: Context) -> Measured:
    """What was measured before and holds: not what is to be read again, until it was."""
    store = context.plan.records("refine")
    return measured_before(store, but=context.again, unless=context.read_again)


def _label(plan: Plan, items: Items, again: Collection[str]) -> str:
    """What a person sees: whether anything is read."""
    store = plan.records("refine")
    missing = [i for i in items if i.fingerprint in again or store.load(i.fingerprint) is None]
    return "refine" if any(item.measured_by is None for item in missing) else "refilter"


def _unfitted(plan: Plan) -> dict[str, int]:
    """The first filter that needs a fit of each source that has one, by its place."""
    found = {}
    done = {(fit.source, fit.place) for fit in plan.fits}
    for source in plan.manifest.sources:
        place = plan.chain_of(source.name).first_unfitted
        # One that was fitted in vain, without a document, stays as it is.
        if place is not None and (source.name, place) not in done:
            found[source.name] = place
    return found


def _fits(context: Context, places: Mapping[str, int], items: Items) -> list[Fit]:
    """The fit of one filter of each source, as recorded, or from the refined files of the source.

    `items` are those of all these sources. The sources whose fits have to be made are refined
    together, so that they share the workers.
    """
    plan, store = context.plan, context.plan.records(STAGE)
    own = {source: [item for item in items if item.source == source] for source in places}
    keys = {source: _key(plan, source, places[source], own[source]) for source in places}
    found = {source: store.read(key) for source, key in keys.items()}
    records = {source: record for source, record in found.items() if record is not None}
    missing = [source for source in places if source not in records]
    tell_why(context, STAGE, [keys[source] for source in missing])
    refined = refine(context, [item for s in missing for item in own[s]]) if missing else {}
    for source in missing:
        started = time.monotonic()
        of_source = [refined[item.fingerprint] for item in own[source]]
        counts = _fitted(plan, source, places[source], of_source)
        records[source] = store.commit(keys[source], {}, counts, time.monotonic() - started)
    return [Fit(fingerprint=keys[source], **records[source]["counts"]) for source in places]


def _key(plan: Plan, source: str, place: int, own: Items) -> str:
    """Fingerprint of a fit."""
    return fingerprint(
        plan.filters_of(source)[: place + 1],  # those after it decide nothing yet
        [item.measured for item in own],
        code_fingerprint("pipeline/fitting.py"),
    )


def _fitted(plan: Plan, source: str, place: int, records: list[Record]) -> dict[str, Any]:
    spec = plan.filters_of(source)[place]
    name, rule = plan.chain_of(source).filters[place]
    measured = _signals(plan, name, records)
    parameters: dict[str, Any] = {}  # without a document there is nothing to fit, or to decide
    if measured.num_rows:
        try:
            parameters = _checked(spec, rule, rule.fit(measured))  # type: ignore[attr-defined]
        except FilterError as exc:
            raise FilterError(
                f"source {source}: filter {name}, fitted on {measured.num_rows:,} documents: "
                f"{exc}; mend the filter or its parameters, or give what it would find in the "
                "manifest; what was measured is kept"
            ) from exc
    return {
        "source": source,
        "place": place,
        "filter": name,
        "parameters": parameters,
        "num_documents": measured.num_rows,
    }


def _signals(plan: Plan, name: str, records: list[Record]) -> pa.RecordBatch:
    """What a filter measured of the documents that reached it, in the order of the items."""
    paths = [plan.out / record["outputs"]["kept"]["path"] for record in records]
    columns = [n for n in RowReader(paths[0]).schema.names if n.startswith(f"{name}.")]
    readers = [RowReader(path, *columns) for path in paths]
    batches = [batch for reader in readers for batch in reader.batches()]
    table = pa.Table.from_batches(batches, readers[0].schema).select(columns)
    table = table.rename_columns([column.removeprefix(f"{name}.") for column in columns])
    arrays = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=table.column_names)


def _checked(spec: Mapping[str, Any], rule: Filter, fitted: object) -> dict[str, Any]:
    """The fitted thresholds as a manifest has them: of JSON's types.

    Raises FilterError unless they are thresholds, and all that were missing.
    """
    where = f"{type(rule).__name__}.fit"
    if not isinstance(fitted, Mapping):
        raise FilterError(f"{where}: got {type(fitted).__name__}, want a mapping of thresholds")
    known = {p.name for p in describe(spec[NAME_KEY]).parameters if p.is_threshold}
    if unknown := sorted(set(fitted) - known):
        raise FilterError(
            f"{where}: got {', '.join(unknown)}, want thresholds: {', '.join(sorted(known))}"
        )
    try:
        parameters: dict[str, Any] = json.loads(json.dumps(dict(fitted), allow_nan=False))
    except (TypeError, ValueError) as exc:
        raise FilterError(f"{where}: got {fitted}, want values that JSON has ({exc})") from exc
    if needs_fit(create({**spec, **parameters})[1]):
        raise FilterError(f"{where}: got {fitted}, with which it still needs a fit")
    return parameters
