"""`prepare run`, read from top to bottom: what there is, refine, deduplicate, pack, balance."""

import os
import shutil
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import yaml

from filters.kernels.compiled import was_compiled
from filters.protocol import load
from filters.registry import create
from pipeline.decontamination.report import write_report
from pipeline.decontamination.sets import STAGE as DECONTAMINATE
from pipeline.decontamination.sets import with_evaluation_sets
from pipeline.dedup.kernels import text_hash
from pipeline.deduplication import deduplicate
from pipeline.editing import SCANNING, edit, with_known_table
from pipeline.editing import STAGE as EDITS
from pipeline.erasing.rerun import apply_known, num_erased, with_erased
from pipeline.erasing.segment import purge_own_segment
from pipeline.errors import QuarantineError, UsageError
from pipeline.files import atomic, file_hash, remove_empty_folders, remove_page, write_json
from pipeline.fitting import STAGE as FIT
from pipeline.fitting import measured_so_far, refine_all
from pipeline.graph.each import EachItem
from pipeline.graph.refine import spool_item
from pipeline.indexing import STAGES as INDEXING
from pipeline.indexing import add_to_index, opened
from pipeline.inputs import (
    MANIFEST_NAME,
    RUN_NAME,
    content_hashes,
    known_contents,
    list_inputs,
)
from pipeline.ledger import check_balance, check_quarantine, refined_ledger, to_json
from pipeline.manifest import manifest_values, plugin_spec
from pipeline.mending import forget_damaged
from pipeline.outcome import Outcome as Outcome
from pipeline.parts import finish, manifest_fingerprint, pack, tokenise
from pipeline.pii_audit import write_audit
from pipeline.plan import (
    Place,
    Plan,
    RefineItem,
    SpoolItem,
    refine_items,
    spool_items,
    text_items,
)
from pipeline.quarantine.latest import forget_stopped, remember_stopped
from pipeline.records import Record
from pipeline.reuse import Measured
from pipeline.seal import write_seal
from pipeline.shards import INDEX_NAME, TokenizerIdentity
from pipeline.signals import check_strata, check_survivor
from pipeline.sources.protocol import Input
from pipeline.stage import Context, locked, run_stage
from pipeline.stratifying import stratify
from pipeline.text.pii.key import load_key
from pipeline.text.pii.plugins.registry import load as load_recognizer
from pipeline.tokens.chat import read_template
from pipeline.tokens.resolve import resolve_tokenizer

COMPILING = "the first run of an installation compiles its kernels: about a minute more"


def run(context: Context) -> Outcome:
    """Prepare a corpus. What was done before and still holds is not done again."""
    plan = context.plan = with_pii_key(context.plan)
    inputs = list_inputs(plan)
    check_filters(plan)
    check_extractors(plan)
    check_strata(plan)
    check_survivor(plan)
    with locked(plan.out), opened(plan):
        if context.mend:
            with context.reporter.stage("inputs", sum(map(len, inputs.values())), 0) as advance:
                content_hashes(plan, inputs, advance, context.may_change)
            forget_damaged(context)
        plan = context.plan = with_evaluation_sets(plan)
        if not (plan.out / "shards" / INDEX_NAME).is_file():
            context.runner.start()  # there is work: the processes import while this one goes on
            if not was_compiled(text_hash):
                context.reporter.note(COMPILING)
        identity = resolve_tokenizer(plan.manifest.tokenizer, plan.base, plan.out)
        check_template(plan, identity)
        with context.reporter.stage("inputs", sum(map(len, inputs.values())), 0) as advance:
            hashes = content_hashes(plan, inputs, advance, context.may_change)

        def work() -> Outcome:
            items, refined = refine(context, inputs, hashes)
            return complete(context, items, refined, identity)

        outcome = with_erased(context, work)
        write_seal(plan, inputs, context.num_items)
        return outcome


