"""`prepare erase` from top to bottom: find, rewrite what holds a document, mend the reports."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.decontamination.report import write_report
from pipeline.decontamination.sets import STAGE as DECONTAMINATE
from pipeline.editing import SCANNING
from pipeline.erasing.applying import STAGES, apply, read_state, was_applied
from pipeline.erasing.choosing import Choice, Near, choose, tombstones_of
from pipeline.erasing.rerun import check_complete, num_erased
from pipeline.erasing.rewriting import Applied
from pipeline.erasing.segment import num_went_for, other_segments, purge_own_segment
from pipeline.erasing.staging import close, is_decided, roll_forward
from pipeline.erasing.tombstones import Tombstones, read_tombstones
from pipeline.errors import UsageError
from pipeline.explaining.output import Output, open_output
from pipeline.files import read_json, remove_empty_folders, write_json
from pipeline.finished import read_run
from pipeline.index.segments import Segment
from pipeline.indexing import STAGES as INDEXING
from pipeline.indexing import opened
from pipeline.ledger import from_json, to_json
from pipeline.pii_audit import write_audit
from pipeline.plan import Plan, RefineItem
from pipeline.records import Record
from pipeline.shards import read_index
from pipeline.stage import locked

MAX_NAMED = 5
FOLDERS = ("refined", "tokens", "dedup", "strata")  # of files that records name, all of them


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did, and what it could not do."""

    num_named: int
    num_copies: int
    num_near: int
    erased_before: tuple[str, ...]
    ignored: tuple[str, ...]  # unknown ids
    left: tuple[Near, ...]  # similar documents that stay
    applied: Applied
    num_tombstones: int
    num_indexed: int  # documents that left the index of deduplication
    unreached: tuple[str, ...]


def erase(
    out: Path,
    names: Sequence[str],
    *,
    source: str | None = None,
    near: bool = False,
    ignore_missing: bool = False,
) -> Erasure:
    """Erase the documents of these names, and all their copies, from a finished output.

    Raises `UsageError` for names that no document has, before anything is touched; also where the
    output is not finished, or another run writes to it.
    """
    if not is_decided(out):
        open_output(out)  # an error before the lock makes the folder
    with locked(out):
        roll_forward(out)
        output = open_output(out)
        with opened(output.plan):
            done = _erase(output, names, source, near, ignore_missing)
        close(out)
    return done


def _erase(
    output: Output, names: Sequence[str], source: str | None, near: bool, ignore_missing: bool
) -> Erasure:
    out, before = output.out, read_tombstones(output.out)
    index = read_index(out)
    run = read_run(out, ("refine", "deduplicate", "tokenise", "pack"))
    _check_is_whole(output.plan, run)
    check_complete(out, before, read_state(out))
    choice = choose(output, names, before, source, near=near)
    if choice.unknown and not ignore_missing:
        raise UsageError(_unknown(out, choice.unknown))
    stones = before.with_more(tombstones_of(output, choice))
    _remove_strays(output.plan, run)
    applied = Applied(num_all_parts=len(index.shards))
    if stones.stones and not (stones == before and was_applied(out, run, stones)):
        applied = apply(output.plan, run, stones, index.tokenizer.pad_id)
    num_indexed = _mend_reports(output.plan, run)
    return Erasure(
        num_named=len(choice.named),
        num_copies=len(choice.copies),
        num_near=len(choice.near),
        erased_before=tuple(choice.erased_before),
        ignored=tuple(choice.unknown),
        left=tuple(choice.left),
        applied=applied,
        num_tombstones=len(stones.stones),
        num_indexed=num_indexed,
        unreached=tuple(_unreached(output.plan, choice, stones)),
    )


