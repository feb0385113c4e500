"""Packing plans of real documents: how full the rows are, and how many documents are truncated.

A document is truncated that is cut more often than its length asks for (Ding et al. 2024,
arXiv:2404.10830). Lengths are those of the whole corpus by the tokenizer. n log n shows in the time
for ten and a hundred times as many documents: the lengths are repeated, so that their distribution
stays.
"""

import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.tokens.config import PackConfig, Strategy, TokenizerConfig
from pipeline.tokens.packing import make_plan
from pipeline.tokens.resolve import resolve_tokenizer
from pipeline.tokens.tokenize import Tokenizer

SEQUENCE_TOKENS = 2048
STRATEGIES: tuple[Strategy, ...] = ("best_fit", "concat", "pad")
NUM_DOCUMENTS = (100_000, 1_000_000, 10_000_000)
ROUNDS = 3  # of which the fastest counts


class Packed(NamedTuple):
    """What one strategy makes of the documents."""

    strategy: Strategy
    utilisation: float
    num_truncated: int
    num_rows: int


def lengths_of(texts: Iterable[pa.StringArray], tokenizer: Path) -> np.ndarray:
    """Tokens of each document with its marks, int64."""
    config = TokenizerConfig(path=str(tokenizer))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        identity = resolve_tokenizer(config, tokenizer.parent, target)
        encoder = Tokenizer(target / identity.path, identity, config)
        found = [np.diff(encoder.encode(each).offsets) for each in texts]
    return np.concatenate([np.zeros(0, np.int64), *found])


def pack(lengths: np.ndarray) -> list[Packed]:
    """Each strategy on the same documents."""
    packed = []
    for strategy in STRATEGIES:
        config = PackConfig(sequence_tokens=SEQUENCE_TOKENS, strategy=strategy)
        plan = make_plan(lengths, config)
        truncated = plan.num_truncated(lengths, SEQUENCE_TOKENS)
        full = plan.utilisation(SEQUENCE_TOKENS)
        packed.append(Packed(strategy, full, truncated, plan.num_rows))
    return packed


def seconds(lengths: np.ndarray, sizes: Sequence[int] = NUM_DOCUMENTS) -> dict[int, float]:
    """CPU time of a best-fit plan by number of documents."""
    config = PackConfig(sequence_tokens=SEQUENCE_TOKENS, strategy="best_fit")
    make_plan(lengths[:10], config)  # compiled
    return {
        size: min(_timed(np.resize(lengths, size), config) for _ in range(ROUNDS)) for size in sizes
    }


def _timed(lengths: np.ndarray, config: PackConfig) -> float:
    started = time.process_time()
    make_plan(lengths, config)
    return time.process_time() - started
