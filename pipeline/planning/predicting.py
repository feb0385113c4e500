"""From a manifest to a prediction, read from top to bottom."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.inputs import list_inputs
from pipeline.plan import Plan
from pipeline.planning.drawing import Drawn, draw
from pipeline.planning.duplicates import removed
from pipeline.planning.items import items_of
from pipeline.planning.left import left_of
from pipeline.planning.pieces import pieces_of
from pipeline.planning.prediction import Disk, Prediction, Sampled
from pipeline.planning.scaling import predicted_disk, predicted_ledger
from pipeline.planning.timing import REFINE, predicted_stages
from pipeline.planning.trying import FEW_ROWS, Tried, try_run, warm_up
from pipeline.run import check_extractors, check_filters, with_pii_key
from pipeline.sources.protocol import Input
from pipeline.stage import Runner
from pipeline.tokens.resolve import FOLDER

READ = 48  # bytes that are read for one that goes through a run
LEAST_SHARE = 0.25  # of an equal share of the sample, for the smallest source
HASHED_BYTES = 1 << 26  # of a file that is hashed to see how fast that is
HASH_RATE = 2e9  # bytes a second, where no file is of a size to measure it
USUAL_FILL = 0.995  # of the slots of a row, where there are too few rows to see it
FEW_SHARD_ROWS = 4

Inputs = Mapping[str, list[Input]]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the run will have: `start_seconds` are those before it begins."""

    runner: Runner
    memory_bytes: int
    start_seconds: float


def predict(plan: Plan, sample_bytes: int, machine: Machine, folder: Path) -> Prediction:
    """Read and run a sample of about `sample_bytes` of text; the output is not touched.

    `folder` is empty, and is left full of the sample and its runs: the runner's processes write
    there, so whoever deletes it ends them first.

    Raises what a run would raise before it begins: a path that matches nothing, a filter without
    its model, a tokenizer that is not there.
    """
    started = time.perf_counter()
    plan = with_pii_key(plan)
    inputs = list_inputs(plan)
    check_filters(plan)
    check_extractors(plan)
    machine.runner.start()  # the processes import while the inputs are read
    hash_rate = _hash_rate(plan, inputs)
    drawn = _draw(plan, inputs, sample_bytes, folder)
    strata = tuple(stratum for one in drawn.values() for stratum in one.strata)
    items = {name: items_of(plan.reader(name), inputs[name], one) for name, one in drawn.items()}
    if not strata:
        return _of_nothing(plan, drawn, machine, time.perf_counter() - started)
    warm_up(plan, strata)
    few = try_run(
        plan, strata, folder / "few", machine.runner, machine.memory_bytes, max_rows=FEW_ROWS
    )
    tried = try_run(
        plan,
        strata,
        folder / "all",
        machine.runner,
        machine.memory_bytes,
        tokenizer=few.out / FOLDER,
    )
    duplicates = removed(tried.out, tried.outcome.dedup, strata, drawn)
    ledger = predicted_ledger(strata, tried.refined, tried.tokenised, drawn, duplicates)
    hash_seconds = sum(one.stored_bytes for one in drawn.values()) / hash_rate
    stages = predicted_stages(
        strata,
        drawn,
        items,
        few,
        tried,
        start_seconds=machine.start_seconds,
        hash_seconds=hash_seconds,
        num_workers=machine.runner.num_workers,
    )
    num_rows, num_shards, shard_bytes = _shards(plan, ledger, tried)
    num_items = sum(len(one.refined) for one in items.values())
    spool_bytes = sum(sum(one.spooled) for one in items.values())
    disk = predicted_disk(strata, few, tried, num_items, shard_bytes, spool_bytes)
    refine_seconds = next(s.seconds - s.fixed_seconds for s in stages if s.name == REFINE)
    all_bytes = sum(one.all_bytes for one in drawn.values())
    return Prediction(
        corpus=plan.manifest.name,
        num_workers=machine.runner.num_workers,
        ledger=ledger,
        removed={name: (one.low, one.high) for name, one in duplicates.items()},
        num_tokens=sum(entry.num_tokens for entry in ledger.values()),
        num_rows=num_rows,
        num_shards=num_shards,
        sequence_tokens=plan.manifest.pack.sequence_tokens,
        stages=tuple(
            replace(stage, num_items=num_items) if stage.name == REFINE else stage
            for stage in stages
        ),
        disk=disk,
        examples=tuple(example for one in drawn.values() for example in one.examples),
        max_quarantined_fraction=plan.manifest.limits.max_quarantined_fraction,
        sampled=_sampled(drawn),
        unknown=tuple(_unknown(plan, drawn)),
        left=left_of(plan, all_bytes, refine_seconds),
        took_seconds=time.perf_counter() - started,
    )