def _unknown(out: Path, unknown: Sequence[str]) -> str:
    named = ", ".join(repr(name) for name in unknown[:MAX_NAMED])
    more = f" and {len(unknown) - MAX_NAMED:,} more" if len(unknown) > MAX_NAMED else ""
    return (
        f"--ids: {out} has no document called {named}{more}; nothing was erased. Want ids, "
        "<path>#<row> as it was read, or hex digits of a key, one a line (`prepare explain OUT ID` "
        "names ids like it); --ignore-missing erases the others"
    )


def _check_is_whole(plan: Plan, run: dict[str, list[str]]) -> None:
    """Raise `UsageError` where a later run has begun to change the output and did not end."""
    for stage in STAGES:
        store = plan.records(stage)
        missing = [name for name in run[stage] if store.load(name) is None]
        if missing:
            raise UsageError(
                f"{plan.out}: {len(missing):,} items of {stage} are gone or damaged, so the last "
                "run did not end; use `prepare run`, then erase"
            )


def _remove_strays(plan: Plan, run: dict[str, list[str]]) -> None:
    """Remove what the finished run does not use: it may hold the documents, too."""
    out, used = plan.out, set()
    for stage in (*STAGES, "stratify", "candidates", "verify", *SCANNING, *INDEXING):
        store = plan.records(stage)
        store.prune(run.get(stage, ()))
        used |= {o["path"] for record in store.all() for o in record["outputs"].values()}
    used |= {f"dedup/{name}/files.arrow" for name in run["deduplicate"]}
    for folder in FOLDERS:
        for path in sorted((out / folder).rglob("*")):
            if path.is_file() and path.relative_to(out).as_posix() not in used:
                path.unlink()
        if (out / folder).is_dir():
            remove_empty_folders(out / folder)
    for path in (out / "spool", out / "edits" / "scan", out / "state" / "stopped"):
        shutil.rmtree(path, ignore_errors=True)
    for path in out.rglob(".tmp-*"):
        path.unlink(missing_ok=True)


def _mend_reports(plan: Plan, run: dict[str, list[str]]) -> int:
    """Ledger, reports and the index of deduplication as they are without the erased documents."""
    records = [_record(plan, name) for name in run["refine"]]
    ledger = from_json(read_json(plan.out / "ledger.json"))
    for name, entry in ledger.items():
        entry.num_erased = sum(num_erased(r) for r in records if r["source"] == name)
    write_json(plan.out / "ledger.json", to_json(ledger))
    write_audit(plan, [(record["source"], record) for record in records])
    items = [
        RefineItem(r["source"], (), None, r["settings"], r["measured"], r["fingerprint"])
        for r in records
    ]
    table = next(iter(run.get(DECONTAMINATE, ())), None)
    plan = replace(plan, evaluation_sets=table)
    write_report(plan, items, {record["fingerprint"]: record for record in records})
    return purge_own_segment(plan)


def _record(plan: Plan, name: str) -> Record:
    record = plan.records("refine").read(name)
    assert record is not None, name
    return record


def _unreached(plan: Plan, choice: Choice, stones: Tombstones) -> Iterator[str]:
    """What a person has to see to."""
    if not stones.stones or not (choice.spots or choice.elsewhere or choice.erased_before):
        return
    yield "the inputs: a rerun leaves the documents out, but their files still hold them"
    yield "exports outside of the output (`prepare export`), and copies of it: make them again"
    yield "models, thresholds and counts that came of them, and runs to resume: see docs/erasure.md"
    yield "backups, snapshots and freed blocks of the disk"
    for segment in other_segments(plan):
        place = f"{segment.out} (segment {segment.name} of the same index)"
        yield f"{place}: {_told_of(segment, stones)}"


def _told_of(segment: Segment, stones: Tombstones) -> str:
    number = num_went_for(segment, stones)
    if number is None:
        return "its output is not there; if it has a copy, erase it there, too"
    if not number:
        return "nothing of it went for them; if it has a copy, erase it there, too"
    noun = "document" if number == 1 else "documents"
    return (
        f"{number:,} {noun} of it went for them, and come back with its next run unless they are "
        "erased there, too"
    )
