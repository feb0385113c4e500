"""Running one stage: find the items that are not done, run them, check that all are."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.errors import UsageError, WorkerError
from pipeline.plan import Plan
from pipeline.progress import Advance
from pipeline.records import Record


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
    """Shows how far a stage is."""

    def stage(
        self, name: str, num_items: int, num_done: int
    ) -> AbstractContextManager[Advance]: ...


@dataclass(slots=True)
class Context:
    """What every stage of one run needs, and what it has done so far."""

    plan: Plan
    runner: Runner
    reporter: Reporter
    memory_bytes: int
    num_run: dict[str, int] = field(default_factory=dict)
    num_items: dict[str, int] = field(default_factory=dict)

    def count(self, stage: str, num_items: int, num_run: int) -> None:
        self.num_items[stage] = self.num_items.get(stage, 0) + num_items
        self.num_run[stage] = self.num_run.get(stage, 0) + num_run


def run_stage(
    context: Context,
    stage: str,
    transform: Any,
    items: Sequence[AnyItem],
    names: Callable[[AnyItem], Sequence[str]] | None = None,
    label: str | None = None,
) -> dict[str, Record]:
    """Do the items whose records are missing; return all records by fingerprint.

    An item leaves one record, of its own fingerprint, unless `names` gives others. `label` is what
    a person sees instead of the stage's name.
    """
    store = context.plan.records(stage)
    names = names or (lambda item: (item.fingerprint,))
    found = {name: store.load(name) for item in items for name in names(item)}
    pending = [item for item in items if any(found[name] is None for name in names(item))]
    context.count(stage, len(items), len(pending))
    if pending:
        with context.reporter.stage(
            label or stage, len(items), len(items) - len(pending)
        ) as advance:
            context.runner.run(transform, pending, advance)
        found |= {name: store.load(name) for item in pending for name in names(item)}
    done = {name: record for name, record in found.items() if record is not None}
    if len(done) < len(found):
        missing = sorted(set(found) - set(done))
        raise WorkerError(
            f"stage {stage}: the runner ended, but {len(missing)} of {len(found)} items left no "
            f"record, {missing[0]} for one; run it again, the rest is kept"
        )
    return done


LOCK_NAME = "lock"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output directory: two runs at once would prune each other's files."""
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError(f"{out}: another run is writing here; wait for it or stop it") from exc
        yield
    finally:
        os.close(handle)
