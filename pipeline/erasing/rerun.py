"""Running again what was erased from: the same bytes as if the tombstones had been there at first.

A run goes on as if nothing were erased, and takes the documents out of what it made at its end, so
that what was removed as a duplicate of an erased document stays removed, and every token keeps its
place. Files that hold an erased document are done as long as no stage has to read them. When one
has, their records are forgotten, and just those items are read from the inputs again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.erasing.applying import STATE, apply, read_state, was_applied
from pipeline.erasing.rewriting import Applied
from pipeline.erasing.staging import close, roll_forward
from pipeline.erasing.tombstones import NAME, Tombstones, read_tombstones
from pipeline.errors import PrepareError, UsageError
from pipeline.records import Record, Records
from pipeline.stage import Context, ErasedInputs

REDONE = ("refine", "deduplicate", "tokenise")  # what later stages read; nothing reads a part
Result = TypeVar("Result")


def with_erased(context: Context, work: Callable[[], Result], *, can_read: bool = True) -> Result:
    """`work`, first with the files that are there, then with those that it needs read again.

    `can_read` says that it has the inputs; without, it raises `UsageError` where they are needed.
    The output directory is locked.
    """
    out, plan = context.plan.out, context.plan
    roll_forward(out)
    state = read_state(out)
    check_complete(out, read_tombstones(out), state)
    context.holds_erased = any(state.get("records", {}).get(stage) for stage in REDONE)
    try:
        result = work()
    except ErasedInputs as exc:
        if not can_read:
            raise UsageError(
                f"{out}: documents were erased from it, and what was measured of them is gone; "
                "change the manifest and use `prepare run`, which reads their files again"
            ) from exc
        forget(out, state)
        context.plan, context.holds_erased = plan, False
        context.num_items.clear()
        context.num_run.clear()
        result = work()
    close(out)
    return result


def check_complete(out: Path, stones: Tombstones, state: Mapping[str, Any]) -> None:
    """Raise `PrepareError` where tombstones are gone that were applied to this output."""
    lost = set(state.get("keys", ())) - {stone.key for stone in stones.stones}
    if lost:
        raise PrepareError(
            f"{out / NAME}: {len(lost):,} documents were erased whose tombstones are gone, so that "
            "they would come back; restore the file, or remove the output to begin anew"
        )


def forget(out: Path, state: Mapping[str, Any]) -> None:
    """Remove the files that documents were taken from, records first: they are to be redone."""
    for stage in REDONE:
        store = Records(out, stage)
        for name in state["records"][stage]:
            record = store.read(name)
            store.remove(name)
            for output in () if record is None else record["outputs"].values():
                (out / output["path"]).unlink(missing_ok=True)
    (out / STATE).unlink(missing_ok=True)  # last: until then they are known to be no inputs


def apply_known(
    context: Context, names: Mapping[str, Sequence[str]], pad_id: int
) -> Applied | None:
    """Take the documents of the output's tombstones out of what a run has made.

    None where there are none, or this was done before.
    """
    out = context.plan.out
    stones = read_tombstones(out)
    context.holds_erased = False  # what follows reads what is left
    if not stones.stones or was_applied(out, names, stones):
        return None
    return apply(context.plan, names, stones, pad_id)


def num_erased(record: Record) -> int:
    """Rows that were taken from the refined files of one work item."""
    erased = record.get("erased", {})
    return sum(erased.get(kind, 0) for kind in ("kept", "dropped", "quarantined"))
