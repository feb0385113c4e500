"""The benchmark of quality: its brute force, its statistics, and `prepare run` against both."""

import random
import sysconfig
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from benchmarks.dedup import chain_families, curve, injection, quality
from benchmarks.dedup import oracle as brute_force
from benchmarks.dedup.prepared import Outcome, Source
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.signature import band_hashes, sign
from tests.pipeline.dedup import oracle
from tests.pipeline.dedup.resolving import bucket_table, resolve, verifier


def random_text(num_words: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefgh", k=8)) for _ in range(num_words))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Source code, copies of it with words left out, texts shorter than a shingle, two chains."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:30]
    code = [" ".join(file.read_text(encoding="utf-8").split()[:400]) for file in files]
    copies = [
        injection.edited(text, "words left out", rate, random.Random(f"{n} {rate}"))
        for n, text in enumerate(code)
        for rate in (0.0, 0.005, 0.01, 0.015, 0.02, 0.05)
    ]
    chains = chain_families.make_chains([random_text(1200, seed) for seed in (1, 2)], 2)
    short = ["a short text", "A short text.", "!", "!!", "!! "]
    found = [*copies, *(text for chain in chains for text in chain), *short]
    random.Random(3).shuffle(found)
    return found


def in_memory(work: Path, sources: Sequence[Source], num_workers: int) -> Outcome:
    """In the place of `prepare run`, which takes ten seconds: the same decisions over arrays."""
    config = DedupConfig()
    texts = pa.array([text for _, _, some in sources for text in some])
    priority = [priority for _, priority, some in sources for _ in some]
    keys = np.arange(2 * len(texts), dtype=np.uint64).reshape(-1, 2)
    rows = bucket_table(texts, priority, keys, config)
    removals = resolve(rows, verifier(texts, config), config.threshold).removals
    signatures = sign(texts, config)
    survivor, similarity = np.full(len(texts), -1), np.full(len(texts), np.nan)
    survivor[removals.doc.astype(np.int64)] = removals.survivor
    similarity[removals.doc.astype(np.int64)] = removals.similarity
    return Outcome(
        survivor,
        similarity,
        band_hashes(signatures.minhashes, config.minhash),
        signatures.num_shingles > 0,
        signatures.exact_hash,
        np.array([len(text.encode()) for text in texts.to_pylist()]),
    )


@settings(max_examples=100, deadline=None)
@given(oracle.ANY_TEXT | oracle.LIKE_TEXT)
def test_words_are_those_of_the_other_oracle(text: str) -> None:
    assert brute_force.words(text) == oracle.words(text)


def test_the_join_finds_all_pairs_and_their_similarities(texts: list[str]) -> None:
    sets = [oracle.shingle_set(text, brute_force.NGRAM) for text in texts]
    every = {
        (one, two): oracle.jaccard(sets[one], sets[two])
        for one, two in combinations(range(len(texts)), 2)
    }
    matrix = brute_force.shingle_matrix(texts)
    for threshold in (0.02, 0.3, 0.8, 1.0):
        expected = {
            pair: similarity for pair, similarity in every.items() if similarity >= threshold
        }
        found = brute_force.similar_pairs(matrix, threshold)
        pairs = zip(found.one.tolist(), found.two.tolist(), strict=True)
        assert len(expected) > 5
        assert dict(zip(pairs, found.similarity.tolist(), strict=True)) == expected


def test_a_corpus_without_pairs_has_none() -> None:
    for texts in ([], ["one text", "and another of a few words more"]):
        found = brute_force.similar_pairs(brute_force.shingle_matrix(texts))
        assert [len(column) for column in found] == [0, 0, 0]


def test_a_run_removes_what_is_similar_and_finds_what_the_curve_predicts(
    texts: list[str], tmp_path: Path
) -> None:
    found = quality.quality(texts, tmp_path / "work", num_workers=1)
    assert found["precision"].num_removed > 50
    assert found["precision"].passes
    recall = found["recall"]
    assert recall.num_pairs > 200
    # Pairs of one family are missed together: what a draw of permutations varies by is `spread`.
    assert recall.found >= recall.predicted - max(0.01, 3 * recall.spread)
    assert abs(recall.redrawn - recall.predicted) < 0.01
    assert found["left"].num_met == 0
    for one in found["bins"]:
        assert abs(one.redrawn - one.predicted) <= 0.02 + 2 * one.error
    # Of a chain of 20, each like the two beside it only, closure would keep one.
    assert found["closure"].num_unlike >= 2 * (chain_families.LINKS - 3)
    assert found["closure"].num_removed > found["precision"].num_removed
    text = quality.report(found)
    assert f"{found['precision'].num_removed:,} removed: 0 below 0.8" in text


