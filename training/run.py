"""From a config to a run: open, check, resume or start, train, report. Cheap checks come first."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from training.attention import check_attention
from training.checkpoint import Checkpoints, read_optimizer, read_record
from training.config import TrainConfig
from training.corpus import Corpus, ShardSet, open_shards
from training.errors import ConfigError, DataError
from training.evaluate import Evaluator
from training.leakage import check_no_leakage
from training.loop import Run, train
from training.metrics import MetricsFile
from training.mixing import Mix, Plan, resolve_mix, solve
from training.model import check_model_fits, load_model, quieten
from training.objectives import build_terms
from training.optimizer import make_optimizer
from training.parallel import Workers, start_workers
from training.permutation import derive_key
from training.report import Screen, forgetting_table, write_forgetting
from training.signals import StopRequest, stop_on_signals
from training.state import TrainState, check_identity, identity
from training.step import Stepper
from training.stream import Stream

# Tokens per forward pass when micro_rows is not given. With 49,152 ids in the vocabulary, the
# logits and their gradient take 0.4 MB per token in float32.
MICRO_TOKENS = {"cpu": 1024, "cuda": 16_384}

Autocast = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The shards of a run, checked, and what it will take from them."""

    sets: tuple[ShardSet, ...]
    config: TrainConfig  # with steps and sequence_tokens resolved
    corpus: Corpus
    validation: Corpus
    mix: Mix
    plan: Plan


def run_training(config: TrainConfig) -> TrainState:
    """Everything that `train` does. Raises `TrainError`."""
    quieten()
    with start_workers(config.device) as workers:
        screen = Screen(enabled=workers.is_main)
        data = open_data(config, workers.size)
        checkpoints = Checkpoints(
            out=config.out,
            keep_last=config.keep_last,
            tokenizer_path=data.sets[0].tokenizer_path,
            identity=identity(data.config, data.sets),
        )
        state = resume_state(checkpoints)
        screen.say(describe(data, workers))
        if state is not None and state.step == data.plan.num_rows // config.batch_rows:
            screen.say(f"{config.out}: already done at step {state.step}; nothing to do")
        else:
            state = _train(data, checkpoints, state, workers, screen)
        if workers.is_main:
            finish(config.out, state, data, screen)
        return state


def open_data(config: TrainConfig, world_size: int) -> Data:
    """Open the shards and solve the mix. Raises `DataError` or `ConfigError`."""
    sets = open_shards(config.shards)
    check_no_leakage(sets)
    corpus, validation = Corpus(sets, "train"), Corpus(sets, "validation")
    if not corpus.num_rows:
        raise DataError(f"{sets[0].path}: no training rows; prepare shards with some text in them")
    config = _resolve(config, corpus, world_size)
    assert config.steps is not None
    check_model_fits(config.model, sets[0], config.sequence_tokens or corpus.sequence_tokens)
    mix = resolve_mix(config, corpus.sizes)
    plan = solve(mix, config.steps * config.batch_rows)
    return Data(sets=sets, config=config, corpus=corpus, validation=validation, mix=mix, plan=plan)


