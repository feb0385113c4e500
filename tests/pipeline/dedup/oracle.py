"""Deduplication in plain Python, from the definitions: what the kernels are held against."""

import unicodedata
from collections.abc import Sequence
from itertools import combinations

import pyarrow as pa
from hypothesis import strategies as st

UNSPACED = (
    *("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "COMBINING KATAKANA", "HENTAIGANA"),
    *("CJK", "THAI", "LAO", "MYANMAR", "KHMER"),
)

# Any Unicode, and texts of few words in many guises, which collide.
ANY_TEXT = st.text(max_size=60)
LIKE_TEXT = st.lists(
    st.sampled_from(
        ["a", "A", "b", "cc", "!", " ", "  ", "\n", "ß", "ẞ", "漢", "字", "ก", "\u00ad"]
    ),
    max_size=40,
).map("".join)
TEXTS = st.lists(ANY_TEXT | LIKE_TEXT | st.none(), max_size=12)


def words(text: str) -> list[str]:
    """Runs of letters, marks and numbers, folded; unspaced scripts by character."""
    found, run = [], ""
    for character in text:
        category = unicodedata.category(character)
        is_format = category == "Cf" and character != "\u200b" and character < "\U00040000"
        if is_format or "\ufe00" <= character <= "\ufe0f":
            continue
        is_word = (category[0] in "LMN" and character < "\U00040000") or is_ideographic(character)
        if not is_word or is_unspaced(character):
            found += [run] * bool(run)
            run = ""
        if is_word and is_unspaced(character):
            found.append(fold(character))
        elif is_word:
            run += fold(character)
    return found + [run] * bool(run)


def characters(text: str) -> list[str]:
    """The folded characters of the words, with one space for what separates two of them."""
    found: list[str] = []
    is_separated = False
    for character in text:
        if words(f"x{character}y") == ["xy"]:
            continue
        folded = words(character)
        if not folded:
            is_separated = bool(found)
        else:
            found += [" "] * is_separated + list(folded[0])
            is_separated = False
    return found


def is_unspaced(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(UNSPACED) or character in "々〆〇" or is_ideographic(character)


def is_ideographic(character: str) -> bool:
    """In planes 2 and 3, assigned or not."""
    return "\U00020000" <= character <= "\U0003ffff"


def fold(character: str) -> str:
    folded = character.casefold()
    if len(folded) > 1:
        folded = character.lower()
    return folded if len(folded) == 1 else character


def shingle_set(text: str | None, ngram: int, by_characters: bool = False) -> frozenset:
    """The set of n-grams; of a shorter text all its words; without words, the text."""
    whole = words(text or "")
    found = characters(text or "") if by_characters else whole
    if not whole:
        return frozenset([(text or "").strip(" \t\n\v\f\r")])
    if len(found) < ngram:
        return frozenset([("whole", *whole)])
    return frozenset(tuple(found[i : i + ngram]) for i in range(len(found) - ngram + 1))


def jaccard(one: frozenset, two: frozenset) -> float:
    return len(one & two) / len(one | two)


def containment(one: frozenset, two: frozenset) -> float:
    """The share of the first that is in the second."""
    return len(one & two) / len(one)


def greedy(order: Sequence[int], similar: set[frozenset[int]]) -> set[int]:
    """Who stays: in order, each document that is like none that stays already."""
    stays: list[int] = []
    for doc in order:
        if not any(frozenset((doc, other)) in similar for other in stays):
            stays.append(doc)
    return set(stays)


def similar_pairs(sets: Sequence[frozenset], threshold: float) -> set[frozenset[int]]:
    """All pairs at or over the threshold, by comparing every pair."""
    pairs = combinations(range(len(sets)), 2)
    return {frozenset(p) for p in pairs if jaccard(sets[p[0]], sets[p[1]]) >= threshold}


def sliced(texts: Sequence[str | None]) -> pa.StringArray:
    """The texts as a slice of a longer array, so that its offset is not 0."""
    return pa.array(["before one", None, *texts, "after it"], pa.string())[2 : 2 + len(texts)]
