"""`prepare refilter`: other thresholds for a finished output, without its inputs and its manifest.

What the filters measured is stored with the documents, kept and dropped, so that a threshold can
change without anything being read again. What comes of it is what `prepare run` would make of the
changed manifest.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filters.errors import FilterConfigError
from filters.per_language import KEY as LANGUAGES_KEY
from filters.registry import NAME_KEY, describe, measuring
from pipeline.configfile import set_value
from pipeline.decontamination.sets import STAGE as DECONTAMINATE
from pipeline.editing import STAGE as EDITS
from pipeline.erasing.rerun import with_erased
from pipeline.errors import PrepareError, UsageError
from pipeline.finished import check_finished, read_run
from pipeline.fitting import refine_all
from pipeline.indexing import opened
from pipeline.inputs import MANIFEST_NAME
from pipeline.manifest import SOURCES_KEY, load_manifest, plugin_spec
from pipeline.plan import (
    EditTable,
    Plan,
    RefineItem,
    measuring_settings,
    refined_fingerprint,
    refined_of,
)
from pipeline.records import Record
from pipeline.run import Outcome, check_filters, complete, with_pii_key
from pipeline.stage import Context, locked
from pipeline.tokens.resolve import resolve_tokenizer, saved_tokenizer


def finished_plan(out: Path, overrides: Sequence[str]) -> Plan:
    """The plan of a finished output with other thresholds.

    Raises `UsageError` where there is no such output, or an override is no threshold of a filter.
    """
    check_finished(out)
    before = load_manifest(out / MANIFEST_NAME)
    for override in overrides:
        _check_names_a_filter(override)
    after = load_manifest(out / MANIFEST_NAME, overrides)
    changed = {"filters": copy.deepcopy(list(before.filters))}
    for override in overrides:  # one after the other, so that the one at fault is named
        set_value(changed, override, UsageError)
        _check_is_threshold(override, before.filters, changed["filters"])
    run = read_run(out)
    table = next(iter(run.get(DECONTAMINATE, ())), None)
    base = (out / run.get("base", ".")).resolve()
    plan = Plan(after, base, out.resolve(), evaluation_sets=table, edits=_edit_table(run))
    _check_tables(plan)
    return plan


def _edit_table(run: dict[str, Any]) -> EditTable | None:
    table = run.get("edit_table")
    return None if table is None else EditTable(**table)


def _check_tables(plan: Plan) -> None:
    """Raise `PrepareError` where a table is gone that documents are refined with."""
    tables = {
        DECONTAMINATE: plan.evaluation_sets,
        EDITS: None if plan.edits is None else plan.edits.fingerprint,
    }
    for stage, key in tables.items():
        if key is not None and plan.records(stage).load(key) is None:
            raise PrepareError(
                f"{plan.out}/{stage}: the table {key} is gone or damaged; use `prepare run`, which "
                "makes it again"
            )


def _check_names_a_filter(override: str) -> None:
    parts = override.partition("=")[0].split(".")
    if parts[0] != "filters" or len(parts) < 3:
        raise UsageError(
            f"--set {override}: got {'.'.join(parts)}, want a threshold of a filter, such as "
            "filters.0.min_score: anything else changes what is read, measured or done later; "
            "change it in the manifest and use `prepare run`"
        )


def _check_is_threshold(
    override: str, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> None:
    """The place is a number of the list, or the manifest would not have loaded."""
    key = override.partition("=")[0]
    _, place, parameter, *_ = key.split(".")
    old, new = before[int(place)], after[int(place)]
    try:
        if _without_thresholds(old) == _without_thresholds(new):
            return
    except FilterConfigError as exc:
        raise UsageError(f"--set {override}: {exc}") from exc
    if parameter == LANGUAGES_KEY and old.get(LANGUAGES_KEY) is None:
        raise UsageError(
            f"--set {override}: filters.{place} ({old[NAME_KEY]}) has no {LANGUAGES_KEY} so far, "
            "and without it the languages of the documents are not stored with its signals; add "
            "it to the manifest and use `prepare run`"
        )
    known = [p.name for p in describe(old[NAME_KEY]).parameters if p.is_threshold]
    raise UsageError(
        f"--set {override}: {key} is no threshold of {old[NAME_KEY]}: it decides what is measured, "
        f"or of what; want one of {', '.join(known) or 'none: it has no thresholds'}, or change "
        "the manifest and use `prepare run`"
    )


def _without_thresholds(spec: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    return measuring(plugin_spec(spec)), spec.get(SOURCES_KEY)


def refilter(context: Context) -> Outcome:
    """Filter the documents of a finished output again, and do what follows."""
    context.plan = with_pii_key(context.plan)
    out = context.plan.out
    check_filters(context.plan)
    with locked(out), opened(context.plan):
        context.runner.start()
        identity = saved_tokenizer(out) or resolve_tokenizer(
            context.plan.manifest.tokenizer, context.plan.base, out
        )

        def work() -> Outcome:
            records = _refined(context.plan)
            items, refined = refine_all(context, lambda plan: _items(plan, records))
            return complete(context, items, refined, identity)

        return with_erased(context, work, can_read=False)


def _refined(plan: Plan) -> list[Record]:
    """The records of the refined items of the finished run, in its order."""
    names = read_run(plan.out)["refine"]
    found = {name: plan.records("refine").load(name) for name in names}
    if missing := sorted(name for name, record in found.items() if record is None):
        raise PrepareError(
            f"{plan.out}: the refined files of {len(missing)} of {len(names)} items are gone or "
            f"damaged, {missing[0]} for one; use `prepare run`"
        )
    records = [record for record in found.values() if record is not None]
    settings = {s.name: measuring_settings(plan, s) for s in plan.manifest.sources}
    for record in records:
        if record.get("settings") != settings.get(record.get("source", "")):
            raise UsageError(
                f"{plan.out}: made by another version of Headwater, of one of its libraries or of "
                "a filter or its model, which may measure otherwise; use `prepare run` with the "
                "manifest"
            )
    return records


def _items(plan: Plan, records: Sequence[Record]) -> list[RefineItem]:
    """The items of the finished run under the thresholds of the plan: they have nothing to read."""
    made_of = {source.name: refined_of(plan, source.name, "") for source in plan.manifest.sources}
    items = []
    for record in records:
        source, measured = record["source"], record["measured"]
        key = refined_fingerprint(plan, source, measured)
        origin = replace(made_of[source], contents=record["of"]["contents"])
        items.append(RefineItem(source, (), None, record["settings"], measured, key, origin))
    return items
