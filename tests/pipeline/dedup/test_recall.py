"""Near-copies of real text, against brute force: precision 1, recall as the LSH curve predicts."""

import random
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dedup.config import DedupConfig
from tests.pipeline.dedup import oracle
from tests.pipeline.dedup.resolving import bucket_table, resolve, verifier

CONFIG = DedupConfig()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Pieces of the standard library, each with copies in which words are replaced."""
    rng = random.Random(3)
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:50]
    found = [
        " ".join("edited" if rng.random() < rate else word for word in words)
        for words in (file.read_text(encoding="utf-8").split()[:300] for file in files)
        for rate in (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
    ]
    rng.shuffle(found)
    return found


def test_near_copies_are_found_as_the_curve_predicts_and_nothing_else_goes(texts):
    sets = [oracle.shingle_set(text, CONFIG.ngram) for text in texts]
    keys = np.arange(2 * len(texts), dtype=np.uint64).reshape(-1, 2)
    array = pa.array(texts)
    rows = bucket_table(array, [0] * len(texts), keys, CONFIG)
    found = resolve(rows, verifier(array, CONFIG), CONFIG.threshold)
    gone = set(found.removals.doc.tolist())
    for doc, survivor, similarity, _ in zip(*map(np.ndarray.tolist, found.removals), strict=True):
        assert survivor not in gone
        assert similarity == oracle.jaccard(sets[doc], sets[survivor]) >= CONFIG.threshold
    similar = oracle.similar_pairs(sets, CONFIG.threshold)
    missed = [pair for pair in similar if not pair & gone]
    chance = [predicted(oracle.jaccard(*(sets[i] for i in pair))) for pair in similar]
    assert len(similar) > 500
    assert len(missed) <= sum(1 - p for p in chance) + 2 * sum(p * (1 - p) for p in chance) ** 0.5
    assert found.num_unresolved == 0


def predicted(similarity: float) -> float:
    """The chance that a pair shares a bucket: 1 - (1 - s^rows)^bands."""
    return 1 - (1 - similarity**CONFIG.minhash.rows) ** CONFIG.minhash.bands
