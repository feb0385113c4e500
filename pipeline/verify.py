"""`prepare verify`: read everything again and check that it fits together.

Each check yields a sentence per fault; no fault means that every byte is the one that was written,
every row is accounted for, and every token of every kept document stands in exactly one place.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decontamination.check import MANIFEST_NAME, contaminated_documents
from pipeline.decontamination.sets import STAGE as DECONTAMINATE
from pipeline.erasing.absence import left_of_erased, unended
from pipeline.errors import PrepareError, ShardError, UsageError
from pipeline.files import file_hash, read_json
from pipeline.formats.check import imported_faults, is_imported
from pipeline.keys import document_keys, hash_values
from pipeline.ledger import pack_imbalance, refine_imbalance, tokenise_imbalance
from pipeline.manifest import load_manifest
from pipeline.records import Record, Records
from pipeline.refined import RowReader
from pipeline.shards import ShardIndex, damaged_shards, find_shards, read_index
from pipeline.verify_index import (
    strange_files,
    unreadable_files,
    wrong_audit,
    wrong_counts,
    wrong_file_list,
    wrong_index,
    wrong_ledger,
    wrong_tokenizer,
)
from pipeline.verify_pii import left_pii
from pipeline.verify_strata import wrong_strata
from pipeline.verify_tokens import misplaced_tokens

STAGES = ("edits", DECONTAMINATE, "refine", "deduplicate", "tokenise", "stratify", "pack")
MAX_NAMED = 5
AGAIN = "`prepare run --mend` makes it again"


def faults(
    out: Path, *, pii: bool = False, ids: Sequence[str] = (), source: str | None = None
) -> Iterator[str]:
    """Every fault of an output directory, in the order of the stages; with `pii`, what is left.

    What was erased must be gone, and no document (of `source`) may be called one of `ids`.
    Raises `UsageError` where there is no output at all, or none that `ids` and `pii` can be of.
    """
    if is_imported(out):
        if ids or pii:
            raise UsageError(
                f"{out}: imported shards have neither ids nor texts, so --ids and --pii can find "
                "nothing there; verify the output that the shards came from"
            )
        yield from imported_faults(out)
        return
    if not (out / "state").is_dir():
        raise UsageError(f"{out}: no output of `prepare run` here; give the manifest's `output`")
    if found := list(unended(out)):
        yield from found
        return
    try:
        index = read_index(out)
    except ShardError as error:
        yield str(error)
        return
    if damaged := list(unreadable_files(out)):
        yield from damaged
        return
    names = read_names(out)
    if damaged := list(damaged_records(out, names)):
        yield from damaged
        return
    records = {stage: read_records(out, stage, names[stage]) for stage in STAGES}
    damaged = list(damaged_outputs(out, records))
    damaged += wrong_parts(out, records["pack"], index)
    damaged += wrong_index(out, records, index)
    yield from damaged
    yield from wrong_tokenizer(out, index)
    yield from strange_files(out, index)
    yield from wrong_file_list(out, records)
    if damaged:
        return  # what follows would read damaged files
    yield from wrong_counts(out, index)
    yield from unbalanced_items(out, records)
    for record in records["refine"]:
        yield from wrong_documents(out, record)
    yield from contaminated_documents(out, records[DECONTAMINATE], records["refine"])
    yield from wrong_removals(out, records["deduplicate"])
    yield from wrong_ledger(out, records)
    yield from wrong_audit(out, records["refine"])
    yield from misplaced_tokens(out, records["tokenise"], index)
    yield from wrong_strata(out, records, index)
    yield from left_of_erased(out, ids, source)
    if pii:
        yield from left_pii(out, records["refine"], load_manifest(out / MANIFEST_NAME).pii)


def read_names(out: Path) -> dict[str, list[str]]:
    """The names of the records of the run that the index is of, by stage."""
    names: dict[str, list[str]] = {"stratify": [], "edits": [], DECONTAMINATE: []}
    return names | read_json(out / "run.json")


def read_records(out: Path, stage: str, names: list[str]) -> list[Record]:
    """The records of the run that the index is of; a later, unfinished run may have left others.

    One for each name, so twice where two items came to the same: files without a document. Raises
    `PrepareError` where one is gone.
    """
    found = {name: Records(out, stage).read(name) for name in names}
    records = {name: record for name, record in found.items() if record is not None}
    if len(records) < len(found):
        raise PrepareError(
            f"{out}: {len(found) - len(records)} records of {stage} are gone; `prepare run` "
            "makes them again"
        )
    return [records[name] for name in names]


def damaged_records(out: Path, names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Records that are not what was written: what they say is not to be relied on."""
    for stage in STAGES:
        store = Records(out, stage)
        for name in names[stage]:
            if store.is_damaged(name):
                yield (
                    f"{store.path(name)}: the record is not the one that was written; `prepare "
                    "run --mend` makes it again"
                )


def damaged_outputs(out: Path, records: dict[str, list[Record]]) -> Iterator[str]:
    """Files whose bytes are not those that the record describes.

    Parts are left to `wrong_parts` and their sha256: one hash of them is enough.
    """
    stages = (stage for stage in STAGES if stage != "pack")
    for record in (record for stage in stages for record in records[stage]):
        for output in record["outputs"].values():
            path = out / output["path"]
            if not path.is_file():
                yield f"{path}: missing; {AGAIN}"
            elif file_hash(path) != output["xxh3"]:
                yield f"{path}: its bytes are not those that `{record['stage']}` wrote; {AGAIN}"


def unbalanced_items(out: Path, records: dict[str, list[Record]]) -> Iterator[str]:
    """Items whose sums do not meet: rows of `refine`, documents of `tokenise`, tokens of `pack`."""
    found: list[tuple[Record, str | None]] = []
    for refined, tokenised in zip(records["refine"], records["tokenise"], strict=True):
        found.append((refined, refine_imbalance(refined["counts"])))
        num_kept = refined["counts"]["num_kept"]
        found.append((tokenised, tokenise_imbalance(tokenised["counts"], num_kept)))
    found += [(packed, pack_imbalance(packed["counts"])) for packed in records["pack"]]
    for record, problem in found:
        if problem:
            path = Records(out, record["stage"]).path(record["fingerprint"])
            yield f"{path}: {problem}"


def wrong_parts(out: Path, packed: list[Record], index: ShardIndex) -> Iterator[str]:
    """Parts that are gone, or whose bytes are not those that their record and the index tell of."""
    told = {f"shards/{shard.path}": shard.sha256 for shard in index.shards}
    for record in packed:
        path = record["outputs"]["part"]["path"]
        if told.get(path) != record["counts"]["sha256"]:
            yield f"{out / path}: its record and the index do not tell of the same bytes"
    yield from (f"{fault}; {AGAIN}" for fault in damaged_shards(find_shards(out), index))


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
