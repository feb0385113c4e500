"""What a run decides as it goes: online weights, rows that are skipped, going back on a spike.

Each decision is an event of the control log, which is in every checkpoint: a replay of the log
reads the same rows.
"""

import math
from dataclasses import replace

from training.checkpoint import read_record
from training.mix.control import Event, read_log, skip_event
from training.mix.online import OnlineState
from training.running import Run
from training.screen import StepLine
from training.spikes import is_spike, remember
from training.state import TrainState
from training.step import StepResult


def pass_over(run: Run, state: TrainState, rate: float) -> tuple[TrainState, StepLine]:
    """Consume the rows of a step that the control log skips."""
    num_rows = run.config.batch_rows
    run.journal.write("passed", state.step + 1, first_row=state.consumed_rows, num_rows=num_rows)
    state = replace(
        state,
        step=state.step + 1,
        consumed_rows=state.consumed_rows + num_rows,
        num_passed=state.num_passed + 1,
    )
    line = StepLine(
        step=state.step,
        num_steps=run.data.num_steps,
        loss=math.nan,
        learning_rate=rate,
        tokens_per_second=0.0,
    )
    return state, line


def mix_online(run: Run, state: TrainState, result: StepResult) -> TrainState:
    """Let the bandit see the step; new weights of its go into the control log."""
    mixer = run.data.mixer
    if mixer is None or not result.moved:
        return state
    known = OnlineState.from_json(state.online) if state.online else mixer.initial()
    online, event = mixer.observe(
        mixer.resume(known),
        num_steps=state.step,
        nats=[nats for nats, _ in result.sources],
        targets=[targets for _, targets in result.sources],
        boundary=run.reader.stream.next_boundary(state.consumed_rows),
    )
    state = replace(state, online=online.to_json())
    return state if event is None else add_event(run, state, event)


def add_event(run: Run, state: TrainState, event: Event) -> TrainState:
    """Let the control log and the stream know; what comes next may be other rows."""
    if event["kind"] != "skip":
        rows = [known["row"] for known in state.control if known["kind"] != "skip"]
        if event["row"] >= run.reader.stream.plan.num_rows or event["row"] < max(rows, default=0):
            return state  # the run ends before it would count, or shards join before it does
    run.reader.switch(run.reader.stream.with_event(event))
    run.journal.write("control", state.step, event=event)
    return replace(state, control=(*state.control, event))


def look_back(run: Run, state: TrainState, result: StepResult) -> TrainState:
    """Tell a spike, and go back to before it where the config says so."""
    config = run.config.spikes
    if config is None:
        return state
    if is_spike(result.loss, state.recent_losses, config):
        run.screen.say(f"step {state.step}: loss {result.loss:.4f} is a spike")
        run.journal.write("spike", state.step, loss=result.loss)
        if may_rewind(run) and state.num_rewinds < config.max_rewinds:
            return rewind(run, state, config.skip_steps, result.loss)
    # A spike that the run does not go back on enters the window too: it may be a new level.
    return replace(state, recent_losses=remember(result.loss, state.recent_losses, config))


def may_rewind(run: Run) -> bool:
    """Whether the run goes back on spikes, and so needs a checkpoint before its first step."""
    return run.config.spikes is not None and run.config.spikes.action == "rewind"


def rewind(run: Run, state: TrainState, skip_steps: int, loss: float) -> TrainState:
    """Back to the last checkpoint before the rows around the spike, which are skipped from now on.

    Weights that the control log has after that checkpoint are forgotten, as the losses that they
    came from; shards that joined since have joined, and what was skipped stays skipped. The way
    back is saved at once, so that a run that is killed on it does not try again and again.
    """
    first = max(0, state.step - 1 - skip_steps)
    path = run.checkpoints.before(first)
    if path is None:
        run.screen.say(f"no checkpoint at or before step {first} is kept: going on")
        return state
    restored = TrainState.from_json(read_record(path)["state"])
    run.reload(path)
    run.checkpoints.restore(path, run.parts)
    run.checkpoints.discard_after(restored.step)
    run.journal.cut(restored.step)
    run.forgetting.cut(restored.step)
    since = state.control[len(restored.control) :]
    kept = tuple(event for event in since if event["kind"] != "weights")
    best_step, best_loss = run.checkpoints.best() or (None, None)
    restored = replace(
        restored,
        control=(*restored.control, *kept),
        num_rewinds=state.num_rewinds + 1,
        best_step=best_step,
        best_loss=best_loss,
    )
    run.reader.switch(run.data.replayed(read_log(restored.control)))
    run.screen.say(f"back to step {restored.step}; steps {first + 1} to {state.step} are skipped")
    event = skip_event(first * run.config.batch_rows, state.consumed_rows)
    restored = add_event(run, restored, event)
    run.journal.write("spike", restored.step, loss=loss, at_step=state.step)  # that line was cut
    run.journal.sync()
    run.checkpoints.save(run.parts, restored, block=True)
    return restored