def test_chains_do_not_collapse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_families, "deduplicate", in_memory)
    texts = [random_text(1200, seed) for seed in range(5)]
    found = chain_families.measure(tmp_path / "work", texts, num_chains=4)
    assert (found.num_chains, found.num_components) == (4, 4)
    assert 0.85 <= found.neighbours[0] <= found.neighbours[1] < 0.9
    assert found.ends == 0
    assert found.num_documents / 3 <= found.num_left <= found.num_documents / 2
    assert found.least_similarity >= 0.8
    assert found.saved > 0.9 > 0.6 > found.saved_by_closure


def test_edits_are_of_their_kind_and_rate() -> None:
    text = "\n\n".join(random_text(15, seed) for seed in range(60))
    whole = oracle.shingle_set(text, 5)
    similarity = {
        (kind, rate): oracle.jaccard(
            whole,
            oracle.shingle_set(injection.edited(text, kind, rate, random.Random(1)), 5),
        )
        for kind in injection.KINDS
        for rate in injection.RATES
    }
    for kind in ("words in capitals", "punctuation added"):
        assert {similarity[kind, rate] for rate in injection.RATES} == {1.0}
        assert injection.edited(text, kind, 0.05, random.Random(1)) != text
    for kind in ("words replaced", "words inserted", "words left out", "paragraphs moved"):
        falls = [similarity[kind, rate] for rate in injection.RATES]
        assert falls == sorted(falls, reverse=True)
        assert 0.85 < falls[0] < 1 > 0.85 > falls[-1]


def test_copies_are_found_as_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "deduplicate", in_memory)
    texts = ["\n\n".join(random_text(15, 100 * n + k) for k in range(10)) for n in range(12)]
    cells = injection.measure(tmp_path / "work", texts, 10, num_workers=1)
    assert injection.passes(cells)
    by_kind = {(cell.kind, cell.rate): cell for cell in cells}
    assert by_kind["words in capitals", 0.2].num_found == 10
    assert by_kind["words replaced", 0.2].removed == 0
    assert len(injection.report(cells).splitlines()) == len(cells) + 4


def test_the_curve_is_that_of_the_defaults() -> None:
    config = DedupConfig().minhash
    assert config is not None
    assert (config.bands, config.rows) == (curve.BANDS, curve.ROWS)
    assert config.threshold == curve.THRESHOLD
    assert config.ngram == brute_force.NGRAM
    assert curve.chance(np.array([0.0, 0.8, 1.0])) == pytest.approx([0, 0.9235, 1], abs=5e-5)


@pytest.mark.parametrize("seed", [1, 2])
def test_recall_fails_where_more_is_missed_than_chance_explains(seed: int) -> None:
    chance = np.random.default_rng(seed)
    similarity = chance.uniform(0.7, 1, 4000)
    number = np.arange(4000)
    pairs = brute_force.Pairs(2 * number, 2 * number + 1, similarity)
    expected = curve.chance(similarity)
    met, *drawn = chance.random((17, 4000)) < expected
    found = curve.recall(pairs, met, np.array(drawn), 8000)
    assert found.num_pairs == found.num_clusters == (similarity >= 0.8).sum()
    assert found.passes
    assert found.interval[0] < found.found - found.predicted < found.interval[1]
    assert abs(found.redrawn - found.predicted) < 0.005
    few = met & (chance.random(4000) < 0.95)
    assert not curve.recall(pairs, few, np.array(drawn), 8000).passes
    bins = curve.bins(pairs, met, np.array(drawn))
    assert all(abs(one.redrawn - one.predicted) < 2 * one.error + 0.001 for one in bins)
    assert sum(one.num_pairs for one in bins) == 4000
    assert all(one.low <= one.similarity <= one.high for one in bins)


def test_the_drawing_is_the_same_every_time(tmp_path: Path) -> None:
    number, similarity = np.arange(70), np.linspace(0.3, 1, 70)
    pairs = brute_force.Pairs(2 * number, 2 * number + 1, similarity)
    drawn = np.stack([similarity > 0.7, similarity > 0.75])
    bins = curve.bins(pairs, drawn[0], drawn)
    drawn = []
    for name in ("once.svg", "again.svg"):
        curve.draw(bins, tmp_path / name)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1]
    ElementTree.fromstring(drawn[0])