def complete(
    context: Context,
    items: list[RefineItem],
    refined: dict[str, Record],
    identity: TokenizerIdentity,
) -> Outcome:
    """All that follows `refine`; the output directory is locked."""
    plan = context.plan
    ledger = refined_ledger((item.source, refined[item.fingerprint]) for item in items)
    try:
        check_quarantine(ledger, plan.manifest.limits.max_quarantined_fraction)
    except QuarantineError:
        remember_stopped(plan, [item.fingerprint for item in items])
        raise
    forget_stopped(plan)
    removals = deduplicate(context, items, refined)
    tokenised = tokenise(context, items, refined, removals, identity)
    stratified = stratify(context, tokenised, removals)
    for item, record in tokenised:
        ledger[item.source].add_tokenised(record)
        if strata := plan.manifest.strata_of(item.source):
            order = stratified[item.fingerprint]
            ledger[item.source].add_stratified(strata.all_names, order)
    check_balance(ledger)
    packed = pack(context, tokenised, stratified, identity)
    names = {
        DECONTAMINATE: [plan.evaluation_sets] if plan.evaluation_sets else [],
        "refine": [item.fingerprint for item in items],
        EDITS: [] if plan.edits is None else [plan.edits.fingerprint],
        FIT: [fit.fingerprint for fit in plan.fits],
        "deduplicate": [removals["fingerprint"]],
        "tokenise": [item.fingerprint for item, _ in tokenised],
        "stratify": [record["fingerprint"] for record in stratified.values()],
        "pack": [item.fingerprint for item, _ in packed],
    }
    if apply_known(context, names, identity.pad_id):
        refined = {name: _record(plan, "refine", name) for name in refined}
        packed = [(item, _record(plan, "pack", item.fingerprint)) for item, _ in packed]
    for each in items:
        ledger[each.source].num_erased += num_erased(refined[each.fingerprint])
    overlaps = write_report(plan, items, refined)
    add_to_index(context, items, refined, removals)
    purge_own_segment(plan)
    write_json(plan.out / "ledger.json", to_json(ledger))
    write_audit(plan, [(item.source, refined[item.fingerprint]) for item in items])
    manifest_xxh3 = _write_manifest(plan)
    run_values = {**names, **_origin(plan), "manifest_xxh3": manifest_xxh3}
    write_json(plan.out / RUN_NAME, run_values)
    index = finish(plan, packed, identity)
    _prune(plan, names)
    return Outcome(
        ledger,
        index,
        removals,
        context.num_items,
        context.num_run,
        plan.fits,
        tuple(overlaps),
    )


def _record(plan: Plan, stage: str, name: str) -> Record:
    """A record that erasure may have changed."""
    record = plan.records(stage).read(name)
    assert record is not None, f"{stage} {name}"
    return record


def _origin(plan: Plan) -> dict[str, object]:
    """What `manifest.yaml` does not tell: where its paths begin, and what was fitted."""
    return {
        "manifest_fingerprint": manifest_fingerprint(plan),
        "inputs": known_contents(plan.out),
        "base": os.path.relpath(plan.base, plan.out),
        "fits": [asdict(fit) for fit in plan.fits],
        "edit_table": None if plan.edits is None else asdict(plan.edits),
    }


def check_filters(plan: Plan) -> None:
    """Load every filter's models once here, so that a missing one stops the run before any work.

    Those of recogniser plugins, too.
    """
    for spec in plan.manifest.filters:
        load(create(plugin_spec(spec), plan.base)[1])
    for spec in plan.manifest.pii.recognizers:
        load_recognizer(spec)


def check_template(plan: Plan, identity: TokenizerIdentity) -> None:
    """Raise `ManifestError` where a source has messages and the tokenizer no chat template, or
    one that is no template."""
    for source in plan.manifest.sources:
        if source.messages_field is not None:
            read_template(plan.out / identity.path).check()


