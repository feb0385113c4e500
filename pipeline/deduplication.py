"""Deduplication from the driver's side: rounds of candidates and verification, then one decision.

Beam has no loop, so each round is a pipeline of its own. What the driver holds is the pairs that
are similar, 64 bytes each: the duplicates of a corpus, not the corpus.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dedup.candidates import Open, unresolved
from pipeline.dedup.survivors import (
    LEAK_SIMILARITY,
    Removals,
    Verified,
    chosen,
    concatenated,
    decide,
    no_removals,
    nothing_verified,
)
from pipeline.files import arrow_writer, atomic
from pipeline.graph.deduplicate import (
    FindCandidates,
    PartitionRange,
    ReelectItem,
    partition_fingerprint,
    read_rows,
    reelect_partition,
)
from pipeline.graph.each import EachItem
from pipeline.graph.verify_pairs import VerifyItem, read_verified, take_column, verify_file
from pipeline.indexing import index_identity, remove_indexed
from pipeline.plan import Plan, RefineItem
from pipeline.records import MadeOf, Record, code_fingerprint, fingerprint
from pipeline.refined import refined_paths
from pipeline.removal_table import write_removals
from pipeline.removals import ROW_BITS
from pipeline.splits import validation_mask
from pipeline.stage import Context, run_stage, tell_why

MAX_ROUNDS = 5
# Of memory per row of the shuffle: 32 bytes of columns, Beam's encoded copies of them, the sort.
SHUFFLE_ROW_BYTES = 250
PARTITIONS_PER_RANGE = 2
MAX_RANGES = 1 << 12


def _nothing() -> np.ndarray:
    return np.zeros(0, np.uint64)


@dataclass(slots=True)
class Rounds:
    """What the rounds have found so far."""

    verified: Verified = field(default_factory=nothing_verified)
    removals: Removals = field(default_factory=no_removals)
    held_out: np.ndarray = field(default_factory=_nothing)  # documents that validate, ascending
    num_pairs: int = 0
    num_rounds: int = 0
    num_unresolved: int = 0


def deduplicate(
    context: Context, items: Sequence[RefineItem], refined: dict[str, Record]
) -> Record:
    """Find and verify duplicates among the kept documents; the record of the removal table."""
    plan, started = context.plan, time.monotonic()
    made_of = _made_of(context, items)
    key = made_of.fingerprint
    store = plan.records("deduplicate")
    done = store.load(key)
    context.count("deduplicate", 1, int(done is None))
    folder = f"dedup/{key}"
    _write_file_list(context, items, plan.out / folder)  # of which no record tells
    if done is not None:
        return done
    tell_why(context, "deduplicate", [key], {key: made_of})
    num_ranges = _num_ranges(context, refined)
    indexed = remove_indexed(context, items, folder, num_ranges)
    rounds = _run_rounds(context, items, folder, num_ranges)
    table = plan.out / folder / "removals.arrow"
    counts = write_removals(plan, items, rounds.removals, indexed.removals, table)
    counts |= {
        **indexed.counts,
        "num_pairs": rounds.num_pairs,
        "num_rounds": rounds.num_rounds,
        "num_unresolved": rounds.num_unresolved,
    }
    seconds = time.monotonic() - started
    record = store.commit(key, {"removals": table}, counts, seconds, made_of)
    for path in [*(plan.out / folder).glob("round-*"), plan.out / folder / "indexed"]:
        shutil.rmtree(path, ignore_errors=True)
    return record


def _made_of(context: Context, items: Sequence[RefineItem]) -> MadeOf:
    """The documents, the config and the split, which decides what validation must not see."""
    manifest = context.plan.manifest
    contents = fingerprint([item.fingerprint for item in items], index_identity(context.plan))
    config = fingerprint(
        {source.name: source.validation_fraction for source in manifest.sources},
        manifest.dedup.model_dump(mode="json", exclude={"index"}),
    )
    code = fingerprint(
        code_fingerprint("pipeline/dedup", "pipeline/deduplication.py", "pipeline/splits.py")
        + code_fingerprint("pipeline/graph/deduplicate.py", "pipeline/graph/verify_pairs.py")
        + code_fingerprint("pipeline/graph/hash_rows.py")
        + code_fingerprint("pipeline/removal_table.py", "pipeline/removals.py"),
    )
    return MadeOf(contents, config, code)


def _write_file_list(context: Context, items: Sequence[RefineItem], folder: Path) -> None:
    """`files.arrow`: kept and signature file of each number of a document's identity."""
    out = context.plan.out
    paths = [refined_paths(Path(), item.source, item.fingerprint) for item in items]
    columns = {kind: [path[kind].as_posix() for path in paths] for kind in ("kept", "signatures")}
    types = pa.schema([(name, pa.string()) for name in columns])
    table, path = pa.table(columns, schema=types), out / folder / "files.arrow"
    if not _holds(path, table):
        with arrow_writer(path, types) as writer:
            writer.write_table(table)


