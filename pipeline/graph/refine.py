"""`spool` and `refine` for one work item: read it, write its files, commit its record."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from pipeline.arrow import num_value_bytes
from pipeline.files import arrow_writer
from pipeline.plan import ITEM_BYTES, Plan, RefineItem, SpoolItem
from pipeline.records import Record
from pipeline.refined import RefinedWriter, refined_paths
from pipeline.refining import Refinery, build_refinery
from pipeline.sources.coalesce import coalesce
from pipeline.sources.protocol import Slice
from pipeline.sources.schema import DOCUMENT, QUARANTINE, Rows


def refine_item(item: RefineItem, plan: Plan) -> Record:
    """Read, refine and commit one work item."""
    started = time.monotonic()
    refinery = _refinery(plan, item.source)
    paths = refined_paths(plan.out, item.source, item.fingerprint)
    with RefinedWriter(paths, refinery) as writer:
        for rows in coalesce(read_rows(item, plan)):
            writer.write(rows, refinery(rows.documents))
    seconds = time.monotonic() - started
    return plan.records("refine").commit(item.fingerprint, paths, writer.counts(), seconds)


def read_rows(item: RefineItem, plan: Plan) -> Iterator[Rows]:
    """The rows of an item, from its slices or from its spooled chunk."""
    if item.chunk is None:
        reader = plan.reader(item.source)
        for piece in item.slices:
            yield from reader.read(piece)
        return
    documents = plan.out / item.chunk
    quarantined = documents.with_name(documents.name.replace("documents-", "quarantined-"))
    for batch in _batches(documents):
        yield Rows(batch, _empty(QUARANTINE))
    for batch in _batches(quarantined):
        yield Rows(_empty(DOCUMENT), batch)


def spool_item(item: SpoolItem, plan: Plan) -> Record:
    """Read one file from start to end and write it as chunks of about `ITEM_BYTES` of text."""
    started = time.monotonic()
    folder = plan.out / "spool" / item.fingerprint
    outputs: dict[str, Path] = {}
    num_read = 0
    batches = plan.reader(item.source).read(Slice(input=item.input))
    batches = coalesce(batches)
    rows = next(batches, None)
    while rows is not None:
        name = f"{len(outputs) // 2:05d}.arrow"
        pair = [f"documents-{name}", f"quarantined-{name}"]
        outputs.update({kind: folder / kind for kind in pair})
        with ExitStack() as stack:
            documents, quarantined = (
                stack.enter_context(arrow_writer(folder / kind, schema))
                for kind, schema in zip(pair, (DOCUMENT, QUARANTINE), strict=True)
            )
            num_bytes = 0
            while rows is not None and num_bytes < ITEM_BYTES:
                documents.write_batch(rows.documents)
                quarantined.write_batch(rows.quarantined)
                num_bytes += int(num_value_bytes(rows.documents["text"]).sum())
                num_read += rows.documents.num_rows + rows.quarantined.num_rows
                rows = next(batches, None)
    seconds = time.monotonic() - started
    counts = {"num_read": num_read}
    return plan.records("spool").commit(item.fingerprint, outputs, counts, seconds)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


_refineries: dict[tuple[str, str], Refinery] = {}


def _refinery(plan: Plan, source: str) -> Refinery:
    """One refinery per process and source: filters load their models once."""
    key = (plan.manifest.model_dump_json(), source)
    if key not in _refineries:
        _refineries[key] = build_refinery(plan.manifest, source)
    return _refineries[key]
