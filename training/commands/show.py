"""What `train plan` and `train verify-resume` do: look, and start nothing."""

import time
from functools import partial

import torch
from rich.console import Console

from training.commands.planning import measure_size, plan_report
from training.commands.verify_resume import verify_resume
from training.config import TrainConfig
from training.data import Data, open_data
from training.forward import LossModule, Term
from training.micro import MICRO_TOKENS
from training.model import load_model, quieten, read_model_config
from training.objectives.clm import CausalLanguageModelling
from training.parallel import start_workers
from training.precision import make_precision
from training.run import saved_run


def print_plan(config: TrainConfig, tokens_per_second: float | None, *, measure: bool) -> None:
    """Print what the run would read, cost and take. Raises `UsageError`."""
    quieten()
    config = config.model_copy(update={"verify_shards": False})  # writes nothing
    with start_workers(config.device, config.parallel) as workers:
        data = open_data(config, workers.size)
        size = measure_size(
            read_model_config(config.model_path), masked=config.objective.mlm is not None
        )
        default = max(1, MICRO_TOKENS[workers.device.type] // data.sequence_tokens)
        micro_rows = config.micro_rows or default
        timed = partial(_seconds_per_micro_batch, config, data, micro_rows, workers.device)
        report = plan_report(
            config,
            data,
            size,
            micro_rows=micro_rows,
            world_size=workers.size,
            tokens_per_second=tokens_per_second,
            measure=timed if measure else None,
        )
    Console(highlight=False, soft_wrap=True).print(report)


def _seconds_per_micro_batch(
    config: TrainConfig, data: Data, micro_rows: int, device: torch.device
) -> float:
    """Seconds of a forward and backward pass of plain language modelling, the second of two."""
    precision = make_precision(config.precision, device)
    model = load_model(config, device=device)
    clm = CausalLanguageModelling()
    module = LossModule(
        model, [Term(name="clm", weight=1.0, objective=clm)], precision.autocast, scorer=clm
    )
    batch = data.stream.batch(0, 1, 0).split(micro_rows)[0]
    repeats = -(-micro_rows // len(batch.input_ids))
    batch = batch.map(lambda tensor: torch.cat([tensor] * repeats)[:micro_rows]).to(device)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        module(batch, [1.0]).total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
    return seconds


def print_hashes(config: TrainConfig, *, num_steps: int, first_step: int | None) -> None:
    """Print the hashes of the next batches. Raises `ResumeMismatchError` where they differ."""
    saved = saved_run(config.out)
    config = config.model_copy(update={"verify_shards": False})
    say = partial(print, flush=True)
    if saved is None:
        verify_resume(config, say, num_steps=num_steps, from_step=first_step or 0)
        return
    state, identity = saved
    verify_resume(
        config,
        say,
        num_steps=num_steps,
        from_step=state.step if first_step is None else first_step,
        control=[dict(event) for event in state.control],
        fingerprints=identity["shards"],  # type: ignore[arg-type]
    )
