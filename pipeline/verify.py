"""`prepare verify`: read everything again and check that it fits together.

Each check yields a sentence per fault; no fault means that every byte is the one that was written,
every row is accounted for, and every token of every kept document stands in exactly one place.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decontamination.check import MANIFEST_NAME, contaminated_documents
from pipeline.decontamination.sets import STAGE as DECONTAMINATE
from pipeline.errors import LedgerError, PrepareError, ShardError, UsageError
from pipeline.files import file_hash
from pipeline.keys import document_keys, hash_values
from pipeline.ledger import SourceLedger, check_balance, from_json
from pipeline.manifest import load_manifest
from pipeline.records import Record, Records
from pipeline.refined import RowReader
from pipeline.shards import ShardIndex, damaged_shards, find_shards, read_index
from pipeline.verify_pii import left_pii
from pipeline.verify_strata import wrong_strata
from pipeline.verify_tokens import misplaced_tokens

STAGES = ("edits", DECONTAMINATE, "refine", "deduplicate", "tokenise", "stratify", "pack")
MAX_NAMED = 5


def faults(out: Path, *, pii: bool = False) -> Iterator[str]:
    """Every fault of an output directory, in the order of the stages; with `pii`, what is left.

    Raises `UsageError` where there is no output at all.
    """
    if not (out / "state").is_dir():
        raise UsageError(f"{out}: no output of `prepare run` here; give the manifest's `output`")
    try:
        index = read_index(out)
    except ShardError as error:
        yield str(error)
        return
    names: dict[str, list[str]] = {"stratify": [], "edits": [], DECONTAMINATE: []}
    names |= json.loads((out / "run.json").read_text(encoding="utf-8"))
    records = {stage: read_records(out, stage, names[stage]) for stage in STAGES}
    damaged = list(damaged_outputs(out, records)) + list(damaged_shards(find_shards(out), index))
    yield from damaged
    if damaged:
        return  # what follows would read damaged files
    for record in records["refine"]:
        yield from wrong_documents(out, record)
    yield from contaminated_documents(out, records[DECONTAMINATE], records["refine"])
    yield from wrong_removals(out, records["deduplicate"])
    yield from wrong_ledger(out, records, index)
    yield from misplaced_tokens(out, records["tokenise"], index)
    yield from wrong_strata(out, records, index)
    if pii:
        yield from left_pii(out, records["refine"], load_manifest(out / MANIFEST_NAME).pii)


def read_records(out: Path, stage: str, names: list[str]) -> list[Record]:
    """The records of the run that the index is of; a later, unfinished run may have left others.

    Raises `PrepareError` where one is gone.
    """
    found = {name: Records(out, stage).read(name) for name in names}
    missing = [name for name, record in found.items() if record is None]
    if missing:
        raise PrepareError(
            f"{out}: {len(missing)} records of {stage} are gone; run `prepare run` again"
        )
    return [record for record in found.values() if record is not None]


def damaged_outputs(out: Path, records: dict[str, list[Record]]) -> Iterator[str]:
    """Files whose bytes are not those that the record describes."""
    for record in (record for stage in STAGES for record in records[stage]):
        for output in record["outputs"].values():
            path = out / output["path"]
            if not path.is_file():
                yield f"{path}: missing"
            elif file_hash(path) != output["xxh3"]:
                yield f"{path}: its bytes are not those that `{record['stage']}` wrote"


def wrong_documents(out: Path, record: Record) -> Iterator[str]:
    """Keys and text hashes recomputed from the stored texts; rows counted again."""
    counts, outputs = record["counts"], record["outputs"]
    wanted = {
        "kept": counts["num_kept"],
        "signatures": counts["num_kept"],
        "dropped": sum(counts["dropped"].values()),
        "quarantined": sum(counts["quarantined"].values()),
    }
    for kind, num_rows in wanted.items():
        path, found = out / outputs[kind]["path"], 0
        for batch in RowReader(path).batches():
            found += batch.num_rows
            if kind in ("kept", "dropped"):
                yield from _wrong_keys(path, batch)
        if found != num_rows:
            yield f"{path}: {found:,} rows, its record says {num_rows:,}"


def _wrong_keys(path: Path, batch: pa.RecordBatch) -> Iterator[str]:
    text_hash = hash_values(batch["text"])
    same_text = pc.equal(text_hash, batch["text_hash"])
    same_key = pc.equal(document_keys(batch, text_hash), batch["key"])
    wrong = batch.filter(pc.invert(pc.and_(same_text, same_key)))
    for name in wrong["id"].slice(0, MAX_NAMED).to_pylist():
        yield f"{path}: document {name!r}: its key or text hash is not that of its text"


def wrong_removals(out: Path, records: list[Record]) -> Iterator[str]:
    """Every removed document has the evidence: a survivor that stays, and enough similarity."""
    for record in records:
        path = out / record["outputs"]["removals"]["path"]
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        inside = table.filter(table["survivor_doc"].is_valid())  # the rest is of other corpora
        gone = np.isin(inside["survivor_doc"].to_numpy(), table["doc"].to_numpy())
        for doc in inside["doc"].to_numpy()[gone][:MAX_NAMED]:
            yield f"{path}: document {doc} was removed for one that was removed itself"
        weak = table["similarity"].to_numpy() < table["threshold"].to_numpy()
        for doc in table["doc"].to_numpy()[weak][:MAX_NAMED]:
            yield f"{path}: document {doc} was removed below the threshold of similarity"


def wrong_ledger(out: Path, records: dict[str, list[Record]], index: ShardIndex) -> Iterator[str]:
    """The ledger against the records that it is made of, its own sums, and the shards."""
    ledger = from_json(json.loads((out / "ledger.json").read_text(encoding="utf-8")))
    try:
        check_balance(ledger)
    except LedgerError as error:
        yield str(error)
    total = SourceLedger()
    for record in records["refine"]:
        total.add_refined(record)
    for record in records["tokenise"]:
        total.add_tokenised(record)
    for name in ("num_read", "num_kept", "num_packed", "num_tokens"):
        told, found = sum(getattr(entry, name) for entry in ledger.values()), getattr(total, name)
        if told != found:
            yield f"{out / 'ledger.json'}: {name} is {told:,}, the records add up to {found:,}"
    packed = sum(shard.num_tokens for shard in index.shards)
    if packed != total.num_tokens:
        yield f"{out}: the shards hold {packed:,} tokens, tokenising made {total.num_tokens:,}"
