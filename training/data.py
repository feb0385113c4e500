"""The data of a run: shards opened and checked, the mix solved; all before a model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.config import TrainConfig
from training.errors import ConfigError, DataError
from training.mix.blocks import Plan
from training.mix.control import Event, Log, added_events, plan_events, read_log
from training.mix.length import resolve_clock, resolve_widths
from training.mix.online import OnlineMixer, make_mixer
from training.mix.weights import Clock
from training.mixing import Mix, resolve_mix
from training.permutation import derive_key
from training.sources.corpus import Corpus, ShardSet, open_shards
from training.sources.extension import generations, join_event, open_generations
from training.sources.leakage import check_no_leakage
from training.sources.verified import check_hashes
from training.stream import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The shards of a run, checked, and what it will take from them."""

    sets: tuple[ShardSet, ...]  # those the run began with, in their order then; then added ones
    corpus: Corpus
    validation: Corpus
    mix: Mix
    clock: Clock
    stream: Stream
    mixer: OnlineMixer | None  # of `online`
    sequence_tokens: int  # the widest rows of the run, which validation has too
    fingerprints: tuple[str, ...]  # of what the run began with
    new_event: Event | None = None  # shards that joined just now; the stream's log has it

    @property
    def num_steps(self) -> int:
        """Steps of the run."""
        return self.clock.num_steps

    @property
    def plan(self) -> Plan:
        """How many rows of each source each block takes."""
        return self.stream.plan

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, or strata of sources, in the order that batches number them."""
        return tuple(size.name for size in self.mix.sizes)

    def replayed(self, log: Log) -> Stream:
        """The stream as another control log has it."""
        return replace(self.stream, plan=Plan(self.mix, self.clock, log), log=log)

    def final_weights(self) -> dict[str, float]:
        """Token weights at the end of the run, by source; what an online mix decided left aside.

        So they are the same however often the run is resumed.
        """
        joined = added_events(self.stream.log)
        weights = self.mix.weights(np.array([1.0]), self.clock)[0]
        if joined:
            plan = Plan(self.mix, self.clock, joined)
            weights = plan.weights(plan.num_blocks - 1)
        return dict(zip(self.names, weights.tolist(), strict=True))

    def weights_at(self, progress: float) -> np.ndarray:
        """Token weights (S,) at 0..1 of the run, curricula left aside."""
        if plan_events(self.stream.log) and progress > 0:
            last = self.plan.num_blocks - 1
            return self.plan.weights(min(int(progress * self.plan.num_blocks), last))
        weights: np.ndarray = self.mix.weights(np.array([progress]), self.clock)[0]
        return weights

    def describe(self) -> list[str]:
        """What the run will take from each source, one line each."""
        start, end = self.weights_at(0.0), self.weights_at(1.0)
        return [
            f"{size.name}: {rows:,} rows drawn of {size.num_rows:,} ({rows / size.num_rows:.2f} "
            f"epochs), weight {first:.3g} to {last:.3g}"
            for size, rows, first, last in zip(
                self.mix.sizes, self.plan.drawn[-1], start, end, strict=True
            )
        ]


def open_data(
    config: TrainConfig,
    world_size: int,
    *,
    rank: int = 0,
    control: Sequence[Event] = (),
    fingerprints: Sequence[str] = (),
    extend: bool = False,
    consumed_rows: int = 0,
) -> Data:
    """Open the shards, check them, solve the mix. Raises `DataError` or `ConfigError`.

    To resume, give the run's control log, the `fingerprints` that it began with and how many rows
    it consumed. Then `--shards` may come in any order; with `extend`, those that the run has not
    seen join it at the next block boundary, by an event. Shards that the run read and that are not
    there raise `ResumeError`. Only rank 0 hashes the parts.
    """
    log = read_log(control)
    groups = generations(open_shards(config.shards), fingerprints, log, extend=extend)
    sets = tuple(shards for group in groups for shards in group)
    corpus, added = open_generations(groups, "train")
    base = corpus.sizes[: len(corpus.sizes) - len(added)]
    if not base:
        raise DataError(f"{sets[0].path}: no training rows; prepare shards with some text in them")
    _check_batch(config, world_size)
    widths = resolve_widths(config, corpus.sequence_tokens)
    clock = resolve_clock(config, resolve_mix(config, base))
    mix = resolve_mix(config, base, added)
    names = tuple(shards.index.fingerprint() for shards in groups[0])
    stream = Stream(
        corpus=corpus,
        plan=Plan(mix, clock, log),
        key=derive_key(list(names), config.seed),
        widths=widths,
        log=log,
        noise=config.objective.mlm is not None,
    )
    event = None
    if extend and len(groups) > 1 + len(
        added_events(log)
    ):  # not where the same command is repeated
        event = _join(config, stream, groups[-1], consumed_rows)
        stream = stream.with_event(event)
    _ = stream.plan.drawn  # solved to the end: sources that run out are known now
    if config.verify_shards and rank == 0:
        check_hashes(sets, config.out)
    if rank == 0:
        check_no_leakage(sets)
    return Data(
        sets=sets,
        corpus=corpus,
        validation=open_generations(groups, "validation")[0],
        mix=mix,
        clock=clock,
        stream=stream,
        mixer=make_mixer(config.online, mix),
        sequence_tokens=max(point.tokens for point in widths),
        fingerprints=names,
        new_event=event,
    )


def _join(config: TrainConfig, stream: Stream, new: Sequence[ShardSet], consumed: int) -> Event:
    row, sizes = stream.next_boundary(consumed), stream.corpus.sizes
    num_new = len(Corpus(new, "train").sizes)
    if not num_new or row == stream.plan.num_rows:
        what = "have no training rows" if not num_new else "come after the last block of the run"
        raise DataError(
            f"--extend: {', '.join(str(shards.path) for shards in new)}: they {what}; "
            "start a new run from its checkpoint, or leave them out"
        )
    return join_event(config, tuple(new), sizes, num_new, row)


def _check_batch(config: TrainConfig, world_size: int) -> None:
    if config.batch_rows % world_size:
        near = config.batch_rows // world_size * world_size or world_size
        raise ConfigError(
            f"batch_rows: got {config.batch_rows}, which {world_size} processes cannot share "
            f"equally; want a multiple of {world_size}, such as {near}"
        )
