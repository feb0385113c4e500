"""`--extend`: shard sets that join a run which is under way, without moving what it read before.

A run has generations of shard sets: those it began with, then those of each `extend` event. The
rows of a generation are numbered behind those of the generations before it.
"""

from collections.abc import Sequence

import numpy as np

from training.config import TrainConfig
from training.errors import DataError, ResumeError
from training.mix.control import Event, Log, extend_event
from training.mixing import SourceSize, source_of
from training.sources.corpus import Corpus, ShardSet

Sets = tuple[ShardSet, ...]


class JoinedCorpus(Corpus):
    """Several corpora one after the other: what the first has keeps its order and its numbers."""

    def __init__(self, parts: Sequence[Corpus]) -> None:
        self.sequence_tokens = parts[0].sequence_tokens
        self.sizes = tuple(size for part in parts for size in part.sizes)
        self.source_first = np.cumsum([0] + [size.num_rows for size in self.sizes])
        self._blocks = [block for part in parts for block in part._blocks]
        self._is_masked = any(part._is_masked for part in parts)
        self._block_first = np.cumsum([0] + [len(block.tokens) for block in self._blocks])


def generations(
    sets: Sets, fingerprints: Sequence[str], control: Log, *, extend: bool
) -> tuple[Sets, ...]:
    """The sets by generation; with `extend` the last is of those that are new to the run.

    `fingerprints` are of the sets that the run began with, in its order; empty: it begins now.
    Raises `ResumeError` for sets that are missing, and for new ones without `extend`.
    """
    if not fingerprints:
        return (sets,)
    left = list(sets)
    wanted = [list(fingerprints)]
    wanted += [event["fingerprints"] for event in control if event["kind"] == "extend"]
    found = [tuple(_take(left, fingerprint) for fingerprint in group) for group in wanted]
    if left and not extend:
        raise ResumeError(
            f"--shards: the run has not seen {', '.join(str(s.path) for s in left)}; give --extend "
            "to go on over them too, or leave them out; shards that were prepared again are others"
        )
    if extend and not left and len(wanted) == 1:
        raise ResumeError("--extend: every one of --shards is in the run; add the new directory")
    return (*found, tuple(left)) if left else tuple(found)


def _take(left: list[ShardSet], fingerprint: str) -> ShardSet:
    for shards in left:
        if shards.index.fingerprint() == fingerprint:
            left.remove(shards)
            return shards
    others = ", ".join(f"{s.path} ({s.index.fingerprint()})" for s in left) or "no others"
    changed = [(s.path, sum(part.num_erased for part in s.index.shards)) for s in left]
    erased = "; ".join(f"{num:,} documents of {path}" for path, num in changed if num)
    if erased:
        raise ResumeError(
            f"--shards: the run read shards of fingerprint {fingerprint}, and since then documents "
            f"may have been erased ({erased}), which changes their rows: what the run has learned "
            "and would go on with is no longer there, so it cannot be resumed exactly; start a new "
            "run from its last checkpoint (--model CHECKPOINT, another --out), or from before it "
            "saw them"
        )
    raise ResumeError(
        f"--shards: the run read shards of fingerprint {fingerprint}, which are not there; got "
        f"{others}; give all that it read, unchanged, or another --out to start a new run"
    )


def open_generations(groups: Sequence[Sets], split: str) -> tuple[Corpus, tuple[SourceSize, ...]]:
    """All rows of a split, and the sources of the generations after the first.

    Raises `DataError` for an added source of a name that is there already.
    """
    parts = [Corpus(group, split) for group in groups]
    taken = {source_of(size.name) for size in parts[0].sizes}
    for group, part in zip(groups[1:], parts[1:], strict=True):
        names = {source_of(size.name) for size in part.sizes}
        for name in sorted(names & taken):
            raise DataError(
                f"{group[0].path}: source {name!r} is in the run already, and its epochs are under "
                "way; rename the source in the manifest of the added shards and prepare them again"
            )
        taken |= names
    added = tuple(size for part in parts[1:] for size in part.sizes)
    return (parts[0] if len(parts) == 1 else JoinedCorpus(parts)), added


def join_event(
    config: TrainConfig, new: Sets, sizes: Sequence[SourceSize], num_new: int, row: int
) -> Event:
    """The event by which the last `num_new` of `sizes` join at `row`, each with its share.

    The share of an added source is that of its tokens ** `size_exponent` among all sources.
    """
    powers = np.array([float(size.num_tokens) ** config.size_exponent for size in sizes])
    shares = (powers / powers.sum()).tolist()
    joining = {size.name: shares[-num_new + i] for i, size in enumerate(sizes[-num_new:])}
    return extend_event(row, [shards.index.fingerprint() for shards in new], joining)
