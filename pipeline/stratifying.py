"""Strata from the driver's side: what to stratify, and what the shards of a stratum hold."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise

from pipeline.graph.each import EachItem
from pipeline.graph.pack import Documents, TokeniseItem
from pipeline.graph.stratify import StratifyItem, stratify_item
from pipeline.plan import Plan
from pipeline.records import MadeOf, Record, code_fingerprint, fingerprint, made_hash
from pipeline.shards import SPLITS
from pipeline.signals import DUPLICATES
from pipeline.stage import Context, run_stage
from pipeline.tokens.token_file import num_documents

Tokenised = tuple[TokeniseItem, Record]
Stratified = Mapping[str, Record]  # by the fingerprint of the item of `tokenise`


def stratify(
    context: Context, tokenised: Sequence[Tokenised], removal_record: Record
) -> dict[str, Record]:
    """The orders of the token files of sources with strata; of the others there is no record."""
    work = {}
    for item, record in tokenised:
        made = _stratify_item(context.plan, item, record, removal_record)
        if made is not None:
            work[item.fingerprint] = made
    if not work:
        return {}
    transform = EachItem(stratify_item, plan=context.plan)
    items = list(work.values())
    records = run_stage(context, "stratify", transform, items, made_of=lambda each: each.made_of)
    return {name: records[item.fingerprint] for name, item in work.items()}


def _stratify_item(
    plan: Plan, item: TokeniseItem, record: Record, removal_record: Record
) -> StratifyItem | None:
    strata = plan.manifest.strata_of(item.source)
    if strata is None:
        return None
    removals = removal_record["outputs"]["removals"]
    # Of the other signals, removals change only which documents there are.
    duplicates = made_hash(removals) if strata.by == DUPLICATES else None
    made_of = MadeOf(
        fingerprint(item.fingerprint, duplicates),
        fingerprint(strata.by, strata.edges),
        code_fingerprint("pipeline/strata.py", "pipeline/signals.py", "pipeline/graph/stratify.py"),
    )
    tokens = tuple((split, record["outputs"][split]["path"]) for split in SPLITS)
    key = made_of.fingerprint
    return StratifyItem(item.source, strata, item.kept, tokens, removals["path"], key, made_of)


def stratum_documents(
    plan: Plan, source: str, split: str, tokenised: Sequence[Tokenised], stratified: Stratified
) -> Iterator[tuple[str | None, list[Documents]]]:
    """The strata of a source, by number, with their documents; a source without has one: None."""
    records = [(item, record) for item, record in tokenised if item.source == source]
    strata = plan.manifest.strata_of(source)
    paths = [record["outputs"][split]["path"] for _, record in records]
    if strata is None:
        yield None, [Documents(path, 0, num_documents(plan.out / path)) for path in paths]
        return
    orders = [stratified[item.fingerprint] for item, _ in records]
    bounds = [
        list(pairwise(accumulate(order["counts"]["num_documents"][split], initial=0)))
        for order in orders
    ]
    for number, name in enumerate(strata.all_names):
        yield (
            name,
            [
                Documents(path, *bound[number], order["outputs"][split]["path"])
                for path, bound, order in zip(paths, bounds, orders, strict=True)
            ],
        )