def check_extractors(plan: Plan) -> None:
    """Raises `UsageError` where pages are to be read by a library that is not installed.

    Only work needs it: what is finished can be read without.
    """
    for source in plan.manifest.sources:
        clean = plan.manifest.clean_of(source.name)
        needed = clean.html != "never" and clean.extract == "trafilatura"
        if needed and find_spec("trafilatura") is None:
            raise UsageError(
                f"sources.{source.name}: clean.extract is 'trafilatura', which is not installed; "
                "install headwater[trafilatura], or want 'resiliparse' or 'strip'"
            )


def with_pii_key(plan: Plan) -> Plan:
    """The plan with the fingerprint of its key. Raises `UsageError` where there is no key."""
    key = load_key(plan.manifest.pii, plan.base)
    return replace(plan, pii_key=None if key is None else key.fingerprint)


def refine(
    context: Context, inputs: dict[str, list[Input]], hashes: dict[Place, str]
) -> tuple[list[RefineItem], dict[str, Record]]:
    """All refined files, in the order that numbers documents."""
    work = spool_items(context.plan, inputs, hashes)
    store = context.plan.records("spool")
    spooled = {item.place: store.read(item.fingerprint) for item in work}
    known = {place: record for place, record in spooled.items() if record is not None}
    if len(known) == len(work):
        texts = text_items(context.plan, inputs, hashes, known)
        context.plan = with_known_table(context.plan, texts)
    plan = context.plan
    measured = measured_so_far(context) if work else {}
    pending = [
        item for item in work if not _is_settled(plan, item, spooled[item.place], hashes, measured)
    ]
    if pending:
        done = run_stage(context, "spool", EachItem(spool_item, plan=plan), pending)
        spooled |= {item.place: done[item.fingerprint] for item in pending}
    chunks = {place: record for place, record in spooled.items() if record is not None}
    edit(context, text_items(plan, inputs, hashes, chunks))
    refined = refine_all(context, lambda plan: refine_items(plan, inputs, hashes, chunks))
    shutil.rmtree(plan.out / "spool", ignore_errors=True)
    return refined


def _is_settled(
    plan: Plan,
    item: SpoolItem,
    record: Record | None,
    hashes: dict[Place, str],
    measured: Measured,
) -> bool:
    """Whether a file need not be spooled: its chunks are there, or all of them were measured."""
    if record is None:
        return False
    if plan.records("spool").load(item.fingerprint) is not None:
        return True
    if plan.manifest.edits is not None and plan.edits is None:
        return False  # all texts are to be read
    inputs = {item.source: [item.input]}
    chunks = refine_items(plan, inputs, hashes, {item.place: record})
    return all(chunk.measured in measured for chunk in chunks)


def _write_manifest(plan: Plan) -> str:
    """The manifest as it was understood, overrides and defaults included; it can be loaded.

    Returns the hash of the file.
    """
    path = plan.out / MANIFEST_NAME
    text = yaml.safe_dump(manifest_values(plan.manifest), sort_keys=False)
    if not path.is_file() or path.read_bytes() != text.encode():
        remove_page(plan.out)  # it shows the manifest, of which no work item may depend
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return file_hash(path)


def _prune(plan: Plan, names: dict[str, list[str]]) -> None:
    """Remove what earlier configs left behind: of `candidates` and `verify` everything."""
    stages = ("refine", FIT, "candidates", "verify", "deduplicate", "tokenise", "stratify")
    for stage in (EDITS, *SCANNING, DECONTAMINATE, *stages, *INDEXING):
        plan.records(stage).prune(names.get(stage, ()))
    for folder in (plan.out / "dedup").iterdir():
        if folder.name not in names["deduplicate"]:
            shutil.rmtree(folder)
    remove_empty_folders(plan.out / "edits")
    _remove_temporary(plan.out)


def _remove_temporary(out: Path) -> None:
    """Files that a killed run was writing: the lock is ours, so nobody writes them now."""
    for path in out.rglob(".tmp-*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
