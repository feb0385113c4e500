"""What happens every so many steps: evaluation, the `lm_eval` tasks, samples, checkpoints."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from transformers import PreTrainedTokenizerFast

from training.evaluate import weighted_loss
from training.measures.gate import check_is_measured
from training.measures.metrics import evaluation_values
from training.running import Run
from training.state import TrainState


def evaluate(run: Run, state: TrainState) -> TrainState:
    """Score every source, unless this step was; keep the weights if they are of the best."""
    if state.evaluated_step == state.step:
        return state
    bar = run.screen.add("validate", run.evaluator.num_local_rows)
    score = partial(run.stepper.wrapped, scales=None)
    with timed(run, state.step, "evaluation_seconds"):
        evaluation = run.evaluator.evaluate(run.stepper.wrapped, score, bar.advance)
        bar.remove()
        comparisons = run.forgetting.observe(evaluation, state.step)
    check_is_measured(run.config.gate, comparisons)
    state = replace(state, evaluated_step=state.step, comparisons=comparisons)
    run_tasks(run, state)
    write_samples(run, state)
    scores = evaluation.scores
    if not scores:
        return state
    run.journal.write("eval", state.step, **evaluation_values(evaluation, comparisons))
    figures = " · ".join(f"{name} {score.perplexity:.3f}" for name, score in scores.items())
    run.screen.say(f"step {state.step}: validation perplexity {figures}")
    if state.step == 0:
        return state
    loss = weighted_loss(scores, run.data.final_weights())
    if loss < (math.inf if state.best_loss is None else state.best_loss):  # NaN is no best
        state = replace(state, best_loss=loss, best_step=state.step)
    run.checkpoints.save_best(run.parts, step=state.step, score=loss)
    return state


def run_tasks(run: Run, state: TrainState) -> None:
    """The `lm_eval` tasks that are due, on every rank, so that none has to wait for another."""
    if run.tasks is None or not run.tasks.due(state.step, run.data.num_steps):
        return
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run.tokenizer_path)
    results = run.tasks.run(
        run.parts.model, tokenizer, batch_rows=run.evaluator.micro_rows, autocast=run.autocast
    )
    run.journal.write("tasks", state.step, tasks=results)
    for task, metrics in results.items():
        figures = " · ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        run.screen.say(f"step {state.step}: {task}: {figures}")


def write_samples(run: Run, state: TrainState) -> None:
    """What the model writes on from the prompts, into `samples.jsonl`; on every rank alike."""
    continuations = run.continuations
    if continuations is None or not continuations.due(state.step, run.data.num_steps):
        return
    with timed(run, state.step, "samples_seconds"):
        for values in continuations.write(run.stepper.losses):
            run.journal.samples.write("sample", state.step, **values)


def save(run: Run, state: TrainState, *, block: bool) -> TrainState:
    """Write a checkpoint; all metrics up to it are durable before it is. Returns the state."""
    with timed(run, state.step, "checkpoint_seconds"):
        run.journal.sync()
        path = run.checkpoints.save(run.parts, state, block=block)
    run.screen.say(f"step {state.step}: saved {path}" + ("" if block else " in the background"))
    return state


@contextmanager
def timed(run: Run, step: int, name: str) -> Iterator[None]:
    """A line of the journal that says how long the inside took, when it is done."""
    started = time.perf_counter()
    yield
    run.journal.write("time", step, **{name: time.perf_counter() - started})
