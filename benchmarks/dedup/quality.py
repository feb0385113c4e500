"""Deduplication by `prepare run` against all pairs of a corpus, compared one by one.

    python -m benchmarks.dedup.quality --corpus DIR [--work build/dedup_quality]

Three measurements: the corpus as it is (precision; recall beside the chance that MinHash LSH gives;
the same for each similarity from 0.3 on), near-duplicates made of its documents by edits of known
kind and rate, and chains of documents whose ends are unlike. DIR holds `docs-*.jsonl.zst` with the
field `text`. Prints Markdown; writes WORK.json and the curve as WORK.svg. Exit code 1: a removed
document is not similar to one that stays, or more was missed than chance explains.
"""

import argparse
import io
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from scipy.sparse import csr_array

from benchmarks.dedup import chain_families, curve, injection, oracle
from benchmarks.dedup.prepared import NUM_DRAWS, Outcome, deduplicate, drawn_bands
from pipeline.files import atomic, write_json

NUM_INJECTED, NUM_CHAINS = 500, 200
PARTS = ("kit", "injected", "chains")


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """Of the documents that went."""

    num_documents: int
    num_removed: int
    num_below: int  # whose similarity to their survivor is below the threshold
    num_orphans: int  # whose survivor goes itself
    num_shorter: int  # whose survivor is shorter, though the longest is to stay
    greatest_difference: float  # of the recorded similarity and brute force's

    @property
    def passes(self) -> bool:
        """Whether each went for a better one that stays and is as similar as recorded."""
        return not (
            self.num_below or self.num_orphans or self.num_shorter or self.greatest_difference
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """Pairs at and over the threshold of which both documents stay."""

    num_apart: int  # that shared no bucket: MinHash LSH missed them
    num_met: int  # that did: five rounds of hubs did not compare them


@dataclass(frozen=True, kw_only=True, slots=True)
class Closure:
    """What merging by connected components of similar pairs would do; the longest stays."""

    num_removed: int
    num_unlike: int  # removed, and below the threshold to what stays for them
    least_similarity: float  # of a removed document to what stays for it


def quality(texts: Sequence[str], work: Path, num_workers: int) -> dict[str, Any]:
    """The corpus as it is."""
    outcome = deduplicate(work, [("kit", 0, texts)], num_workers)
    started = time.monotonic()
    matrix = oracle.shingle_matrix(texts)
    pairs = oracle.similar_pairs(matrix)
    seconds = time.monotonic() - started
    met = outcome.share_bucket(pairs.one, pairs.two)
    chosen = np.union1d(pairs.one, pairs.two)
    drawn = np.array(
        [outcome.share_bucket(pairs.one, pairs.two, one) for one in drawn_bands(texts, chosen)]
    )
    return {
        "num_bytes": int(outcome.num_bytes.sum()),
        "num_shingles": int(matrix.nnz),
        "num_pairs": len(pairs.one),
        "oracle_seconds": seconds,
        "precision": precision(outcome, matrix),
        "recall": curve.recall(pairs, met, drawn, len(texts)),
        "left": left(outcome, pairs, met),
        "closure": closure(matrix, pairs, outcome.num_bytes),
        "bins": curve.bins(pairs, met, drawn),
    }


def precision(outcome: Outcome, matrix: csr_array) -> Precision:
    """Every removal against brute force."""
    gone = np.flatnonzero(~outcome.stays)
    survivor = outcome.survivor[gone]
    similarity = oracle.similarities(matrix, gone, survivor)
    return Precision(
        num_documents=len(outcome.survivor),
        num_removed=len(gone),
        num_below=int((similarity < curve.THRESHOLD).sum()),
        num_orphans=int((~outcome.stays[survivor]).sum()),
        num_shorter=int((outcome.num_bytes[survivor] < outcome.num_bytes[gone]).sum()),
        greatest_difference=float(np.abs(similarity - outcome.similarity[gone]).max(initial=0.0)),
    )


def left(outcome: Outcome, pairs: oracle.Pairs, met: np.ndarray) -> Left:
    """Pairs that a deduplication without errors would not leave."""
    stay = outcome.stays[pairs.one] & outcome.stays[pairs.two]
    stay &= pairs.similarity >= curve.THRESHOLD
    return Left(num_apart=int((stay & ~met).sum()), num_met=int((stay & met).sum()))


def closure(matrix: csr_array, pairs: oracle.Pairs, num_bytes: np.ndarray) -> Closure:
    """Components of all similar pairs, as union-find over verified pairs would find them."""
    component = curve.clusters(pairs, len(num_bytes))
    order = np.lexsort((-num_bytes, component))
    longest = order[np.searchsorted(component[order], component)]
    gone = np.flatnonzero(longest != np.arange(len(longest)))
    similarity = oracle.similarities(matrix, gone, longest[gone])
    return Closure(
        num_removed=len(gone),
        num_unlike=int((similarity < curve.THRESHOLD).sum()),
        least_similarity=float(similarity.min(initial=1.0)),
    )


def report(found: dict[str, Any]) -> str:
    """Markdown of `quality`."""
    precise, recalled, rest, merged = (
        found[name] for name in ("precision", "recall", "left", "closure")
    )
    low, high = recalled.interval
    return "\n".join(
        [
            f"{precise.num_documents:,} documents, {found['num_bytes'] / 1e6:.0f} MB, "
            f"{found['num_shingles']:,} shingles; {found['num_pairs']:,} pairs with J ≥ "
            f"{oracle.MIN_SIMILARITY:g}, by brute force in {found['oracle_seconds']:.0f} s",
            "",
            f"- {precise.num_removed:,} removed: {precise.num_below} below {curve.THRESHOLD:g} to "
            f"their survivor, {precise.num_orphans} whose survivor goes, {precise.num_shorter} for "
            f"a shorter one; recorded similarity off by {precise.greatest_difference:g} at most",
            f"- {recalled.num_pairs:,} pairs with J ≥ {curve.THRESHOLD:g} in "
            f"{recalled.num_clusters:,} clusters: {100 * recalled.found:.2f} % share a bucket, "
            f"predicted {100 * recalled.predicted:.2f} % (standard error "
            f"{100 * recalled.standard_error:.2f} %); the difference with clusters drawn anew "
            f"{100 * low:+.2f} to {100 * high:+.2f} %; over {NUM_DRAWS} other draws of the "
            f"permutations {100 * recalled.redrawn:.2f} %, standard deviation of one "
            f"{100 * recalled.spread:.2f} %",
            f"- of these pairs both stay: {rest.num_apart} that shared no bucket, {rest.num_met} "
            "that did",
            f"- transitive closure would remove {merged.num_removed:,}, of which "
            f"{merged.num_unlike:,} are below {curve.THRESHOLD:g} to what stays, the least "
            f"{merged.least_similarity:.2f}",
            "",
            f"| J | pairs | share a bucket | mean of {NUM_DRAWS} draws ± 2 s.e. | predicted |",
            "|---|---|---|---|---|",
            *map(row, found["bins"]),
        ]
    )


def row(one: curve.Bin) -> str:
    """Of the table of similarities."""
    name = f"{one.low:.2f} to {one.high:.2f}" if one.low < one.high else f"{one.low:.2f}"
    return (
        f"| {name} | {one.num_pairs:,} | {100 * one.found:.1f} % "
        f"| {100 * one.redrawn:.1f} ± {100 * one.error:.1f} % | {100 * one.predicted:.1f} % |"
    )


def read_texts(corpus: Path, pattern: str) -> list[str]:
    """The texts of a corpus; exits where there are none."""
    texts = []
    for path in sorted(corpus.glob(pattern)):
        with path.open("rb") as compressed:
            stream = zstandard.ZstdDecompressor().stream_reader(compressed)
            texts += [json.loads(line)["text"] for line in io.TextIOWrapper(stream, "utf-8")]
    if not texts:
        sys.exit(f"{corpus}: no documents in {pattern}; want JSON lines with the field `text`")
    return texts


def measure(part: str, texts: Sequence[str], options: argparse.Namespace) -> tuple[Any, bool]:
    """Print one part; its values for JSON, and whether they are good enough."""
    work = options.work / part
    if part != "kit":
        texts = random.Random(5).sample(texts, len(texts))
    if part == "injected":
        cells = injection.measure(work, texts, NUM_INJECTED, options.workers)
        print(injection.report(cells), end="\n\n", flush=True)
        return [asdict(cell) for cell in cells], injection.passes(cells)
    if part == "chains":
        chains = chain_families.measure(work, texts, NUM_CHAINS)
        print(chain_families.report(chains), end="\n\n", flush=True)
        return asdict(chains), chains.least_similarity >= curve.THRESHOLD
    kit = quality(texts, work, options.workers)
    print(report(kit), end="\n\n", flush=True)
    with atomic(options.work.with_suffix(".svg")) as temporary:
        curve.draw(kit["bins"], temporary)
    plain = {**kit, "bins": [asdict(one) for one in kit["bins"]]}
    for name in ("precision", "recall", "left", "closure"):
        plain[name] = asdict(kit[name])
    return plain, kit["precision"].passes and kit["recall"].passes


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.dedup.quality",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--files", default="docs-*.jsonl.zst", help="of the corpus")
    parser.add_argument("--work", type=Path, default=Path("build/dedup_quality"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    texts = read_texts(options.corpus, options.files)
    found = {part: measure(part, texts, options) for part in options.parts}
    write_json(options.work.with_suffix(".json"), {part: one for part, (one, _) in found.items()})
    shutil.rmtree(options.work)
    bad = [part for part, (_, passes) in found.items() if not passes]
    if bad:
        sys.exit(
            f"{', '.join(bad)}: want no document removed below {curve.THRESHOLD:g} to one that "
            "stays, and no more missed than chance explains; the figures are above"
        )


if __name__ == "__main__":
    main()