def _draw(plan: Plan, inputs: Inputs, sample_bytes: int, folder: Path) -> dict[str, Drawn]:
    """A sample of every source, larger of a larger one."""
    shares = _shares({name: _stored(files) for name, files in inputs.items()})
    drawn = {}
    for name, files in inputs.items():
        target = max(1, round(sample_bytes * shares[name]))
        pieces = pieces_of(plan.reader(name), files, READ * target, plan.manifest.seed)
        drawn[name] = draw(plan, name, pieces, READ * target, target, folder)
    return drawn


def _stored(files: Sequence[Input]) -> int:
    return sum(file.size_bytes or 0 for file in files)


def _shares(sizes: Mapping[str, int]) -> dict[str, float]:
    total = max(1, sum(sizes.values()))
    least = LEAST_SHARE / len(sizes)
    weights = {name: max(size / total, least) for name, size in sizes.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _hash_rate(plan: Plan, inputs: Inputs) -> float:
    """Bytes a second of the first thing that a run does with every file."""
    largest = [
        (file, name)
        for name, files in inputs.items()
        for file in files
        if 1 << 20 <= (file.size_bytes or 0) <= HASHED_BYTES
    ]
    if not largest:
        return HASH_RATE
    file, name = max(largest, key=lambda one: one[0].size_bytes or 0)
    started = time.perf_counter()
    plan.reader(name).fingerprint(file)
    return (file.size_bytes or 0) / max(1e-6, time.perf_counter() - started)


def _shards(plan: Plan, ledger: Mapping[str, object], tried: Tried) -> tuple[int, int, float]:
    """Rows, part files and bytes of the shards."""
    index, config = tried.outcome.index, plan.manifest.pack
    rows = sum(shard.num_rows for shard in index.shards)
    tokens = sum(shard.num_tokens for shard in index.shards)
    sizes = sum((tried.out / "shards" / shard.path).stat().st_size for shard in index.shards)
    full = max(1, rows - len(index.shards))  # the last row of each is full by chance
    few = rows < FEW_SHARD_ROWS * max(1, len(index.shards))
    fill = USUAL_FILL if few else min(1.0, tokens / (full * config.sequence_tokens))
    num_rows = num_shards = 0
    for name, entry in ledger.items():
        held_out = plan.source(name).validation_fraction
        for share in (1 - held_out, held_out) if held_out else (1.0,):
            part = entry.num_tokens * share  # type: ignore[attr-defined]
            if part >= 1:
                num_rows += math.ceil(part / fill / config.sequence_tokens)
                num_shards += math.ceil(part / config.shard_tokens)
    return num_rows, num_shards, num_rows * sizes / max(1, rows)


def _sampled(drawn: Mapping[str, Drawn]) -> dict[str, Sampled]:
    return {
        name: Sampled(
            num_files=one.num_files,
            stored_bytes=one.stored_bytes,
            coverage=one.coverage,
            num_documents=sum(stratum.num_rows for stratum in one.strata),
            num_bytes=sum(stratum.num_bytes for stratum in one.strata),
        )
        for name, one in drawn.items()
    }


def _unknown(plan: Plan, drawn: Mapping[str, Drawn]) -> list[str]:
    """What the sample cannot tell."""
    told = []
    partly = {name: one.coverage for name, one in drawn.items() if one.coverage < 1}
    if partly:
        least = min(partly.values())
        told.append(
            f"of {', '.join(partly)} only a part was read ({least:.0%} at least): copies of what "
            "was not read are guessed at, see the interval"
        )
    if plan.manifest.dedup.index is not None:
        told.append("what goes because a corpus of dedup.index has it")
    if plan.manifest.edits is not None:
        told.append("all that `edits` finds: in a sample less repeats than in the whole")
    if any(one.stored_bytes == 0 for one in drawn.values()):
        told.append(
            "sources whose sizes are not known before they are read: those are read to "
            "the limit of the sample, and taken for whole"
        )
    return told


def _of_nothing(
    plan: Plan, drawn: Mapping[str, Drawn], machine: Machine, seconds: float
) -> Prediction:
    """Where no row of the sample is a document."""
    return Prediction(
        corpus=plan.manifest.name,
        num_workers=machine.runner.num_workers,
        ledger=predicted_ledger((), (), (), drawn, {}),
        removed={},
        num_tokens=0,
        num_rows=0,
        num_shards=0,
        sequence_tokens=plan.manifest.pack.sequence_tokens,
        stages=(),
        disk=Disk(0, 0, 0, 0, 0),
        examples=tuple(example for one in drawn.values() for example in one.examples),
        max_quarantined_fraction=plan.manifest.limits.max_quarantined_fraction,
        sampled=_sampled(drawn),
        unknown=("all but the reasons for which rows cannot be read",),
        left=None,
        took_seconds=seconds,
    )
