"""Running the sample: the real run, twice, into folders that are deleted.

The first time with a few documents of each stratum, the second time with all. What the first run
takes is what any run takes; what the second one's items take more is the price of its documents.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.files import read_json
from pipeline.inputs import RUN_NAME
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.planning.drawing import Stratum
from pipeline.planning.samples import sample_plan
from pipeline.progress import Advance
from pipeline.progress.watch import Watch
from pipeline.records import Record, Records
from pipeline.refining import build_refinery
from pipeline.run import run
from pipeline.stage import Context, Runner
from pipeline.tokens.resolve import FOLDER

FEW_ROWS = 8


@dataclass(slots=True)
class Stopwatch:
    """A reporter that shows nothing, and knows how long each stage took.

    `seconds` is by the clock; `work` is the sum over the items' own records, in all processes.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    work: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: Watch | None = None
    ) -> Iterator[Advance]:
        """Measure one stage; the rounds of one count together."""
        row, started = name.partition(" ")[0], time.perf_counter()
        yield lambda _: None
        self.seconds[row] += time.perf_counter() - started
        if watch is not None:
            watch.poll(now=True)
            self.work[row] += watch.here.seconds

    def skip(self, name: str, num_items: int, watch: Watch) -> None:
        """A stage without work."""

    def note(self, text: str) -> None:
        """What is told between stages; nobody is to read it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One run over the sample: its folder, its outcome, and what it took by stage."""

    out: Path
    outcome: Outcome
    total_seconds: float
    seconds: Mapping[str, float]
    work: Mapping[str, float]
    refined: tuple[Record, ...]  # of each stratum, in their order, as all below
    tokenised: tuple[Record, ...]


def warm_up(plan: Plan, strata: tuple[Stratum, ...]) -> None:
    """Compile what is not yet compiled on this machine: a run does that once, and no other again.

    The kernels' machine code is kept on disk, where the processes of the runs find it.
    """
    for source in dict.fromkeys(one.source for one in strata):
        refinery = build_refinery(plan, source)
        refinery.chain.load()
        few = sample_plan(plan, strata, plan.out, FEW_ROWS).reader(source)
        for item in few.inputs():
            for rows in few.read(few.split(item)[0]):
                refinery(rows.documents)


def try_run(
    plan: Plan,
    strata: tuple[Stratum, ...],
    out: Path,
    runner: Runner,
    memory_bytes: int,
    *,
    max_rows: int | None = None,
    tokenizer: Path | None = None,
) -> Tried:
    """Run the sample into `out`; `tokenizer` is the copy that an earlier one made."""
    if tokenizer is not None:
        shutil.copytree(tokenizer, out / FOLDER)
    watch, started = Stopwatch(), time.perf_counter()
    context = Context(sample_plan(plan, strata, out, max_rows), runner, watch, memory_bytes)
    outcome = run(context)
    seconds = time.perf_counter() - started
    return Tried(
        out=out,
        outcome=outcome,
        total_seconds=seconds,
        seconds=watch.seconds,
        work=watch.work,
        refined=_records(out, "refine"),
        tokenised=_records(out, "tokenise"),
    )


def _records(out: Path, stage: str) -> tuple[Record, ...]:
    """The records of a stage that has one for each work item, in the order of the items."""
    names = read_json(out / RUN_NAME)[stage]
    found = [Records(out, stage).read(name) for name in names]
    return tuple(record for record in found if record is not None)
