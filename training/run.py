"""From a config to a run: open, check, resume or start, train, report. Cheap checks come first."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from training.attention import check_attention
from training.checkpoint import Checkpoints, read_optimizer, read_record
from training.config import TrainConfig
from training.data import Data, open_data
from training.evaluate import Evaluator
from training.loop import Run, train
from training.metrics import MetricsFile
from training.model import check_model_fits, check_tokenizer, load_model, quieten
from training.objectives import build_terms
from training.optimizer import make_optimizer
from training.parallel import Workers, start_workers
from training.precision import Autocast, make_autocast
from training.report import Screen, forgetting_table, write_forgetting
from training.signals import StopRequest, stop_on_signals
from training.state import TrainState, check_identity, identity
from training.step import Stepper

# Tokens per forward pass when micro_rows is not given. With 49,152 ids in the vocabulary, the
# logits and their gradient take 0.4 MB per token in float32.
MICRO_TOKENS = {"cpu": 1024, "cuda": 16_384}


def run_training(config: TrainConfig) -> TrainState:
    """Everything that `train` does. Raises `TrainError`."""
    quieten()
    with start_workers(config.device) as workers:
        screen = Screen(enabled=workers.is_main)
        data = open_data(config, workers.size)
        config = config.model_copy(
            update={"steps": data.num_steps, "sequence_tokens": data.sequence_tokens}
        )
        checkpoints = Checkpoints(
            out=config.out,
            keep_last=config.keep_last,
            tokenizer_path=data.sets[0].tokenizer_path,
            identity=identity(config, data.sets),
        )
        state = resume_state(checkpoints)
        if state is not None and state.is_done(data.num_steps):
            screen.say(f"{config.out}: already done at step {state.step}; nothing to do")
        else:
            if state is None:
                check_tokenizer(config.model, data.sets[0])
                check_model_fits(config.model, data.sets[0], data.sequence_tokens)
            state = _train(config, data, checkpoints, state, workers, screen)
        if workers.is_main:
            finish(config.out, state, data.num_steps, screen)
        return state


def resume_state(checkpoints: Checkpoints) -> TrainState | None:
    """The state of the last complete checkpoint. Raises `ResumeError` if it is of another run."""
    path = checkpoints.latest()
    if path is None:
        return None
    record = read_record(path)
    check_identity(record["identity"], checkpoints.identity, str(path))
    return TrainState.from_json(record["state"])


def _train(
    config: TrainConfig,
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
) -> TrainState:
    if workers.is_main:
        checkpoints.out.mkdir(parents=True, exist_ok=True)
        checkpoints.remove_temporary()
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
        stop = stack.enter_context(stop_on_signals())
        run = build_run(config, data, checkpoints, state, workers, screen, stop)
        stack.callback(run.metrics.close)
        return train(run, state)


def build_run(
    config: TrainConfig,
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
    stop: StopRequest,
) -> Run:
    """Load the model, test its attention, wire the parts. The main rank writes the metrics."""
    autocast = make_autocast(config.precision, workers.device)
    model, optimizer = load_weights(config, data, checkpoints, state, workers, autocast)
    micro_rows = choose_micro_rows(config, data, workers)
    path = config.out / "metrics.jsonl" if workers.is_main else None
    return Run(
        config=config,
        num_steps=data.num_steps,
        micro_rows=micro_rows,
        model=model,
        stream=data.stream,
        stepper=Stepper(
            model=workers.wrap(model),
            optimizer=optimizer,
            terms=build_terms(config.objective),
            workers=workers,
            autocast=autocast,
            max_grad_norm=config.max_grad_norm,
        ),
        evaluator=Evaluator(
            corpus=data.validation,
            num_rows=config.eval_rows,
            sequence_tokens=data.sequence_tokens,
            micro_rows=micro_rows,
            workers=workers,
            autocast=autocast,
        ),
        final_weights=data.final_weights(),
        checkpoints=checkpoints,
        metrics=MetricsFile(path, None if state is None else state.step),
        workers=workers,
        screen=screen,
        stop=stop,
    )


def load_weights(
    config: TrainConfig,
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    autocast: Autocast,
) -> tuple[Any, torch.optim.Optimizer]:
    """Model and optimizer, of the last checkpoint where the run resumes from one."""
    saved = None if state is None else checkpoints.latest()
    model = load_model(
        str(saved or config.model), attention=config.attention, device=workers.device
    )
    check_attention(model, data.sets[0].index.tokenizer.num_ids, autocast)
    optimizer = make_optimizer(
        model, weight_decay=config.weight_decay, betas=config.betas, device=workers.device
    )
    if saved is not None:
        read_optimizer(saved, optimizer)
    return model, optimizer


def choose_micro_rows(config: TrainConfig, data: Data, workers: Workers) -> int:
    """Rows of `sequence_tokens` per forward pass, where the config does not say."""
    return config.micro_rows or max(1, MICRO_TOKENS[workers.device.type] // data.sequence_tokens)


def finish(out: Path, state: TrainState, num_steps: int, screen: Screen) -> None:
    """The table and `forgetting.json`, or how to go on with a run that was stopped."""
    if not state.is_done(num_steps):
        screen.say(f"stopped at step {state.step}; run the same command again to go on")
        return
    write_forgetting(out / "forgetting.json", state)
    if state.latest:
        screen.console.print(forgetting_table(state))
    else:
        screen.say("no source has validation rows: nothing was measured")
    screen.say(f"model: {out / 'last'} · figures: {out / 'forgetting.json'}")
