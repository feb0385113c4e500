"""Where the graph runs: in a pool of processes on this machine, or whole on a Beam runner.

Both run the same transforms over the same work items, and both leave their results as records on
disk; what a runner returns is never the truth.
"""

import argparse
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.errors import UsageError, WorkerError
from pipeline.graph.coder import register
from pipeline.graph.pool import Pool
from pipeline.logs import log_warnings
from pipeline.progress import Advance

register()


def graph(
    pipeline: beam.Pipeline, transform: beam.PTransform, items: Sequence[Any], *, spread: bool
) -> None:
    """The whole graph of one stage.

    `spread` deals the items to a runner's workers; it moves items, which are small, never
    documents. Inside one process it would cost 65 ms of the pipeline's 140.
    """
    created = pipeline | "Items" >> beam.Create(items, reshuffle=False)
    if spread:
        created |= "SpreadItems" >> beam.Reshuffle()
    _ = created | transform


Task = tuple[beam.PTransform, Sequence[Any]]

TASKS_PER_WORKER = 8


def run_in_memory(task: Task) -> int:
    """Run the graph over a few items inside this process; returns how many."""
    transform, items = task
    log_warnings()
    quiet()
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        graph(pipeline, transform, items, spread=False)
    return len(items)


class EmbeddedRunner:
    """A supervised pool of processes, each running in-memory pipelines over an item at a time.

    The processes start with the first item and serve all stages: importing Beam costs each 1.1 s.
    """

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._pool: Pool[Task, int] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def num_replaced(self) -> int:
        """Worker processes that died and were replaced."""
        return 0 if self._pool is None else self._pool.num_replaced

    def start(self) -> None:
        """Start the processes, if they are not running: they import while the driver prepares."""
        if self._pool is None:
            self._stack.enter_context(single_threaded_libraries())
            self._pool = self._stack.enter_context(Pool(run_in_memory, self.num_workers))

    def run(self, transform: beam.PTransform, items: Sequence[Any], done: Advance) -> None:
        self.start()
        assert self._pool is not None
        # A pipeline costs 75 ms: several items share one where there are many, so that the last
        # ones still end together.
        size = max(1, len(items) // (self.num_workers * TASKS_PER_WORKER))
        chunks = [items[first : first + size] for first in range(0, len(items), size)]
        for num_items in self._pool.map([(transform, chunk) for chunk in chunks]):
            done(num_items)


@dataclass(frozen=True, slots=True)
class BeamRunner:
    """Any Beam runner, named and configured by the arguments after `--`."""

    arguments: tuple[str, ...]
    num_workers: int = 1

    def start(self) -> None:
        """Nothing to start: the Beam runner has its own workers."""

    def run(self, transform: beam.PTransform, items: Sequence[Any], done: Advance) -> None:
        options = PipelineOptions(list(self.arguments))
        pipeline = beam.Pipeline(options=options)
        graph(pipeline, transform, items, spread=True)
        name = transform.label
        try:
            state = pipeline.run().wait_until_finish()
        except (RuntimeError, grpc.RpcError) as exc:  # what Beam's runners raise for a failed job
            message = str(exc).strip().splitlines()
            raise WorkerError(f"Beam pipeline {name}: {message[-1] if message else exc!r}") from exc
        if str(state) != "DONE":
            raise WorkerError(f"Beam pipeline {name}: ended as {state}, want DONE")
        done(len(items))


def quiet() -> None:
    """Beam warns about libraries that Headwater does not use."""
    warnings.filterwarnings("ignore", module="apache_beam")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised: once is enough


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Child processes start with one thread per library: the pool is the parallelism.

    Without it a tokenizer opens a thread pool in each of N workers.
    """
    names = {
        "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "ARROW_IO_THREADS": "2",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def check_beam_arguments(arguments: Sequence[str]) -> list[str]:
    """Refuse runners that are known to lose rows; return the options that Beam itself ignores.

    `multi_threading` lost 598 to 2,282 of 200,000 rows in 5 of 22 runs of Beam 2.77, `DaskRunner`
    drops tagged outputs; neither says so. An unknown option vanishes without a word, unless the
    runner, such as Flink's, knows it. Raises `UsageError`.
    """
    text = " ".join(arguments)
    if "multi_threading" in text or "DaskRunner" in text:
        raise UsageError(
            f"-- {text}: Beam's multi_threading mode and DaskRunner lose rows silently; leave the "
            "arguments out for the embedded pool, or name another runner"
        )
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        if kind.__module__.startswith("apache_beam"):
            kind._add_argparse_args(parser)  # the only list of Beam's options that there is
    return parser.parse_known_args(list(arguments))[1]
