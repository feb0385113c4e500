"""The training loop. It reads top to bottom; everything else is a part that it calls."""

import time
from dataclasses import replace

import torch

from training.batch import Batch
from training.decisions import look_back, may_rewind, mix_online, pass_over
from training.errors import DivergedError
from training.measures.gate import check_gate
from training.milestones import evaluate, save
from training.permutation import derive_key
from training.running import Run
from training.schedule import learning_rate
from training.screen import StepLine
from training.state import TrainState
from training.step import StepResult

MAX_SKIPPED_IN_ROW = 5


def train(run: Run, resumed: TrainState | None) -> TrainState:
    """Train to the last step, or to the step in which a stop was asked for; save; return the state.

    A stop does not wait for an evaluation: the resumed run makes up for it.
    """
    state, saved = resumed or TrainState(), resumed
    if state.evaluated_step == state.step and is_gated(run, state):
        return state
    with run.screen.bars():
        bar = run.screen.add("train", run.data.num_steps, completed=state.step)
        while True:
            stopping = run.workers.any(run.stop.requested)
            last = state.step == run.data.num_steps
            if not stopping and (last or is_due(run, state)):
                state = evaluate(run, state)
                stopping = is_gated(run, state)
            due = last or stopping or state.step % run.config.save_every == 0
            if due and state != saved and (state.step > 0 or may_rewind(run)):
                saved = save(run, state, block=last or stopping)
            if last or stopping:
                return state
            state, line = take_step(run, state)
            bar.show(line)


def is_due(run: Run, state: TrainState) -> bool:
    """Whether to evaluate: every so many steps, and when shards have just joined."""
    return state.evaluated_step is None or state.step % run.config.eval_every == 0


def is_gated(run: Run, state: TrainState) -> bool:
    """Whether the last evaluation found a source worse than the gate lets pass."""
    return check_gate(run.config.gate, state.comparisons, state.step) is not None


def take_step(run: Run, state: TrainState) -> tuple[TrainState, StepLine]:
    """Feed one batch; a step that is not finite changes nothing but the counts."""
    rate = learning_rate(state.step, run.data.num_steps, run.config.lr)
    if run.reader.stream.is_skipped(state.consumed_rows, run.config.batch_rows):
        return pass_over(run, state, rate)
    seed_step(run.config.seed, state.step, run.workers.rank)
    started = time.perf_counter()
    batch = read_batch(run, state)
    waited = time.perf_counter() - started
    result = run.stepper.step(run.micro.split(batch), rate)
    seconds = time.perf_counter() - started
    (num_tokens,) = run.workers.sums([batch.num_tokens])
    speed = run.throughput.values(
        num_tokens=num_tokens,
        num_targets=min(num_tokens, result.num_units),
        sequence_tokens=batch.input_ids.shape[1],
        seconds=seconds,
        data_seconds=waited,
    )
    state = advance(state, run.config.batch_rows, result)
    figures = {"learning_rate": rate, "num_tokens": num_tokens, "seconds": seconds, **speed}
    write_step(run, state, result, **figures)
    line = StepLine(
        step=state.step,
        num_steps=run.data.num_steps,
        loss=result.loss,
        learning_rate=rate,
        tokens_per_second=num_tokens / seconds,
        mfu=speed["mfu"],
        data_fraction=waited / seconds,
        num_targets=targets_by_source(run, result),
    )
    if not result.moved and not result.overflowed:
        report_skipped(run, state, result)
    return look_back(run, mix_online(run, state, result), result), line


def read_batch(run: Run, state: TrainState) -> Batch:
    """This rank's rows of the step; those of the next one are made meanwhile."""
    num_rows = run.config.batch_rows // run.workers.size
    first = state.consumed_rows + run.workers.rank * num_rows
    is_last = state.step + 1 == run.data.num_steps
    following = None if is_last else first + run.config.batch_rows
    return run.reader.batch(first, num_rows, state.step, next_first=following)


def advance(state: TrainState, num_rows: int, result: StepResult) -> TrainState:
    """The state after a step that moved the weights, or was refused."""
    refused = not result.moved and not result.overflowed
    return replace(
        state,
        step=state.step + 1,
        consumed_rows=state.consumed_rows + num_rows,
        num_skipped=state.num_skipped + refused,
        num_skipped_in_row=0 if result.moved else state.num_skipped_in_row + refused,
    )


def write_step(run: Run, state: TrainState, result: StepResult, **figures: float | None) -> None:
    """A line of the journal: terms where there are several, losses and targets by source."""
    losses = {
        name: nats / targets
        for name, (nats, targets) in zip(run.data.names, result.sources, strict=False)
        if targets
    }
    several = {"terms": dict(result.terms)} if len(result.terms) > 1 else {}
    measured = {"metrics": dict(result.metrics)} if result.metrics else {}
    refused = {} if result.moved else {"overflowed" if result.overflowed else "refused": True}
    run.journal.write(
        "step",
        state.step,
        loss=result.loss,
        grad_norm=result.grad_norm,
        num_targets=result.num_units,
        sources=losses,
        source_targets=targets_by_source(run, result),
        **several,
        **measured,
        **refused,
        **figures,
    )


def targets_by_source(run: Run, result: StepResult) -> dict[str, float]:
    """How many tokens of each source the step learned, over all ranks."""
    return {
        name: targets for name, (_, targets) in zip(run.data.names, result.sources, strict=False)
    }


def report_skipped(run: Run, state: TrainState, result: StepResult) -> None:
    """Name the rows of a refused step; raise `DivergedError` at the fifth in a row."""
    first = state.consumed_rows - run.config.batch_rows
    rows = run.reader.stream.describe(first, run.config.batch_rows)
    what = f"loss {result.loss}, gradient norm {result.grad_norm}"
    run.journal.write("skipped", state.step, reason=what, first_row=first, rows=rows)
    run.screen.say(f"step {state.step}: {what}: skipped, nothing moved; rows in metrics.jsonl")
    if state.num_skipped_in_row >= MAX_SKIPPED_IN_ROW:
        run.journal.sync()
        raise DivergedError(
            f"step {state.step}: {MAX_SKIPPED_IN_ROW} steps in a row were not finite ({what}); "
            "look at their rows in metrics.jsonl, then start a new run (another --out) with a "
            "lower lr.peak or precision=fp32"
        )


def seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout is a function of (seed, step, rank), so a checkpoint needs no generator state."""
    torch.manual_seed(derive_key(seed, "step", step, rank) >> 1)
