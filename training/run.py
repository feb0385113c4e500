"""From a config to a run: open, check, resume or start, train, report. Cheap checks come first."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from training.assemble import assemble
from training.checkpoint import Checkpoints, latest_checkpoint, read_record
from training.config import TrainConfig
from training.config.objective import ObjectiveConfig
from training.data import Data, open_data
from training.errors import ConfigError, GateError, ResumeError, UsageError
from training.loop import train
from training.measures.gate import check_gate, check_gate_names
from training.measures.lm_eval_tasks import LmEvalTasks, load_tasks
from training.measures.record import write_record
from training.measures.samples import check_samples
from training.measures.targets import check_targets, scored_rows, without_targets
from training.measures.trackers import check_trackers
from training.mix.control import read_log
from training.model import check_model_fits, check_tokenizer, quieten
from training.parallel import Workers, start_workers
from training.report import Outcome, forgetting, forgetting_table, write_forgetting
from training.reporting.ending import remove_stale, reported
from training.schedule import check_schedule
from training.screen import Screen, Style
from training.signals import stop_on_signals
from training.state import TrainState, check_identity, identity

ON_TOKENS = ("clm", "mlm", "z_loss", "kl", "teacher")


def run_training(config: TrainConfig, *, extend: bool = False, style: Style = "auto") -> TrainState:
    """Everything that `train` does. Raises `TrainError`."""
    quieten()
    with start_workers(config.device, config.parallel) as workers:
        screen = Screen(enabled=workers.is_main, style=style)
        saved = saved_run(config.out)
        data = open_saved(config, workers, saved, extend=extend)
        checkpoints = Checkpoints(
            out=config.out,
            keep_last=config.keep_last,
            keep_best=config.keep_best,
            tokenizer_path=data.sets[0].tokenizer_path,
            identity=identity(config, data.fingerprints),
            workers=workers,
        )
        state = None
        if saved is not None:
            check_identity(saved[1], checkpoints.identity, str(checkpoints.latest()))
            state = saved[0].with_event(data.new_event)
        tasks = check_run(config, data, workers, is_new=state is None)
        for line in check_all_targets(config, data):
            screen.say(line)
        with reported(config, workers, screen):
            if state is not None and state.is_done(data.num_steps):
                screen.say(f"{config.out}: already done at step {state.step}; nothing to do")
            else:
                state = _train(config, data, checkpoints, state, workers, screen, tasks)
            outcome = finish(config, state, data, workers, screen)
        if outcome is not None:
            conclude(config, outcome, screen)
        return state


def saved_run(out: Path) -> tuple[TrainState, dict[str, object]] | None:
    """State and identity of the last complete checkpoint, if there is one. Raises `ResumeError`."""
    path = latest_checkpoint(out)
    if path is None:
        return None
    record = read_record(path)
    try:
        return TrainState.from_json(record["state"]), record["identity"]
    except (KeyError, TypeError) as exc:
        raise ResumeError(
            f"{path}: not a state that this version can go on from ({exc!r}); resume it with the "
            "version that wrote it, or start a new run from its weights with another --out"
        ) from exc


def open_saved(
    config: TrainConfig,
    workers: Workers,
    saved: tuple[TrainState, dict[str, object]] | None,
    *,
    extend: bool = False,
) -> Data:
    """The data of the run, replayed to where it was saved."""
    if saved is None:
        if extend:
            raise ConfigError(f"--extend: {config.out} has no run to go on with; leave it out")
        return open_data(config, workers.size, rank=workers.rank)
    state, known = saved
    return open_data(
        config,
        workers.size,
        rank=workers.rank,
        control=read_log(state.control),
        fingerprints=known["shards"],  # type: ignore[arg-type]
        extend=extend,
        consumed_rows=state.consumed_rows,
    )


def check_run(
    config: TrainConfig, data: Data, workers: Workers, *, is_new: bool
) -> LmEvalTasks | None:
    """All that can be refused before the model is loaded."""
    check_schedule(config.lr, data.num_steps)
    check_objective(config)
    check_trackers(config.wandb)
    check_samples(config)
    if is_new:
        check_tokenizer(config.model_path, data.sets[0])
    is_masked = config.objective.mlm is not None
    check_model_fits(config.model_path, data.sets[0], data.sequence_tokens, is_masked=is_masked)
    if config.lm_eval is None:
        return None
    if config.parallel == "fsdp" and workers.size > 1:
        raise ConfigError(
            "lm_eval: the harness calls the whole model on one rank, which parallel: fsdp has "
            "nowhere; want parallel: ddp, or run lm_eval on the checkpoints afterwards"
        )
    if config.lm_eval.every is not None and config.lm_eval.every % config.eval_every:
        raise ConfigError(
            f"lm_eval.every: got {config.lm_eval.every}, want a multiple of eval_every "
            f"({config.eval_every}), which is when the run looks"
        )
    tokenizer = data.sets[0].tokenizer_path / "tokenizer.json"
    if not tokenizer.is_file():
        raise ConfigError(
            f"lm_eval: {tokenizer} is missing, and tasks are text; prepare the shards again, or "
            "copy the tokenizer there"
        )
    return load_tasks(config.lm_eval)


def check_all_targets(config: TrainConfig, data: Data) -> list[str]:
    """A line for each source that has rows and no targets; the gate must not name one.

    Raises `DataError` where a run has nothing to learn at all, `ConfigError` for the gate.
    """
    is_masked, width = config.objective.mlm is not None, data.sequence_tokens
    rows = scored_rows(data.validation, config.eval_rows)
    unscored = without_targets(data.validation, rows, width, is_masked=is_masked)
    names = [size.name for size in data.validation.sizes]
    check_gate_names(config.gate, names, without_targets=unscored)
    lines = [
        f"{name}: none of its {len(own):,} validation rows has a target: left out of all measures"
        for name, own in zip(names, rows, strict=True)
        if name in unscored
    ]
    if is_of_tokens(config.objective):
        drawn = data.plan.drawn[-1]
        unlearned = check_targets(data.corpus, drawn, width, is_masked=is_masked)
        lines += [f"{name}: none of its training rows has a target" for name in unlearned]
    return lines


def is_of_tokens(objective: ObjectiveConfig) -> bool:
    """Whether all that is minimised are losses of the shards' tokens, and penalties."""
    chosen = {name for name in type(objective).model_fields if getattr(objective, name)}
    return chosen <= {*ON_TOKENS, "ewc"}