def _holds(path: Path, table: pa.Table) -> bool:
    try:
        with pa.memory_map(str(path)) as source:
            return bool(pa.ipc.open_file(source).read_all().equals(table))
    except (OSError, pa.ArrowInvalid):  # gone, or damaged
        return False


def _run_rounds(
    context: Context, items: Sequence[RefineItem], folder: str, num_ranges: int
) -> Rounds:
    rounds = Rounds()
    config = context.plan.manifest.dedup
    if not config.exact and config.minhash is None:
        return rounds
    partitions = _find_candidates(context, folder, num_ranges)
    while any(record["counts"]["num_edges"] for record in partitions):
        rounds.num_rounds += 1
        fresh = _verify(context, folder, rounds, partitions)
        rounds.held_out = np.union1d(rounds.held_out, _held_out(context.plan, items, fresh))
        rounds.removals = decide(rounds.verified, config.threshold, rounds.held_out)
        _save_removed(context.plan.out / folder / f"round-{rounds.num_rounds}", rounds.removals)
        if rounds.num_rounds == MAX_ROUNDS:
            rounds.num_unresolved = _num_unresolved(context, rounds, partitions)
            break
        partitions = _reelect(context, folder, rounds.num_rounds + 1, partitions)
    return rounds


def _num_ranges(context: Context, refined: dict[str, Record]) -> int:
    """Ranges of hashes, as many as the memory budget asks for."""
    config = context.plan.manifest.dedup
    num_documents = sum(record["counts"]["num_kept"] for record in refined.values())
    num_bands = config.minhash.bands if config.minhash else 0
    return num_shuffle_rounds(
        num_documents * (num_bands + 1), context.memory_bytes, context.runner.num_workers
    )


def _find_candidates(context: Context, folder: str, num_ranges: int) -> list[Record]:
    """First round: the shuffle, a range at a time."""
    num_partitions = num_ranges * PARTITIONS_PER_RANGE
    ranges = [
        PartitionRange(
            folder,
            number * PARTITIONS_PER_RANGE,
            (number + 1) * PARTITIONS_PER_RANGE,
            num_partitions,
            fingerprint(folder, "range", number, num_ranges),
        )
        for number in range(num_ranges)
    ]

    def names(item: PartitionRange) -> list[str]:
        wanted = range(item.first, item.last)
        return [partition_fingerprint(folder, number, num_partitions) for number in wanted]

    transform = FindCandidates(context.plan, folder, num_partitions)
    return _by_partition(run_stage(context, "candidates", transform, ranges, names, "candidates 1"))


