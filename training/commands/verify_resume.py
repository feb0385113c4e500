"""`train verify-resume`: the same batches whatever the number of ranks and of readers, by hash.

The shards are opened anew for every number of ranks, and reading starts at the step asked for, as a
resumed run does. So many threads at once read the slices of the ranks, with and without prefetch;
the batches are put together in rank order and hashed.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
import xxhash

from training.batch import Batch
from training.config import TrainConfig
from training.data import Data, open_data
from training.errors import ConfigError, ResumeMismatchError
from training.mix.control import Event
from training.prefetch import Prefetcher

WORLD_SIZES = (1, 2, 4, 8)
NUM_READERS = (1, 3)  # threads that read the slices of the ranks at once
FIELDS = ("input_ids", "position_ids", "labels")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One way of reading the stream."""

    world_size: int
    num_readers: int
    prefetch: bool

    def __str__(self) -> str:
        prefetch = "on" if self.prefetch else "off"
        return f"ranks {self.world_size} · readers {self.num_readers} · prefetch {prefetch:3}"


def verify_resume(
    config: TrainConfig,
    say: Callable[[str], None],
    *,
    num_steps: int = 8,
    from_step: int = 0,
    control: Sequence[Event] = (),
    fingerprints: Sequence[str] = (),
) -> str:
    """Print the hash of `num_steps` global batches per way of reading; returns the one hash.

    Raises `ResumeMismatchError` where they are not all the same, `ConfigError` for steps that the
    run has not got. World sizes that do not divide `batch_rows` are named and left out.
    """
    sizes = [size for size in WORLD_SIZES if config.batch_rows % size == 0]
    for size in sorted(set(WORLD_SIZES) - set(sizes)):
        say(f"ranks {size} · left out: they cannot share {config.batch_rows} rows")
    hashes = {}
    trusting = config.model_copy(update={"verify_shards": False})
    for size in sizes:
        data = open_data(trusting, size, control=control, fingerprints=fingerprints)
        steps = _steps(data, from_step, num_steps)
        for reading in _readings(size):
            hashes[reading] = hash_batches(data, config.batch_rows, steps, reading)
            say(f"{reading} · steps {steps.start} to {steps.stop - 1} · {hashes[reading]}")
    if len(set(hashes.values())) > 1:
        raise ResumeMismatchError(
            f"verify-resume: {len(set(hashes.values()))} different hashes for the same steps; "
            "the batches depend on how they are read, so a resumed run would not be exact: "
            "please report this with the lines above"
        )
    return next(iter(hashes.values()))


def _readings(world_size: int) -> Iterator[Reading]:
    for readers in NUM_READERS:
        for prefetch in (False, True):
            yield Reading(world_size=world_size, num_readers=readers, prefetch=prefetch)


def _steps(data: Data, first: int, count: int) -> range:
    if not 0 <= first < data.num_steps:
        raise ConfigError(
            f"--from: got step {first}, want one of the run's 0 to {data.num_steps - 1}"
        )
    return range(first, min(first + count, data.num_steps))


def hash_batches(data: Data, batch_rows: int, steps: range, reading: Reading) -> str:
    """xxh3-128 of the global batches of these steps, made of the ranks' slices in order."""
    share = batch_rows // reading.world_size
    ranks = range(reading.world_size)
    read_rank = partial(_read_slices, data, batch_rows, share, steps, reading.prefetch)
    with ThreadPoolExecutor(reading.num_readers) as readers:
        slices = list(readers.map(read_rank, ranks))  # by rank, then by step
    digest = xxhash.xxh3_128()
    for batches in zip(*slices, strict=True):
        for name in FIELDS:
            whole = torch.cat([getattr(batch, name) for batch in batches])
            digest.update(whole.numpy().tobytes())
    return str(digest.hexdigest())


def _read_slices(
    data: Data, batch_rows: int, share: int, steps: range, prefetch: bool, rank: int
) -> list[Batch]:
    """One rank's slice of every step."""
    firsts = {step: step * batch_rows + rank * share for step in steps}
    if not prefetch:
        return [data.stream.batch(firsts[step], share, step) for step in steps]
    with Prefetcher(data.stream) as ahead:
        return [
            ahead.batch(firsts[step], share, step, next_first=firsts.get(step + 1))
            for step in steps
        ]
