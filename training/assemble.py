"""The parts of a run, made and joined: model, objectives, optimizer, what reads and what writes."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.attention import check_attention, share_keys
from training.checkpoint import Checkpoints
from training.config import TrainConfig, fixed_values
from training.data import Data
from training.evaluate import Evaluator
from training.forward import LossModule
from training.lora import ADAPTERS, adapters_disabled, add_adapters, export_adapted, load_adapters
from training.measures.baseline import Baseline, read_baseline
from training.measures.forgetting import Forgetting
from training.measures.lm_eval_tasks import LmEvalTasks
from training.measures.metrics import MetricsFile
from training.measures.samples import make_continuations
from training.measures.throughput import make_throughput
from training.measures.trackers import Journal, open_trackers
from training.micro import MICRO_TOKENS, micro_batches
from training.model import load_model, prepare_model, read_model
from training.objectives.build import Setting, build_objectives, heads_module, make_scorer
from training.optimizer import make_optimizer
from training.parallel import Workers
from training.precision import make_precision
from training.prefetch import Prefetcher
from training.running import Run
from training.saving.parts import Parts, set_weights
from training.screen import Screen
from training.signals import StopRequest
from training.state import TrainState
from training.step import Stepper


def assemble(
    config: TrainConfig,
    data: Data,
    checkpoints: Checkpoints,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
    tasks: LmEvalTasks | None,
    stop: StopRequest,
) -> Run:
    """Load the model, test its attention, make the rest. The main rank alone writes metrics."""
    precision = make_precision(config.precision, workers.device)
    saved = None if state is None else checkpoints.latest()
    with screen.working(f"loading {saved or config.model_path}"):
        model = load_weights(config, workers.device, saved)
        share_keys(workers.device)
        check_attention(model, data.sets[0].index.tokenizer.num_ids, precision.autocast)
    setting = Setting(
        config=config,
        data=data,
        model=model,
        initial=partial(_initial, config),
        other=partial(_other, config),
        without_adapters=None if config.lora is None else partial(adapters_disabled, model),
        workers=workers,
        autocast=precision.autocast,
        micro_tokens=MICRO_TOKENS[workers.device.type],
        say=screen.say,
    )
    objectives = build_objectives(setting)
    micro = micro_batches(config, data, workers, objectives.rows_multiple)
    export = None if config.lora is None else partial(export_adapted, model)
    heads = heads_module(objectives)
    continuations = make_continuations(config, data, screen.say)
    throughput = make_throughput(model, workers.device, workers.size)
    losses = LossModule(
        model,
        objectives.terms,
        precision.autocast,
        scorer=make_scorer(setting),
        heads=heads,
        num_sources=len(data.names),
    )
    prepare_model(model, config, precision.name)  # `losses` has tried its head: shapes stay fixed
    wrapped = workers.wrap(losses, methods=["next_token"])
    optimizer = make_optimizer(model, config, workers.device, list(objectives.heads.values()))
    parts = Parts(
        model=model, optimizer=optimizer, heads=heads, scaler=precision.scaler, export=export
    )
    if saved is not None:
        checkpoints.restore(saved, parts)
    return Run(
        config=config,
        data=data,
        parts=parts,
        micro=micro,
        reader=Prefetcher(data.stream),
        stepper=Stepper(
            losses=losses,
            wrapped=wrapped,
            penalties=objectives.penalties,
            optimizer=optimizer,
            scaler=precision.scaler,
            workers=workers,
            max_grad_norm=config.max_grad_norm,
        ),
        evaluator=Evaluator(
            corpus=data.validation,
            num_rows=config.eval_rows,
            sequence_tokens=data.sequence_tokens,
            micro_rows=micro.num_rows(data.sequence_tokens),
            workers=workers,
            noise_key=data.stream.noise_key if data.stream.noise else None,
        ),
        forgetting=open_forgetting(config, state, workers),
        tasks=tasks,
        continuations=continuations,
        tokenizer_path=data.sets[0].tokenizer_path,
        autocast=precision.autocast,
        throughput=throughput,
        reload=partial(reload_weights, config, parts, workers),
        checkpoints=checkpoints,
        journal=open_journal(
            config, state, workers, screen, with_samples=continuations is not None
        ),
        workers=workers,
        screen=screen,
        stop=stop,
    )


def load_weights(config: TrainConfig, device: torch.device, checkpoint: Path | None) -> nn.Module:
    """The model as the config or a checkpoint of the run has it, with its adapters."""
    if config.lora is None:
        return load_model(config, device=device, directory=checkpoint)
    model = add_adapters(load_model(config, device=device), config.lora, config.seed)
    if checkpoint is not None:
        load_adapters(model, checkpoint / ADAPTERS)
    return model


def reload_weights(config: TrainConfig, parts: Parts, workers: Workers, checkpoint: Path) -> None:
    """Put the weights of a checkpoint back into the model that is being trained."""
    saved = load_weights(config, torch.device("cpu"), checkpoint)
    set_weights(parts.model, saved.state_dict(), str(checkpoint))
    workers.barrier()


def open_forgetting(config: TrainConfig, state: TrainState | None, workers: Workers) -> Forgetting:
    """With the baseline that the run has, once it was evaluated."""
    known = state is not None and (bool(state.comparisons) or state.evaluated_step is not None)
    return Forgetting(
        out=config.out if workers.is_main else None,
        seed=config.seed,
        baseline=read_baseline(config.out, state.step) if known and state else Baseline(),
    )


def open_journal(
    config: TrainConfig,
    state: TrainState | None,
    workers: Workers,
    screen: Screen,
    *,
    with_samples: bool,
) -> Journal:
    """`metrics.jsonl`, `samples.jsonl` and the trackers, on the main rank; elsewhere nothing."""
    step = None if state is None else state.step
    if not workers.is_main:
        return Journal(metrics=MetricsFile(None, None))
    samples = config.out / "samples.jsonl"  # cut, too, where none are written any more
    return Journal(
        metrics=MetricsFile(config.out / "metrics.jsonl", step),
        samples=MetricsFile(samples if with_samples or samples.exists() else None, step),
        trackers=open_trackers(
            tensorboard=config.tensorboard,
            wandb=config.wandb,
            out=config.out,
            resumed_step=step,
            config=fixed_values(config),
            say=screen.say,
        ),
    )


def _initial(config: TrainConfig, device: torch.device) -> Any:
    return load_model(config, device=device)


def _other(config: TrainConfig, name: str, device: torch.device) -> Any:
    is_masked = config.objective.mlm is not None
    return read_model(name, config.attention, is_masked=is_masked).to(device)
