"""The mix: which sources share the tokens of the run, and how, resolved against the shards.

An entry of the mix is a source, or a stratum of one (`domain/easy`). A source with strata shares
its weight out over them: by tokens, or one after the other where a curriculum says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.suggest import did_you_mean
from training.config import TrainConfig
from training.config.mix import Curriculum, MixEntry
from training.errors import DataError
from training.mix.weights import Clock, weight


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSize:
    """What the mix needs to know of the training rows of a source, or of a stratum of it."""

    name: str  # as the shards have it: `source` or `source/stratum`
    num_rows: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of the mix: a source, or all strata of one, by their numbers in the sizes.

    With a curriculum, `members` are in its order.
    """

    name: str
    members: tuple[int, ...]
    schedule: MixEntry
    curriculum: Curriculum | None = None

    def split(self, sizes: Sequence[SourceSize], begun: float, ended: float) -> np.ndarray:
        """Shares (S,) of the members while the entry goes from `begun` to `ended` of its tokens."""
        shares = np.zeros(len(sizes))
        members = list(self.members)
        tokens = np.array([sizes[i].num_tokens for i in members], dtype=np.float64)
        shares[members] = tokens / tokens.sum()
        if self.curriculum is None or ended <= begun:
            return shares
        edges = np.concatenate([[0.0], np.cumsum(tokens) / tokens.sum()])
        within = np.diff(np.clip(edges, begun, ended)) / (ended - begun)
        overlap = self.curriculum.overlap
        shares[members] = overlap * shares[members] + (1 - overlap) * within / within.sum()
        return shares


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Token weights of all sources over the run, in the order of `sizes`.

    The last `num_added` entries are sources that came with `--extend`; they have no weight before
    their event.
    """

    sizes: tuple[SourceSize, ...]
    entries: tuple[Entry, ...]
    num_added: int = 0
    replay: Entry | None = None
    replay_ratio: float = 0.0
    num_epochs: float | None = None  # without a mix: how often each row is drawn, at most

    @property
    def initial(self) -> tuple[Entry, ...]:
        """The entries that the run starts with."""
        return self.entries[: len(self.entries) - self.num_added]

    @property
    def mean_tokens(self) -> np.ndarray:
        """Tokens per row (S,) of each source, float64."""
        return np.array([size.num_tokens / size.num_rows for size in self.sizes])

    def entry_weights(self, progress: np.ndarray, clock: Clock) -> np.ndarray:
        """Weights (B, E) at each `progress` (B,) of the run, of the initial entries; sum 1."""
        columns = [weight(entry.schedule, progress, clock) for entry in self.initial]
        weights = np.stack(columns, axis=1)
        normalised: np.ndarray = weights / np.maximum(weights.sum(1, keepdims=True), 1e-300)
        return normalised

    def blend(self, weights: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Weights (..., E) of entries, whose members have shares (E, S), to those of sources."""
        mixed: np.ndarray = weights @ members[: weights.shape[-1]]
        if self.replay is None:
            return mixed
        replayed = self.replay.split(self.sizes, 0.0, 0.0)
        return (1 - self.replay_ratio) * mixed + self.replay_ratio * replayed

    @property
    def entry_of(self) -> np.ndarray:
        """The entry (S,) that each source is a member of, int64; -1: only replayed."""
        owner = np.full(len(self.sizes), -1, dtype=np.int64)
        for number, entry in enumerate(self.entries):
            owner[list(entry.members)] = number
        return owner

    def proportional(self) -> np.ndarray:
        """Shares (E, S) of sources in the entries, by tokens; curricula keep them over the run."""
        return np.stack([entry.split(self.sizes, 0.0, 0.0) for entry in self.entries])

    def weights(self, progress: np.ndarray, clock: Clock) -> np.ndarray:
        """Token weights (B, S) by config, without order inside a source, at `progress` (B,)."""
        return self.blend(self.entry_weights(progress, clock), self.proportional())


