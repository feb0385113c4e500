"""Near-duplicates made of kit documents, an edit of each kind at each rate, beside their originals.

The originals are of a source of higher priority, so each ranks better than all edited copies and is
what they are compared with wherever they meet. Copies of one original may go for each other too;
that is not counted as found: a copy is found if it met its original in a bucket, and went.
"""

import itertools
import math
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.dedup import oracle
from benchmarks.dedup.curve import MAX_SHORTFALL, THRESHOLD, chance
from benchmarks.dedup.prepared import deduplicate

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
MIN_WORDS, MAX_WORDS, MIN_PARAGRAPHS = 100, 2000, 8
MAX_CHARACTERS = 50_000  # more would be more words: not worth counting
MAX_SHARED = 0.3  # J of any two originals is below it
MARKS = ".,;:!?"
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Copies of one kind and rate."""

    kind: str
    rate: float
    num_copies: int
    similarity: float  # mean J of copy and original
    removed: float  # share of all copies
    num_similar: int  # copies with J >= threshold
    num_found: int  # of those, those that met their original and went
    num_lost: int  # of those, those that met their original and stay: has to be 0
    predicted: float  # of the similar ones how many meet, by their similarities
    variance: float  # of that number


def replace(word: str, chance_of: random.Random) -> str:
    """Another word."""
    return _word(chance_of)


def insert(word: str, chance_of: random.Random) -> str:
    """One word more."""
    return f"{word} {_word(chance_of)}"


def delete(word: str, chance_of: random.Random) -> str:
    """Nothing."""
    return ""


def shout(word: str, chance_of: random.Random) -> str:
    """The word in capitals."""
    return word.upper()


def punctuate(word: str, chance_of: random.Random) -> str:
    """A mark behind the word."""
    return word + chance_of.choice(MARKS)


def move(text: str, rate: float, chance_of: random.Random) -> str:
    """Paragraphs, one at least, taken out and put in again anywhere."""
    paragraphs = text.split("\n\n")
    num_moved = max(1, round(rate * len(paragraphs)))
    moved = set(chance_of.sample(range(len(paragraphs)), num_moved))
    left = [one for place, one in enumerate(paragraphs) if place not in moved]
    for place in sorted(moved):
        left.insert(chance_of.randrange(len(left) + 1), paragraphs[place])
    return "\n\n".join(left)


WORD_EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "words replaced": replace,
    "words inserted": insert,
    "words left out": delete,
    "words in capitals": shout,
    "punctuation added": punctuate,
}
MOVED = "paragraphs moved"
KINDS = (*WORD_EDITS, MOVED)


def _word(chance_of: random.Random) -> str:
    return "".join(chance_of.choices(string.ascii_lowercase, k=8))


def measure(work: Path, texts: Sequence[str], num_documents: int, num_workers: int) -> list[Cell]:
    """`prepare run` on originals and all their copies; one row per kind and rate."""
    originals = choose(texts, num_documents)
    cells = [(kind, rate) for kind in KINDS for rate in RATES]
    copies = [
        edited(text, kind, rate, random.Random(f"{kind} {rate} {number}"))
        for kind, rate in cells
        for number, text in enumerate(originals)
    ]
    outcome = deduplicate(work, [("original", 10, originals), ("edited", 0, copies)], num_workers)
    matrix = oracle.shingle_matrix([*originals, *copies])
    one = np.tile(np.arange(len(originals)), len(cells))
    two = np.arange(len(copies)) + len(originals)
    shape = (len(cells), len(originals))
    similarity = oracle.similarities(matrix, one, two).reshape(shape)
    removed = ~outcome.stays[two].reshape(shape)
    met = outcome.share_bucket(one, two).reshape(shape)
    return [
        _cell(kind, rate, similarity[number], removed[number], met[number])
        for number, (kind, rate) in enumerate(cells)
    ]


def choose(texts: Sequence[str], num_documents: int) -> list[str]:
    """The first texts of the wanted length, in words and paragraphs, that are unlike each other."""
    suited = list(itertools.islice(filter(_is_suited, texts), 2 * num_documents))
    pairs = oracle.similar_pairs(oracle.shingle_matrix(suited), MAX_SHARED)
    left = np.setdiff1d(np.arange(len(suited)), pairs.two)[:num_documents]
    return [suited[place] for place in left]


def _is_suited(text: str) -> bool:
    if text.count("\n\n") + 1 < MIN_PARAGRAPHS or len(text) > MAX_CHARACTERS:
        return False
    num_words = len(oracle.words(text))
    if not MIN_WORDS <= num_words <= MAX_WORDS:
        return False
    return num_words < 2 * len(WORD.findall(text))  # else no space separates its words


def edited(text: str, kind: str, rate: float, chance_of: random.Random) -> str:
    """The text after one kind of edit, of a share `rate` of its words or paragraphs."""
    if kind == MOVED:
        return move(text, rate, chance_of)
    edit = WORD_EDITS[kind]
    return WORD.sub(
        lambda found: edit(found[0], chance_of) if chance_of.random() < rate else found[0], text
    )


def _cell(
    kind: str,
    rate: float,
    similarity: np.ndarray,
    removed: np.ndarray,
    met: np.ndarray,
) -> Cell:
    similar = similarity >= THRESHOLD
    meets = chance(similarity[similar])
    return Cell(
        kind=kind,
        rate=rate,
        num_copies=len(similarity),
        similarity=float(similarity.mean()),
        removed=float(removed.mean()),
        num_similar=int(similar.sum()),
        num_found=int((similar & met & removed).sum()),
        num_lost=int((similar & met & ~removed).sum()),
        predicted=float(meets.sum()),
        variance=float((meets * (1 - meets)).sum()),
    )


def passes(cells: Sequence[Cell]) -> bool:
    """Whether nothing that met its original is lost, and no more missed than chance explains."""
    num_similar = sum(cell.num_similar for cell in cells)
    slack = max(MAX_SHORTFALL * num_similar, 2 * math.sqrt(sum(cell.variance for cell in cells)))
    shortfall = sum(cell.predicted - cell.num_found for cell in cells)
    return shortfall <= slack and not any(cell.num_lost for cell in cells)


def report(cells: Sequence[Cell]) -> str:
    """Markdown."""
    lines = [
        f"| edit | rate | mean J | copies with J ≥ {THRESHOLD:g} | found of these | LSH's curve "
        "| removed of all |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        parts = [cell.kind, f"{100 * cell.rate:g} %", f"{cell.similarity:.3f}"]
        parts.append(f"{cell.num_similar} of {cell.num_copies}")
        parts += [percent(part, cell.num_similar) for part in (cell.num_found, cell.predicted)]
        parts.append(percent(cell.removed, 1))
        lines.append(f"| {' | '.join(parts)} |")
    num_similar, num_found, predicted, num_lost = (
        sum(getattr(cell, name) for cell in cells)
        for name in ("num_similar", "num_found", "predicted", "num_lost")
    )
    return "\n".join(
        [
            *lines,
            "",
            f"{num_found:,} of {num_similar:,} copies with J ≥ {THRESHOLD:g} found, "
            f"{predicted:,.1f} predicted; {num_lost} met their original and stay",
        ]
    )


def percent(part: float, whole: float) -> str:
    """One place; nothing where there is nothing to tell."""
    return f"{100 * part / whole:.1f} %" if whole else ""