def _resolve(config: TrainConfig, corpus: Corpus, world_size: int) -> TrainConfig:
    width = corpus.sequence_tokens
    sequence_tokens = config.sequence_tokens or width
    if width % sequence_tokens:
        raise ConfigError(
            f"sequence_tokens: got {sequence_tokens}, want a divisor of the shards' {width}"
        )
    if config.batch_rows % world_size:
        raise ConfigError(
            f"batch_rows: got {config.batch_rows}, which {world_size} processes cannot share "
            f"equally; want a multiple of {world_size}"
        )
    steps = config.steps or -(-corpus.num_rows // config.batch_rows)
    return config.model_copy(update={"steps": steps, "sequence_tokens": sequence_tokens})


def resume_state(checkpoints: Checkpoints) -> TrainState | None:
    """The state of the last complete checkpoint. Raises `ResumeError` if it is of another run."""
    path = checkpoints.latest()
    if path is None:
        return None
    record = read_record(path)
    check_identity(record["identity"], checkpoints.identity, str(path))
    return TrainState.from_json(record["state"])


def _train(
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
) -> TrainState:
    if workers.is_main:
        checkpoints.out.mkdir(parents=True, exist_ok=True)
        checkpoints.remove_temporary()
    if state is not None:
        screen.say(f"{checkpoints.out}: resuming from checkpoint-{state.step}")
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        run = build_run(data, checkpoints, state, workers, screen, stop)
        stack.callback(run.metrics.close)
        return train(run, state or TrainState())


def build_run(
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
    stop: StopRequest,
) -> Run:
    """Load the model, of the checkpoint where there is one, test its attention, wire the parts."""
    config, device = data.config, workers.device
    assert config.steps is not None
    assert config.sequence_tokens is not None
    saved = None if state is None else checkpoints.latest()
    model = load_model(str(saved or config.model), attention=config.attention, device=device)
    autocast = make_autocast(config.precision, device)
    check_attention(model, data.sets[0].index.tokenizer.num_ids, autocast)
    optimizer = make_optimizer(
        model, weight_decay=config.weight_decay, betas=config.betas, device=device
    )
    if saved is not None:
        read_optimizer(saved, optimizer)
    fingerprint = ",".join(shards.index.fingerprint() for shards in data.sets)
    micro_rows = config.micro_rows or max(1, MICRO_TOKENS[device.type] // config.sequence_tokens)
    return Run(
        config=config,
        num_steps=config.steps,
        micro_rows=micro_rows,
        model=model,
        stream=Stream(
            corpus=data.corpus,
            plan=data.plan,
            key=derive_key(fingerprint, config.seed),
            sequence_tokens=config.sequence_tokens,
        ),
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
            sequence_tokens=config.sequence_tokens,
            micro_rows=micro_rows,
            workers=workers,
            autocast=autocast,
        ),
        final_weights=final_weights(data.mix),
        checkpoints=checkpoints,
        metrics=open_metrics(config.out, state, workers),
        workers=workers,
        screen=screen,
        stop=stop,
    )


def open_metrics(out: Path, state: TrainState | None, workers: Workers) -> MetricsFile:
    """The run's metrics file; ranks other than the main one write to nowhere."""
    if not workers.is_main:
        return MetricsFile(None, None)
    return MetricsFile(out / "metrics.jsonl", None if state is None else state.step)


def final_weights(mix: Mix) -> dict[str, float]:
    """Token weights at the end of the run, by source."""
    names = [size.name for size in mix.sizes]
    return dict(zip(names, mix.weights(1.0).tolist(), strict=True))


def make_autocast(precision: str, device: torch.device) -> Autocast:
    """bf16 inside matrix products where asked for, or where a GPU has it; weights stay float32."""
    automatic = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "bf16" or (precision == "auto" and automatic):
        return partial(torch.autocast, device.type, dtype=torch.bfloat16)
    return nullcontext


def describe(data: Data, workers: Workers) -> str:
    """What the run will take from where, in one line per source."""
    config, drawn = data.config, data.plan.drawn[-1]
    lines = [
        f"{config.steps} steps of {config.batch_rows} rows of {data.corpus.sequence_tokens} tokens, "
        f"in sequences of {config.sequence_tokens}; {workers.size} process(es) on "
        f"{workers.device.type}"
    ]
    start, end = data.mix.weights(0.0), data.mix.weights(1.0)
    for index, size in enumerate(data.mix.sizes):
        lines.append(
            f"  {size.name}: {drawn[index]:,} of its {size.num_rows:,} rows, "
            f"{drawn[index] / size.num_rows:.2f} epochs; weight {start[index]:.3g} -> {end[index]:.3g}"
        )
    return "\n".join(lines)


def finish(out: Path, state: TrainState, data: Data, screen: Screen) -> None:
    """The table and `forgetting.json`, or how to go on with a run that was stopped."""
    if state.step < data.plan.num_rows // data.config.batch_rows:
        screen.say(f"stopped at step {state.step}; run the same command again to go on")
        return
    write_forgetting(out / "forgetting.json", state)
    if state.latest:
        screen.console.print(forgetting_table(state))
    else:
        screen.say("no source has validation rows: nothing was measured")
    screen.say(f"model: {out / 'last'} · figures: {out / 'forgetting.json'}")
