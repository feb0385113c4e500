"""The training loop. It reads top to bottom; everything else is a part that it calls."""

import math
import time
from dataclasses import dataclass, replace

import torch

from training.checkpoint import Checkpoints
from training.config import TrainConfig
from training.errors import DivergedError
from training.evaluate import Evaluator, weighted_loss
from training.metrics import MetricsFile, evaluation_values
from training.parallel import Workers
from training.permutation import derive_key
from training.report import Screen, StepLine
from training.schedule import learning_rate
from training.signals import StopRequest
from training.state import TrainState
from training.step import Stepper, StepResult
from training.stream import Stream

MAX_SKIPPED_IN_ROW = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The parts of a run; `config` has its defaults resolved."""

    config: TrainConfig
    num_steps: int
    micro_rows: int
    model: torch.nn.Module  # not wrapped
    stream: Stream
    stepper: Stepper
    evaluator: Evaluator
    final_weights: dict[str, float]  # token weights at the end of the run, by source
    checkpoints: Checkpoints
    metrics: MetricsFile
    workers: Workers
    screen: Screen
    stop: StopRequest


def train(run: Run, resumed: TrainState | None) -> TrainState:
    """Train to the last step, or to the step in which a stop was asked for; save; return the state.

    A stop does not wait for an evaluation: the resumed run makes up for it.
    """
    state, saved = resumed or TrainState(), resumed
    with run.screen.bars():
        bar = run.screen.add("train", run.num_steps, completed=state.step)
        while True:
            stopping = run.workers.any(run.stop.requested)
            last = state.step == run.num_steps
            if not stopping and (last or state.step % run.config.eval_every == 0):
                state = evaluate(run, state)
            due = last or stopping or state.step % run.config.save_every == 0
            if due and state.step > 0 and state != saved:
                saved = save(run, state)
            if last or stopping:
                return state
            state, line = take_step(run, state)
            bar.show(line)


def take_step(run: Run, state: TrainState) -> tuple[TrainState, StepLine]:
    """Feed one batch; a step that is not finite changes nothing but the counts."""
    started = time.perf_counter()
    seed_step(run.config.seed, state.step, run.workers.rank)
    num_rows = run.config.batch_rows // run.workers.size
    batch = run.stream.batch(state.consumed_rows + run.workers.rank * num_rows, num_rows)
    rate = learning_rate(state.step, run.num_steps, run.config.lr)
    waited = time.perf_counter() - started
    result = run.stepper.step(batch.split(run.micro_rows), rate)
    seconds = time.perf_counter() - started
    state = advance(state, run.config.batch_rows, moved=result.moved)
    (num_tokens,) = run.workers.sums([batch.num_tokens])
    run.metrics.write(
        "step",
        state.step,
        loss=result.loss,
        learning_rate=rate,
        grad_norm=result.grad_norm,
        num_targets=result.num_units,
        num_tokens=int(num_tokens),
        seconds=seconds,
        data_seconds=waited,
    )
    if not result.moved:
        report_skipped(run, state, result)
    line = StepLine(
        step=state.step,
        num_steps=run.num_steps,
        loss=result.loss,
        learning_rate=rate,
        tokens_per_second=num_tokens / seconds,
    )
    return state, line


def advance(state: TrainState, batch_rows: int, *, moved: bool) -> TrainState:
    """The state after a step that moved the weights, or was refused."""
    return replace(
        state,
        step=state.step + 1,
        consumed_rows=state.consumed_rows + batch_rows,
        num_skipped=state.num_skipped + (not moved),
        num_skipped_in_row=0 if moved else state.num_skipped_in_row + 1,
    )


def report_skipped(run: Run, state: TrainState, result: StepResult) -> None:
    """Name the rows of a refused step; raise `DivergedError` at the fifth in a row."""
    first = state.consumed_rows - run.config.batch_rows
    rows = run.stream.describe(first, run.config.batch_rows)
    what = f"loss {result.loss}, gradient norm {result.grad_norm}"
    run.metrics.write("skipped", state.step, reason=what, first_row=first, rows=rows)
    run.screen.say(f"step {state.step}: {what}: skipped, nothing moved; rows in metrics.jsonl")
    if state.num_skipped_in_row >= MAX_SKIPPED_IN_ROW:
        run.metrics.sync()
        raise DivergedError(
            f"step {state.step}: {MAX_SKIPPED_IN_ROW} steps in a row were not finite ({what}); "
            "look at their rows in metrics.jsonl, then lower lr.peak or take precision=fp32"
        )


def evaluate(run: Run, state: TrainState) -> TrainState:
    """Score every source, unless this step was; keep the weights if they are the best so far."""
    if state.evaluated_step == state.step:
        return state
    bar = run.screen.add("validate", run.evaluator.num_local_rows)
    scores = run.evaluator.evaluate(run.model, bar.advance)
    bar.remove()
    state = replace(state, evaluated_step=state.step, latest=scores)
    if not scores:
        return state
    run.metrics.write("eval", state.step, sources=evaluation_values(scores))
    figures = " · ".join(f"{name} {score.perplexity:.3f}" for name, score in scores.items())
    run.screen.say(f"step {state.step}: validation perplexity {figures}")
    if state.step == 0:
        return replace(state, baseline=scores)
    loss = weighted_loss(scores, run.final_weights)
    if not loss < (math.inf if state.best_loss is None else state.best_loss):  # NaN is no best
        return state
    state = replace(state, best_loss=loss, best_step=state.step)
    if run.config.keep_best and run.workers.is_main:
        run.checkpoints.save_best(run.model, state)
    return state


def save(run: Run, state: TrainState) -> TrainState:
    """Write a checkpoint; all metrics up to it are durable before it is. Returns the state."""
    run.metrics.sync()
    if run.workers.is_main:
        path = run.checkpoints.save(run.model, run.stepper.optimizer, state)
        run.screen.say(f"step {state.step}: saved {path}")
    return state


def seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout is a function of (seed, step, rank), so a checkpoint needs no generator state."""
    torch.manual_seed(derive_key(seed, "step", step, rank) >> 1)
