"""The data of a run: shards opened and checked, the mix solved; all before a model is loaded."""

from dataclasses import dataclass

from training.config import TrainConfig
from training.corpus import Corpus, ShardSet, open_shards
from training.errors import ConfigError, DataError
from training.leakage import check_no_leakage
from training.mixing import Mix, Plan, resolve_mix, solve
from training.permutation import derive_key
from training.stream import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The shards of a run, checked, and what it will take from them."""

    sets: tuple[ShardSet, ...]
    corpus: Corpus
    validation: Corpus
    mix: Mix
    plan: Plan
    stream: Stream
    num_steps: int
    sequence_tokens: int

    def final_weights(self) -> dict[str, float]:
        """Token weights at the end of the run, by source."""
        names = [size.name for size in self.mix.sizes]
        return dict(zip(names, self.mix.weights(1.0).tolist(), strict=True))

    def describe(self) -> list[str]:
        """What the run will take from each source, one line each."""
        start, end = self.mix.weights(0.0), self.mix.weights(1.0)
        return [
            f"{size.name}: {rows:,} rows drawn of {size.num_rows:,} ({rows / size.num_rows:.2f} "
            f"epochs), weight {first:.3g} to {last:.3g}"
            for size, rows, first, last in zip(
                self.mix.sizes, self.plan.drawn[-1], start, end, strict=True
            )
        ]


def open_data(config: TrainConfig, world_size: int) -> Data:
    """Open the shards and solve the mix. Raises `DataError` or `ConfigError`."""
    sets = open_shards(config.shards)
    corpus, validation = Corpus(sets, "train"), Corpus(sets, "validation")
    if not corpus.num_rows:
        raise DataError(f"{sets[0].path}: no training rows; prepare shards with some text in them")
    _check_batch(config, corpus, world_size)
    sequence_tokens = config.sequence_tokens or corpus.sequence_tokens
    num_steps = config.steps or -(-corpus.num_rows // config.batch_rows)
    mix = resolve_mix(config, corpus.sizes)
    plan = solve(mix, num_steps * config.batch_rows)
    check_no_leakage(sets)
    key = derive_key([shards.index.fingerprint() for shards in sets], config.seed)
    return Data(
        sets=sets,
        corpus=corpus,
        validation=validation,
        mix=mix,
        plan=plan,
        stream=Stream(corpus=corpus, plan=plan, key=key, sequence_tokens=sequence_tokens),
        num_steps=num_steps,
        sequence_tokens=sequence_tokens,
    )


def _check_batch(config: TrainConfig, corpus: Corpus, world_size: int) -> None:
    if config.sequence_tokens and corpus.sequence_tokens % config.sequence_tokens:
        raise ConfigError(
            f"sequence_tokens: got {config.sequence_tokens}, want a divisor of the shards' "
            f"{corpus.sequence_tokens}, such as {corpus.sequence_tokens // 2}"
        )
    if config.batch_rows % world_size:
        raise ConfigError(
            f"batch_rows: got {config.batch_rows}, which {world_size} processes cannot share "
            f"equally; want a multiple of {world_size}"
        )