def resolve_mix(
    config: TrainConfig, sizes: tuple[SourceSize, ...], added: Sequence[SourceSize] = ()
) -> Mix:
    """The config's mix over the sources there are, or the default one; `added` come later.

    Default: tokens ** `size_exponent` of every source, a replayed one left out. Only where none of
    mix, epochs and size_exponent is given, and there are exactly two sources of which one is
    called `domain`, that one goes linearly from half to 0.9 of the tokens. Given `epochs` and no
    mix, no source is drawn more often than that. Raises `DataError` for names that are not there.
    """
    replayed = config.replay.source if config.replay else None
    replay = _entry(replayed, MixEntry(start=1.0), sizes, "replay") if replayed else None
    schedules, epochs = config.mix, None
    if schedules is None:
        schedules, epochs = _default_schedules(config, sizes, replayed)
    entries = [_entry(name, s, sizes, "mix", config) for name, s in schedules.items()]
    _check_curricula(config, entries, sizes)
    _check_overlap(entries, sizes)
    later = [
        Entry(name=size.name, members=(len(sizes) + i,), schedule=MixEntry(start=0.0))
        for i, size in enumerate(added)
    ]
    return Mix(
        sizes=(*sizes, *added),
        entries=(*entries, *later),
        num_added=len(later),
        replay=replay,
        replay_ratio=config.replay.ratio if config.replay else 0.0,
        num_epochs=epochs,
    )


def source_of(name: str) -> str:
    """The source that a mix entry of the shards belongs to: `domain` of `domain/easy`."""
    return name.partition("/")[0]


def _default_schedules(
    config: TrainConfig, sizes: Sequence[SourceSize], replayed: str | None
) -> tuple[dict[str, MixEntry], float | None]:
    """The entries of the default mix, and how often each row is drawn at most."""
    tokens: dict[str, int] = {}
    for size in sizes:
        if replayed not in (size.name, source_of(size.name)):
            name = source_of(size.name)
            tokens[name] = tokens.get(name, 0) + size.num_tokens
    if not tokens:
        raise DataError(
            f"replay: {replayed!r} is the only source there is, so there is nothing to train on "
            "beside it; add --shards, or leave replay out"
        )
    tempered = "size_exponent" in config.model_fields_set
    if len(tokens) == 2 and "domain" in tokens and config.epochs is None and not tempered:
        (other,) = tokens.keys() - {"domain"}
        return {"domain": MixEntry(start=0.5, end=0.9), other: MixEntry(start=0.5, end=0.1)}, None
    by_epochs = config.steps is None and config.tokens is None and not tempered
    epochs = config.epochs or (1.0 if by_epochs else None)
    powers = {name: float(count) ** config.size_exponent for name, count in tokens.items()}
    total = sum(powers.values())
    entries = {
        name: MixEntry(start=min(1.0, power / total), max_epochs=epochs)
        for name, power in powers.items()
    }
    return entries, epochs


def _entry(
    name: str,
    schedule: MixEntry,
    sizes: Sequence[SourceSize],
    where: str,
    config: TrainConfig | None = None,
) -> Entry:
    """The entry called `name`: a source or stratum of the shards, or all strata of a source."""
    names = [size.name for size in sizes]
    members = [i for i, n in enumerate(names) if n == name or source_of(n) == name]
    if not members:
        known = list(dict.fromkeys([*map(source_of, names), *names]))
        raise DataError(
            f"{where}: got source {_unknown(name, known)}; the shards train on {', '.join(names)}"
        )
    curriculum = config.curricula.get(name) if config else None
    if curriculum is None:
        return Entry(name=name, members=tuple(members), schedule=schedule)
    strata = {names[i].partition("/")[2]: i for i in members}
    for stratum in curriculum.order:
        if stratum not in strata:
            raise DataError(
                f"curricula: {name}: got stratum {_unknown(stratum, strata)}; the shards of "
                f"{name} have {', '.join(strata) or 'none'}"
            )
    missing = strata.keys() - set(curriculum.order)
    if missing or len(set(curriculum.order)) < len(curriculum.order):
        raise DataError(
            f"curricula: {name}: order is {', '.join(curriculum.order)}, want each of the strata "
            f"{', '.join(strata)} once"
        )
    ordered = tuple(strata[stratum] for stratum in curriculum.order)
    return Entry(name=name, members=ordered, schedule=schedule, curriculum=curriculum)


def _check_curricula(
    config: TrainConfig, entries: Sequence[Entry], sizes: Sequence[SourceSize]
) -> None:
    names = [entry.name for entry in entries]
    for name in config.curricula:
        _entry(name, MixEntry(start=1.0), sizes, "curricula")
        if name not in names:
            raise DataError(
                f"curricula: {name} is no entry of the mix ({', '.join(names)}); name the source "
                "in the mix, and not its strata, so that the curriculum can share its weight out"
            )


def _check_overlap(entries: Sequence[Entry], sizes: Sequence[SourceSize]) -> None:
    owner: dict[int, str] = {}
    for entry in entries:
        for member in entry.members:
            if member in owner:
                raise DataError(
                    f"mix: {sizes[member].name} is in two entries, {owner[member]} and "
                    f"{entry.name}; name a source or its strata, not both"
                )
            owner[member] = entry.name


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"{name!r}{did_you_mean(name, known)}"
