"""Tokenising and packing from the driver's side: what goes into which part, and the index.

Documents are grouped into parts by cumulative tokens in the order of the refined files, so a part's
bytes do not depend on how many workers made it.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.files import remove_empty_folders
from pipeline.graph.each import EachItem
from pipeline.graph.pack import Documents, PackItem, TokeniseItem, pack_item, tokenise_item
from pipeline.plan import Plan, RefineItem
from pipeline.records import MadeOf, Record, code_fingerprint, fingerprint, made_hash
from pipeline.removals import ROW_BITS
from pipeline.shards import INDEX_NAME, SPLITS, Shard, ShardIndex, TokenizerIdentity, write_index
from pipeline.stage import Context, run_stage, tell_why
from pipeline.stratifying import Stratified, stratum_documents
from pipeline.tokens.chat import read_template
from pipeline.tokens.token_file import span_lengths


def tokenise(
    context: Context,
    items: Sequence[RefineItem],
    refined: dict[str, Record],
    removal_record: Record,
    identity: TokenizerIdentity,
) -> list[tuple[TokeniseItem, Record]]:
    """Token files of all refined files, in their order."""
    plan = context.plan
    work = _tokenise_items(plan, items, refined, removal_record, identity)
    transform = EachItem(tokenise_item, plan=plan, identity=identity)
    records = run_stage(context, "tokenise", transform, work, made_of=lambda item: item.made_of)
    return [(item, records[item.fingerprint]) for item in work]


def _tokenise_items(
    plan: Plan,
    items: Sequence[RefineItem],
    refined: dict[str, Record],
    removal_record: Record,
    identity: TokenizerIdentity,
) -> list[TokeniseItem]:
    config = plan.manifest.tokenizer.model_dump(mode="json")
    code = fingerprint(
        code_fingerprint("pipeline/tokens", "pipeline/graph/pack.py", "pipeline/splits.py"),
        code_fingerprint("pipeline/segments.py"),
    )
    path = removal_record["outputs"]["removals"]["path"]
    table = _removal_table(plan, path)
    docs = table["doc"].to_numpy()
    bounds = np.searchsorted(
        docs, np.arange(len(items) + 1, dtype=np.uint64) << np.uint64(ROW_BITS)
    )
    work = []
    for number, item in enumerate(items):
        first, last = int(bounds[number]), int(bounds[number + 1])
        record = refined[item.fingerprint]
        kept = record["outputs"]["kept"]
        template = _template_digest(plan, item.source, identity)
        fraction = plan.source(item.source).validation_fraction
        made_of = MadeOf(
            fingerprint(made_hash(kept), _removed_digest(table.slice(first, last - first))),
            fingerprint(identity.fingerprint, config, template, fraction),
            code,
        )
        work.append(
            TokeniseItem(
                item.source,
                kept["path"],
                path,
                first,
                last,
                made_of.fingerprint,
                record["counts"]["num_kept"],
                made_of,
            )
        )
    return work


def _template_digest(plan: Plan, source: str, identity: TokenizerIdentity) -> str:
    """Of the chat template, where the source has messages; its tokenizer.json does not hold it."""
    if plan.source(source).messages_field is None:
        return ""
    return read_template(plan.out / identity.path).digest


def _removal_table(plan: Plan, path: str) -> pa.Table:
    with pa.memory_map(str(plan.out / path)) as source:
        return pa.ipc.open_file(source).read_all()


def _removed_digest(removals: pa.Table) -> str:
    """What a tokenised file depends on: which of its rows are gone, and by which rule."""
    # Not the document numbers: they shift when a file before this one comes or goes. Nor the keys,
    # which are those of the rows, and null once they are erased.
    rows = pa.array(removals["doc"].to_numpy() & np.uint64((1 << ROW_BITS) - 1))
    table = pa.table([rows, removals["rule"]], names=["row", "rule"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    return str(xxhash.xxh3_128_hexdigest(sink.getvalue()))


def pack(
    context: Context,
    tokenised: Sequence[tuple[TokeniseItem, Record]],
    stratified: Stratified,
    identity: TokenizerIdentity,
) -> list[tuple[PackItem, Record]]:
    """Parts of all sources, splits and strata; those of another config are removed first."""
    plan = context.plan
    work = _pack_items(plan, tokenised, stratified, identity)
    store = plan.records("pack")
    # A part's name does not tell its config, so what is not wanted goes before anything is written.
    if missing := [item.fingerprint for item in work if store.load(item.fingerprint) is None]:
        tell_why(context, "pack", missing, {item.fingerprint: item.made_of for item in work})
        (plan.out / "shards" / INDEX_NAME).unlink(missing_ok=True)
    store.prune(item.fingerprint for item in work)
    _remove_unknown(plan.out, {item.path for item in work})
    remove_empty_folders(plan.out / "shards")  # of strata that have gone, or other names
    records = run_stage(context, "pack", EachItem(pack_item, plan=plan, identity=identity), work)
    return [(item, records[item.fingerprint]) for item in work]


def _remove_unknown(out: Path, wanted: set[str]) -> None:
    """Remove the parts of which no record tells any more."""
    for path in (out / "shards").rglob("part-*.arrow"):
        if path.relative_to(out).as_posix() not in wanted:
            path.unlink()


def _pack_items(
    plan: Plan,
    tokenised: Sequence[tuple[TokeniseItem, Record]],
    stratified: Stratified,
    identity: TokenizerIdentity,
) -> list[PackItem]:
    config = fingerprint(plan.manifest.pack.model_dump(mode="json"), identity.fingerprint)
    code = code_fingerprint("pipeline/tokens", "pipeline/shards.py")
    digests = _digests([record for _, record in tokenised] + list(stratified.values()))
    shard_tokens = plan.manifest.pack.shard_tokens
    work = []
    for source, split in product((source.name for source in plan.manifest.sources), SPLITS):
        strata = stratum_documents(plan, source, split, tokenised, stratified)
        for stratum, documents in strata:
            folder = "/".join(["shards", source, split] + ([stratum] if stratum else []))
            for number, group in enumerate(group_documents(plan.out, documents, shard_tokens)):
                path = f"{folder}/part-{number:05d}.arrow"
                read = [(digests[d.path], d.first, d.last, digests.get(d.order)) for d in group]
                made_of = MadeOf(fingerprint(path, read), config, code)
                key = made_of.fingerprint
                work.append(PackItem(source, split, stratum, path, group, key, made_of))
    return work


def _digests(records: Sequence[Record]) -> dict[str | None, str]:
    """The hash of every output of these records, by its path."""
    outputs = [output for record in records for output in record["outputs"].values()]
    return {output["path"]: made_hash(output) for output in outputs}


def group_documents(
    out: Path, documents: Sequence[Documents], shard_tokens: int
) -> Iterator[tuple[Documents, ...]]:
    """Documents in order, cut into groups as soon as a group has `shard_tokens` tokens."""
    group: list[Documents] = []
    room = shard_tokens
    for part in documents:
        ends = np.cumsum(span_lengths(part.below(out)))
        first, used = 0, 0
        while first < len(ends):
            last = min(int(np.searchsorted(ends, used + room)) + 1, len(ends))
            group.append(part._replace(first=part.first + first, last=part.first + last))
            room -= int(ends[last - 1]) - used
            first, used = last, int(ends[last - 1])
            if room <= 0:
                yield tuple(group)
                group, room = [], shard_tokens
    if group:
        yield tuple(group)


def finish(
    plan: Plan, packed: Sequence[tuple[PackItem, Record]], identity: TokenizerIdentity
) -> ShardIndex:
    """Write `index.json`, last of all, unless it is there and says the same."""
    shards = tuple(_shard(item, record) for item, record in packed)
    index = ShardIndex(
        corpus=plan.manifest.name,
        manifest_fingerprint=manifest_fingerprint(plan),
        tokenizer=identity,
        sequence_tokens=plan.manifest.pack.sequence_tokens,
        dtype="uint16" if identity.num_ids <= 1 << 16 else "uint32",
        shards=shards,
    )
    write_index(plan.out / "shards", index)
    return index


def _shard(item: PackItem, record: Record) -> Shard:
    counts = record["counts"]
    return Shard(
        path=item.path.removeprefix("shards/"),
        source=item.source,
        split=item.split,
        stratum=item.stratum,
        num_rows=counts["num_rows"],
        num_tokens=counts["num_tokens"],
        num_bytes=counts["num_bytes"],
        num_documents=counts["num_documents"],
        sha256=counts["sha256"],
        num_erased=counts.get("num_erased", 0),
    )


def manifest_fingerprint(plan: Plan) -> str:
    """Of all that the manifest says, but for where the output goes."""
    return fingerprint(plan.manifest.model_dump(mode="json", exclude={"output"}))