def check_objective(config: TrainConfig) -> None:
    """Refuse what does not go together. Raises `ConfigError`."""
    objective = config.objective
    if config.online and not any(getattr(objective, name) for name in ON_TOKENS):
        raise ConfigError(
            "online: weights follow the losses of tokens, of which the objective has none; add one "
            f"of {', '.join(ON_TOKENS)}, or leave online out"
        )
    if config.lora and objective.ewc:
        raise ConfigError(
            "objective.ewc: with lora the weights that are to be remembered do not move; leave ewc "
            "out, and take kl, whose reference is then the model without its adapters"
        )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the run directory; raises `UsageError` where another run does."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise ConfigError(f"--out: {out} is a file; want a directory, which may be new") from exc
    with (out / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError(
                f"--out: {out}: another run is writing there; wait for it, or give another --out"
            ) from exc
        yield


def _train(
    config: TrainConfig,
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
    tasks: LmEvalTasks | None,
) -> TrainState:
    screen.say(
        f"{data.num_steps} steps of {config.batch_rows} rows of {data.corpus.sequence_tokens} "
        f"tokens, in sequences of {data.sequence_tokens}; {workers.size} process(es) on "
        f"{workers.device.type}"
    )
    for line in data.describe():
        screen.say(f"  {line}")
    if state is not None:
        screen.say(f"{checkpoints.out}: resuming from checkpoint-{state.step}")
    with ExitStack() as stack:
        if workers.is_main:
            stack.enter_context(locked(checkpoints.out))
            checkpoints.clean(None if state is None else state.step)
            remove_stale(checkpoints.out, is_new=state is None)
        workers.barrier()
        stack.callback(checkpoints.close)
        stop = stack.enter_context(stop_on_signals())
        if workers.is_main:
            write_record(config, data, workers, 0 if state is None else state.step)
        run = assemble(config, data, checkpoints, state, workers, screen, tasks, stop)
        stack.callback(run.journal.close)
        stack.enter_context(run.reader)
        return train(run, state)


def finish(
    config: TrainConfig, state: TrainState, data: Data, workers: Workers, screen: Screen
) -> Outcome | None:
    """The table and `forgetting.json`; None and how to go on where the run was stopped."""
    failure = check_gate(config.gate, state.comparisons, state.step)
    if failure is None and not state.is_done(data.num_steps):
        screen.event("stopped", step=state.step)
        screen.tell(f"stopped at step {state.step}; run the same command again to go on")
        return None
    outcome = Outcome(
        step=state.step,
        num_skipped=state.num_skipped,
        best_step=state.best_step,
        comparisons=state.comparisons,
        gate=config.gate,
        gate_failure=None if failure is None else str(failure),
    )
    if workers.is_main:
        write_forgetting(config.out / "forgetting.json", outcome)
    if state.comparisons:
        screen.tell(forgetting_table(outcome))
    else:
        what = "targets" if data.validation.num_rows else "rows"
        screen.tell(f"no source has validation {what}: nothing was measured")
    screen.tell(f"model: {config.out / 'last'} · figures: {config.out / 'forgetting.json'}")
    return outcome


def conclude(config: TrainConfig, outcome: Outcome, screen: Screen) -> None:
    """The event that is the last of a run that ended well. Raises `GateError` for a gate."""
    screen.event("outcome", model=str(config.out / "last"), **forgetting(outcome))
    if not config.report:  # else the page is drawn in a moment, and its path told
        screen.say_next(config.out)
    if outcome.gate_failure is not None:
        raise GateError(outcome.gate_failure)
