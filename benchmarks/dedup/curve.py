"""How often pairs of one similarity meet in a bucket, beside the chance that MinHash LSH gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.dedup.oracle import Pairs

BANDS, ROWS, THRESHOLD = 14, 8, 0.8  # the defaults of `dedup`
MAX_SHORTFALL = 0.01
NUM_RESAMPLES = 2000
# Read on white and on near-black alike: contrast of at least 3 to either.
INK, CURVE, POINT = "#808890", "#2f81f7", "#d2691e"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """Of pairs at and over the threshold."""

    num_pairs: int
    num_clusters: int
    found: float
    predicted: float
    standard_error: float  # of `found`, were the pairs independent of each other
    interval: tuple[float, float]  # 95 % of `found` - `predicted`, clusters drawn anew
    redrawn: float  # mean of `found` over other draws of the permutations
    spread: float  # standard deviation of `found` over them

    @property
    def passes(self) -> bool:
        """Whether no more is missed than chance explains."""
        return self.found >= self.predicted - max(MAX_SHORTFALL, 2 * self.standard_error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Pairs of similarities low <= s < high."""

    low: float
    high: float
    num_pairs: int
    similarity: float  # mean
    found: float
    predicted: float
    redrawn: float  # mean of `found` over other draws of the permutations
    spread: float  # standard deviation of `found` over them
    num_draws: int

    @property
    def error(self) -> float:
        """Two standard errors of `redrawn`."""
        return 2 * self.spread / math.sqrt(self.num_draws)


def chance(similarity: np.ndarray) -> np.ndarray:
    """That a pair shares a bucket (Leskovec, Rajaraman and Ullman, section 3.4)."""
    found: np.ndarray = 1 - (1 - similarity**ROWS) ** BANDS
    return found


def recall(pairs: Pairs, met: np.ndarray, drawn: np.ndarray, num_documents: int) -> Recall:
    """What share of the pairs from `THRESHOLD` on met, of at least one; `drawn` as in `bins`."""
    chosen = pairs.similarity >= THRESHOLD
    predicted, found = chance(pairs.similarity[chosen]), met[chosen].astype(np.float64)
    cluster = clusters(pairs, num_documents)[pairs.one[chosen]]
    excess = np.bincount(cluster, found - predicted)
    sizes = np.bincount(cluster)
    excess, sizes = excess[sizes > 0], sizes[sizes > 0]
    again = np.random.default_rng(17).integers(0, len(sizes), (NUM_RESAMPLES, len(sizes)))
    low, high = np.quantile(excess[again].sum(axis=1) / sizes[again].sum(axis=1), [0.025, 0.975])
    shares = drawn[:, chosen].mean(axis=1)
    return Recall(
        num_pairs=len(found),
        num_clusters=len(sizes),
        found=float(found.mean()),
        predicted=float(predicted.mean()),
        standard_error=math.sqrt((predicted * (1 - predicted)).sum()) / len(found),
        interval=(float(low), float(high)),
        redrawn=float(shares.mean()),
        spread=float(shares.std(ddof=1)),
    )


def clusters(pairs: Pairs, num_documents: int) -> np.ndarray:
    """Number of the component of each document in the graph of similar pairs, (n,) int32."""
    chosen = pairs.similarity >= THRESHOLD
    one, two = pairs.one[chosen], pairs.two[chosen]
    graph = coo_array((np.ones(len(one)), (one, two)), shape=(num_documents, num_documents))
    numbers: np.ndarray = connected_components(graph, directed=False)[1]
    return numbers


def bins(pairs: Pairs, met: np.ndarray, drawn: np.ndarray) -> list[Bin]:
    """From 0.3 to 1 in steps of 0.05, pairs of the same set by themselves; none is empty.

    `met`, bool (m,), tells the pairs that share a bucket; `drawn`, bool (d, m), those that do under
    other draws of the permutations. Pairs of one family of documents meet or miss together, so the
    spread over draws is the chance that there is in a draw, and the number of pairs tells less.
    """
    edges = [*(round(0.05 * step, 2) for step in range(6, 20)), 1.0, math.inf]
    found = []
    for low, high in pairwise(edges):
        chosen = (pairs.similarity >= low) & (pairs.similarity < high)
        if chosen.any():
            similarity, shares = pairs.similarity[chosen], drawn[:, chosen].mean(axis=1)
            found.append(
                Bin(
                    low=low,
                    high=min(high, 1.0),
                    num_pairs=len(similarity),
                    similarity=float(similarity.mean()),
                    found=float(met[chosen].mean()),
                    predicted=float(chance(similarity).mean()),
                    redrawn=float(shares.mean()),
                    spread=float(shares.std(ddof=1)),
                    num_draws=len(drawn),
                )
            )
    return found


def draw(found: Sequence[Bin], path: Path) -> None:
    """The bins on the curve, as SVG: means over draws with two standard errors, and one run.

    The same bins give the same bytes with the same matplotlib.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "deduplication",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(7, 3.8), layout="constrained")
        axes = figure.subplots()
        at = np.linspace(0.3, 1, 281)
        axes.plot(
            at, chance(at), color=CURVE, linewidth=1.5, label=f"$1 - (1 - s^{ROWS})^{{{BANDS}}}$"
        )
        middle = [one.similarity for one in found]
        look = {"fmt": "o", "color": POINT, "capsize": 3, "markersize": 5}
        means, errors = [one.redrawn for one in found], [one.error for one in found]
        label = f"mean of {found[0].num_draws} draws of the permutations"
        axes.errorbar(middle, means, yerr=errors, label=label, **look)
        shares = [one.found for one in found]
        axes.plot(middle, shares, "x", color=INK, markersize=6, label="prepare run, its own draw")
        axes.axvline(THRESHOLD, color=INK, linewidth=0.8, linestyle=":")
        axes.text(THRESHOLD + 0.005, 0.02, "removed from here on", fontsize=9)
        axes.set_xlabel("exact Jaccard similarity s of two documents")
        axes.set_title("share of the pairs that meet in a bucket", fontsize=10, color=INK)
        axes.legend(frameon=False, labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
