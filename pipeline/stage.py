"""Running one stage: find the items that are not done, run them, check that all are."""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.errors import UsageError, WorkerError
from pipeline.files import LOCK_NAME, protect, remove_page, writing
from pipeline.plan import Place, Plan
from pipeline.progress import Advance
from pipeline.progress.watch import Watch
from pipeline.reasons import reasons
from pipeline.records import MadeOf, Record


class Item(Protocol):
    """A unit of work that is done when the record of its fingerprint exists."""

    @property
    def fingerprint(self) -> str: ...


AnyItem = TypeVar("AnyItem", bound=Item)


class Runner(Protocol):
    """Runs a Beam transform from items to records, wherever that is."""

    @property
    def num_workers(self) -> int: ...

    def start(self) -> None: ...

    def run(self, transform: Any, items: Sequence[Any], done: Advance) -> None: ...


class Reporter(Protocol):
    """Shows how far a stage is. A watch, where there is one, knows what its records say."""

    def stage(
        self, name: str, num_items: int, num_done: int, watch: Watch | None = None
    ) -> AbstractContextManager[Advance]: ...

    def skip(self, name: str, num_items: int, watch: Watch) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(slots=True)
class Context:
    """What every stage of one run needs, and what it has done so far."""

    plan: Plan
    runner: Runner
    reporter: Reporter
    memory_bytes: int
    # Inputs (source and `relative`) that may differ from those of a finished output; None: all.
    may_change: Collection[Place] | None = frozenset()
    holds_erased: bool = False  # documents are gone from files that a stage may read
    mend: bool = False  # every file of the output is read, and made again if it is damaged
    again: Collection[str] = frozenset()  # `measured` of items of `refine` that are read again
    read_again: set[str] = field(default_factory=set)  # fingerprints of those that were
    num_run: dict[str, int] = field(default_factory=dict)
    num_items: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)  # stages of which was said why they run again

    def count(self, stage: str, num_items: int, num_run: int) -> None:
        self.num_items[stage] = self.num_items.get(stage, 0) + num_items
        self.num_run[stage] = self.num_run.get(stage, 0) + num_run


def tell_why(
    context: Context, stage: str, names: Sequence[str], made_of: Mapping[str, MadeOf] | None = None
) -> None:
    """Say, once a stage, why items are done again of which there are records, or were others."""
    why = reasons(context.plan.records(stage), names, made_of or {})
    if why and stage not in context.told:
        context.told.add(stage)
        context.reporter.note(f"{stage}: {why}")


class ErasedInputs(Exception):  # noqa: N818 - it is no error, `with_erased` goes on from it
    """A stage has work to do, and what it reads may be without documents that were erased."""


def run_stage(
    context: Context,
    stage: str,
    transform: Any,
    items: Sequence[AnyItem],
    names: Callable[[AnyItem], Sequence[str]] | None = None,
    label: str | None = None,
    made_of: Callable[[AnyItem], MadeOf] | None = None,
    again: Collection[str] = (),
) -> dict[str, Record]:
    """Do the items whose records are missing, or named in `again`; return all records by name.

    An item leaves one record, of its own fingerprint, unless `names` gives others. `label` is what
    a person sees instead of the stage's name. With `made_of` it is told why items are done again.
    """
    store = context.plan.records(stage)
    names = names or (lambda item: (item.fingerprint,))
    wanted = [name for item in items for name in names(item)]
    found = {name: None if name in again else store.load(name) for name in wanted}
    pending = [item for item in items if any(found[name] is None for name in names(item))]
    context.count(stage, len(items), len(pending))
    waiting = {name for item in pending for name in names(item)}
    settled = [one for name, one in found.items() if one is not None and name not in waiting]
    watch = Watch(store, map(names, pending), settled)
    if not pending:
        context.reporter.skip(label or stage, len(items), watch)
    else:
        if context.holds_erased:
            raise ErasedInputs(stage)
        remove_page(context.plan.out)
        missing = [name for name in wanted if found[name] is None and name not in again]
        origins = {item.fingerprint: made_of(item) for item in items} if made_of else None
        tell_why(context, stage, missing, origins)
        with context.reporter.stage(
            label or stage, len(items), len(items) - len(pending), watch
        ) as advance:
            context.runner.run(transform, pending, advance)
        found |= {name: store.load(name) for item in pending for name in names(item)}
    done = {name: record for name, record in found.items() if record is not None}
    if len(done) < len(found):
        lacking = sorted(set(found) - set(done))
        raise WorkerError(
            f"stage {stage}: the runner ended, but {len(lacking)} of {len(found)} items left no "
            f"record, {lacking[0]} for one; run it again, the rest is kept"
        )
    return done


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output directory: two runs at once would prune each other's files."""
    with writing(out):
        try:
            out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise UsageError(
                f"{out}: cannot be a folder ({exc.filename} is a file or lies in one); want a "
                "folder, or a path where one can be made; give another `output`"
            ) from exc
        handle = os.open(out / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError(
                f"{out}: another `prepare` is writing here; wait for it or stop it"
            ) from exc
        protect(out)
        yield
    finally:
        os.close(handle)