def num_shuffle_rounds(num_rows: int, memory_bytes: int, num_workers: int) -> int:
    """Ranges into which the shuffle is cut, so that those that run at once fit into the budget."""
    per_worker = max(memory_bytes // num_workers, 1)
    needed = -(-num_rows * SHUFFLE_ROW_BYTES // per_worker)
    return min(max(needed, num_workers), MAX_RANGES)


def _by_partition(records: dict[str, Record]) -> list[Record]:
    return sorted(records.values(), key=lambda record: int(record["counts"]["partition"]))


def _verify(
    context: Context, folder: str, rounds: Rounds, partitions: Sequence[Record]
) -> Verified:
    """Verify the pairs of one round, file by file, and add them to the verified ones."""
    by_file: dict[int, list[str]] = {}
    for record in partitions:
        for file in record["counts"]["num_edges_by_file"]:
            by_file.setdefault(int(file), []).append(record["outputs"]["edges"]["path"])
    names = [record["fingerprint"] for record in partitions]
    work = [
        VerifyItem(
            folder,
            file,
            rounds.num_rounds,
            tuple(wanted),
            fingerprint(folder, "verify", rounds.num_rounds, file, names),
        )
        for file, wanted in sorted(by_file.items())
    ]
    label = f"verify {rounds.num_rounds}"
    transform = EachItem(verify_file, plan=context.plan)
    records = run_stage(context, "verify", transform, work, label=label)
    outputs = [records[item.fingerprint]["outputs"]["verified"] for item in work]
    fresh = concatenated(read_verified(context.plan.out / output["path"]) for output in outputs)
    rounds.num_pairs += len(fresh.similarity)
    least = min(LEAK_SIMILARITY, context.plan.manifest.dedup.threshold)
    fresh = chosen(fresh, np.maximum(fresh.similarity, fresh.reverse) >= least)
    rounds.verified = concatenated([rounds.verified, fresh])
    return fresh


def _held_out(plan: Plan, items: Sequence[RefineItem], verified: Verified) -> np.ndarray:
    """Documents of pairs similar enough to leak that validate, if they stay; ascending uint64."""
    fractions = np.array([plan.source(item.source).validation_fraction for item in items])
    similar = np.maximum(verified.similarity, verified.reverse) >= LEAK_SIMILARITY
    docs = np.union1d(verified.edges.hub[similar], verified.edges.member[similar])
    fraction = fractions[(docs >> np.uint64(ROW_BITS)).astype(np.int64)]
    docs, fraction = docs[fraction > 0], fraction[fraction > 0]
    if not len(docs):
        return docs
    kept = [refined_paths(plan.out, item.source, item.fingerprint)["kept"] for item in items]
    hashes = take_column(kept, docs, "text_hash")
    validates = np.zeros(len(docs), np.bool_)
    for one in np.unique(fraction):
        validates |= validation_mask(hashes, one) & (fraction == one)
    return docs[validates]


def _save_removed(folder: Path, removals: Removals) -> None:
    with atomic(folder / "removed.npy") as temporary, temporary.open("wb") as handle:
        np.save(handle, removals.doc)


def _reelect(
    context: Context, folder: str, number: int, partitions: Sequence[Record]
) -> list[Record]:
    """A later round, over the partitions with open buckets."""
    work = []
    for record in partitions:
        if record["counts"]["num_open"]:
            key = fingerprint(folder, "reelect", number, record["fingerprint"])
            path = record["outputs"]["open"]["path"]
            work.append(ReelectItem(folder, path, record["counts"]["partition"], number, key))
    transform, label = EachItem(reelect_partition, plan=context.plan), f"candidates {number}"
    return _by_partition(run_stage(context, "candidates", transform, work, label=label))


def _num_unresolved(context: Context, rounds: Rounds, partitions: Sequence[Record]) -> int:
    """Documents that stay without having met all others of a bucket that stay."""
    left = [np.zeros(0, np.uint64)]
    for record in partitions:
        path = context.plan.out / record["outputs"]["open"]["path"]
        left.append(unresolved(read_rows(path, Open), rounds.removals.doc))
    return len(np.unique(np.concatenate(left)))
