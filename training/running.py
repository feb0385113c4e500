"""The parts of a run, as the loop calls them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.checkpoint import Checkpoints
from training.config import TrainConfig
from training.data import Data
from training.evaluate import Evaluator
from training.measures.forgetting import Forgetting
from training.measures.lm_eval_tasks import LmEvalTasks
from training.measures.samples import Continuations
from training.measures.throughput import Throughput
from training.measures.trackers import Journal
from training.micro import MicroBatches
from training.parallel import Workers
from training.precision import Autocast
from training.prefetch import Prefetcher
from training.saving.parts import Parts
from training.screen import Screen
from training.signals import StopRequest
from training.step import Stepper


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The parts of a run; `config` has its defaults resolved."""

    config: TrainConfig
    data: Data
    parts: Parts  # model, heads, optimizer, scaler: what a checkpoint holds
    micro: MicroBatches
    reader: Prefetcher
    stepper: Stepper
    evaluator: Evaluator
    forgetting: Forgetting
    tasks: LmEvalTasks | None
    continuations: Continuations | None
    tokenizer_path: Path
    autocast: Autocast
    throughput: Throughput
    reload: Callable[[Path], None]  # the weights of a checkpoint, into the model
    checkpoints: Checkpoints
    journal: Journal
    workers: Workers
    screen: Screen
    stop: StopRequest
