"""What each validation document cost: sums over its pieces, wherever they were packed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Sums over one source's validation rows, all ranks.

    The first token of each piece of a document is no target, as nothing precedes it. Its bytes
    count in `num_bytes` all the same, so bits per byte are low by one token per piece; they
    compare models and tokenizers on the same rows, as all are low alike. Of a masked model only the
    masked tokens are targets, so its bits per byte compare with those of the same masks alone.
    """

    nats: float
    num_targets: int
    num_bytes: int

    @property
    def loss(self) -> float:
        """Nats per target token; NaN where there is none: nothing was predicted, nothing known."""
        return self.nats / self.num_targets if self.num_targets else math.nan

    @property
    def perplexity(self) -> float:
        # exp(710) is the end of float64; a NaN stays one
        return math.exp(700.0 if self.loss > 700.0 else self.loss)

    @property
    def bits_per_byte(self) -> float:
        """NaN where there is no target, as of the loss."""
        return self.nats / math.log(2) / max(1, self.num_bytes) if self.num_targets else math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """Scored pieces of documents (P in all), as ranks send them to each other."""

    sources: np.ndarray  # (P,) int64, which of the corpus's `sizes`
    rows: np.ndarray  # (P,) int64, number of the stored row in the corpus
    places: np.ndarray  # (P,) int64, first token in that row
    keys: np.ndarray  # (P, 2) uint64, of the document
    nats: np.ndarray  # (P,) float64
    num_targets: np.ndarray  # (P,) int64
    num_bytes: np.ndarray  # (P,) float64, the row's bytes by its share of the row's tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """Sums over the scored pieces of each of D documents of one source, in the order of keys."""

    keys: np.ndarray  # (D, 2) uint64
    nats: np.ndarray  # (D,) float64
    num_targets: np.ndarray  # (D,) int64
    num_bytes: np.ndarray  # (D,) float64

    def __len__(self) -> int:
        return len(self.nats)

    def select(self, which: np.ndarray) -> "Documents":
        """Those that a mask or numbers choose."""
        return Documents(**{item.name: getattr(self, item.name)[which] for item in fields(self)})

    def score(self) -> Score:
        """The sums over all of them. Bytes of whole rows add up to whole bytes."""
        num_bytes = self.num_bytes.sum()
        return Score(
            nats=float(self.nats.sum()),
            num_targets=int(self.num_targets.sum()),
            num_bytes=round(float(num_bytes)),
        )


def join(parts: Sequence[Documents]) -> Documents:
    """The documents of several sources as one population."""
    columns = {
        item.name: [getattr(part, item.name) for part in parts] for item in fields(Documents)
    }
    return Documents(**{name: np.concatenate(values) for name, values in columns.items()})


def group_by_document(parts: Sequence[Pieces], names: Sequence[str]) -> dict[str, Documents]:
    """Sum pieces by document, for each source that has a target; `names[s]` is source `s`.

    A source without one has no loss at all, and none is not 0: it would pass for perfect. A
    document of which nothing is learned, such as an erased one, is none.
    Pieces are added in the order of their rows, so the sums are bit for bit the same whichever
    rank scored which row.
    """
    pieces = Pieces(
        **{
            item.name: np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(Pieces)
        }
    )
    low, high = pieces.keys[:, 1], pieces.keys[:, 0]
    order = np.lexsort((pieces.places, pieces.rows, low, high, pieces.sources))
    sources, keys = pieces.sources[order], pieces.keys[order]
    changes = (sources[1:] != sources[:-1]) | (keys[1:] != keys[:-1]).any(axis=1)
    first = np.flatnonzero(np.concatenate([[True], changes])) if len(order) else order
    if not len(first):
        return {}
    documents = Documents(
        keys=keys[first],
        nats=np.add.reduceat(pieces.nats[order], first),
        num_targets=np.add.reduceat(pieces.num_targets[order], first),
        num_bytes=np.add.reduceat(pieces.num_bytes[order], first),
    )
    of_document = sources[first]
    # One whose tokens are learned, but are no targets, as the first of each piece, has its bytes.
    is_learned = (documents.num_targets > 0) | (documents.num_bytes > 0)
    return {
        names[s]: documents.select((of_document == s) & is_learned)
        for s in np.unique(of_document[documents.num_targets > 0])
    }


def domains(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The strata of each domain that has several: `domain` of `domain/easy` and `domain/hard`.

    A domain that is also the name of a source stays that source alone.
    """
    strata: dict[str, tuple[str, ...]] = {}
    for name in sorted(names):
        domain, slash, _ = name.partition("/")
        if slash and domain not in names:
            strata[domain] = (*strata.get(domain, ()), name)
    return {domain: members for domain, members in strata.items() if len(members) > 1}
