"""What was measured before, under other thresholds: such items need no reading and no measuring."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from pipeline.plan import RefineItem
from pipeline.records import Records

Measured = dict[str, str]  # by `measured`, the fingerprint of an item that is whole


def measured_before(
    store: Records, but: Collection[str] = (), unless: Collection[str] = ()
) -> Measured:
    """The items of `refine` whose files are there, one for each thing measured.

    Of several the one that kept most: more of its documents reached the expensive filters. None of
    what `but` names, unless its fingerprint is one of `unless`.
    """
    best: dict[str, tuple[int, str]] = {}
    for record in store.all():
        measured = record.get("measured")
        if measured is None or not store.is_whole(record):
            continue
        if measured in but and record["fingerprint"] not in unless:
            continue
        rank = (record["counts"]["num_kept"], record["fingerprint"])
        best[measured] = max(best.get(measured, rank), rank)
    return {measured: name for measured, (_, name) in best.items()}


def reusing(items: Iterable[RefineItem], measured: Measured) -> list[RefineItem]:
    """The items, each with the one that its documents can be taken from, if there is one."""
    return [replace(item, measured_by=measured.get(item.measured)) for item in items]
