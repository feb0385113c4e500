"""`spool` and `refine` for one work item: read it, write its files, commit its record.

An item whose texts were measured before, under other thresholds, is not read again: its documents,
kept and dropped, are taken from the refined files of then and filtered anew.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from pipeline.arrow import num_value_bytes
from pipeline.errors import PrepareError
from pipeline.files import arrow_writer
from pipeline.ledger import check_item, refine_imbalance
from pipeline.plan import ITEM_BYTES, Plan, RefineItem, SpoolItem, TextItem
from pipeline.records import Record, check_outputs
from pipeline.refined import RefinedWriter, documents_as_read, refined_paths
from pipeline.refining import Refinery, build_refinery
from pipeline.sources.coalesce import coalesce
from pipeline.sources.files import check_unchanged
from pipeline.sources.protocol import Slice
from pipeline.sources.schema import QUARANTINE, SKIPPED, Rows, document_schema
from pipeline.tokens.chat import template_digest
from pipeline.tokens.resolve import FOLDER

_TAKEN = ("kept", "dropped", "quarantined")  # files that an item is filtered anew from
SPOOLED = ("documents", "quarantined", "skipped")  # files of a spooled chunk, as `Rows` has them


def refine_item(item: RefineItem, plan: Plan) -> Record:
    """Read, or take from what was read before, refine and commit one work item."""
    started = time.monotonic()
    refinery = _refinery(plan, item.source)
    paths = refined_paths(plan.out, item.source, item.fingerprint)
    write = _refine if item.measured_by is None else _refilter
    writer = write(item, plan, refinery, paths)
    counts = writer.counts()
    check_item(refine_imbalance(counts), f"source {item.source}: {_name(item)}")
    return plan.records("refine").commit(
        item.fingerprint,
        paths,
        counts,
        time.monotonic() - started,
        item.made_of,
        source=item.source,
        settings=item.settings,
        measured=item.measured,
        batch_rows=writer.batch_rows,
    )


def _name(item: RefineItem) -> str:
    """What a person knows an item by."""
    if not item.slices:
        return item.chunk or f"refine {item.fingerprint}"
    first, last = item.slices[0], item.slices[-1]
    return f"{first.input.relative} from {first.start:,} to {last.input.relative}"


def _refine(
    item: RefineItem, plan: Plan, refinery: Refinery, paths: dict[str, Path]
) -> RefinedWriter:
    first_row = 0
    with RefinedWriter(paths, refinery) as writer:
        for rows in coalesce(read_rows(item, plan)):
            refined = refinery(rows.documents, first_row)
            writer.write(rows, refined)
            first_row += refined.kept.num_rows + refined.dropped.num_rows
    return writer


def _refilter(
    item: RefineItem, plan: Plan, refinery: Refinery, paths: dict[str, Path]
) -> RefinedWriter:
    before = plan.records("refine").load(str(item.measured_by))
    if before is None:
        raise PrepareError(
            f"{plan.out}: the refined files of {item.measured_by} are gone; run it again"
        )
    check_outputs(plan.out, before, _TAKEN)
    stored = refinery.stored(_empty(refinery.read_schema)).schema.names
    with RefinedWriter(paths, refinery, before["counts"]) as writer:
        for batch in _batches(plan.out / before["outputs"]["quarantined"]["path"]):
            writer.write_quarantined(batch)
        for rows in documents_as_read(plan.out, before):
            known = [name for name in rows.schema.names if name not in stored]
            writer.write_refined(refinery.decide(rows.select(stored), rows.select(known)))
    return writer


def read_rows(item: RefineItem | TextItem, plan: Plan) -> Iterator[Rows]:
    """The rows of an item, from its slices or from its spooled chunk."""
    if item.chunk is None:
        reader = plan.reader(item.source)
        for piece in item.slices:
            yield from reader.read(piece)
            check_unchanged(piece.input)
        return
    documents, quarantined, skipped = (
        plan.out / item.chunk.replace("documents-", f"{kind}-") for kind in SPOOLED
    )
    schema = _read_schema(plan, item.source)
    for batch in _batches(documents):
        yield Rows(batch, _empty(QUARANTINE))
    for batch in _batches(quarantined):
        yield Rows(_empty(schema), batch)
    for batch in _batches(skipped):
        yield Rows(_empty(schema), _empty(QUARANTINE), batch)


def _read_schema(plan: Plan, source: str) -> pa.Schema:
    return document_schema(segmented=plan.source(source).is_segmented)


def spool_item(item: SpoolItem, plan: Plan) -> Record:
    """Read one file from start to end and write it as chunks of about `ITEM_BYTES` of text."""
    started = time.monotonic()
    folder = plan.out / "spool" / item.fingerprint
    outputs: dict[str, Path] = {}
    schemas = (_read_schema(plan, item.source), QUARANTINE, SKIPPED)
    num_read = 0
    batches = plan.reader(item.source).read(Slice(input=item.input))
    batches = coalesce(batches)
    rows = next(batches, None)
    while rows is not None:
        name = f"{len(outputs) // len(SPOOLED):05d}.arrow"
        names = [f"{kind}-{name}" for kind in SPOOLED]
        outputs.update({file: folder / file for file in names})
        with ExitStack() as stack:
            writers = [
                stack.enter_context(arrow_writer(folder / file, schema))
                for file, schema in zip(names, schemas, strict=True)
            ]
            num_bytes = 0
            while rows is not None and num_bytes < ITEM_BYTES:
                for writer, batch in zip(writers, rows, strict=True):
                    writer.write_batch(batch)
                num_bytes += int(num_value_bytes(rows.documents["text"]).sum())
                num_read += rows.documents.num_rows + rows.quarantined.num_rows
                rows = next(batches, None)
    check_unchanged(item.input)
    seconds = time.monotonic() - started
    counts = {"num_read": num_read}
    return plan.records("spool").commit(item.fingerprint, outputs, counts, seconds, item.made_of)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


_refineries: dict[tuple[str, ...], Refinery] = {}


def _refinery(plan: Plan, source: str) -> Refinery:
    """One refinery per process and source, whose parts need not be found again for each item."""
    filters = json.dumps([str(plan.base), *plan.filters_of(source)])
    tables = f"{plan.out}: {plan.evaluation_sets}, {plan.edits_folder}"
    template = template_digest(plan.out / FOLDER)
    key = (plan.manifest.model_dump_json(), source, filters, tables, str(plan.pii_key), template)
    if key not in _refineries:
        _refineries[key] = build_refinery(plan, source)
    return _refineries[key]
