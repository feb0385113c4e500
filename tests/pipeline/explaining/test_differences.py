"""Word by word: what is compared is all that is told, whatever the texts, and in bounded time."""

import random
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.explaining.differences import compare

FEW_WORDS = st.lists(st.sampled_from(["a", "b", "c,", "d\n", "日本語"]), max_size=60).map(" ".join)


@given(left=st.text() | FEW_WORDS, right=st.text() | FEW_WORDS)
def test_the_pieces_are_both_texts_and_common_ones_are_equal_words(left: str, right: str) -> None:
    pieces = compare(left, right)
    assert "".join(word for piece in pieces for word in piece.left) == left
    assert "".join(word for piece in pieces for word in piece.right) == right
    for piece in pieces:
        same = [word.strip() for word in piece.left] == [word.strip() for word in piece.right]
        assert piece.is_same == same or not (piece.left and piece.right)
    assert all(one.is_same != two.is_same for one, two in pairwise(pieces))


@given(text=st.text() | FEW_WORDS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert all(piece.is_same for piece in compare(text, text))


def test_an_edited_word_is_the_only_difference() -> None:
    words = ["the", "quick", "brown", "fox", "and", "over", "the", "lazy", "dog", "saw", "a", "cat"]
    (changed,) = (
        piece
        for piece in compare(" ".join(words), " ".join([*words[:5], "hops", *words[6:]]))
        if not piece.is_same
    )
    assert [changed.left, changed.right] == [["over "], ["hops "]]


def test_long_texts_of_few_words_and_shuffled_ones_take_seconds() -> None:
    chance = random.Random(2)
    few = [f"w{chance.randrange(20)}" for _ in range(30_000)]
    edited = [word if chance.random() < 0.98 else "X" for word in few]
    many = [f"w{n}." for n in range(30_000)]
    shuffled = sorted(many, key=lambda word: chance.random())
    started = time.monotonic()
    found = compare(" ".join(few), " ".join(edited))
    compare(" ".join(many), " ".join(shuffled))
    assert time.monotonic() - started < 30
    common = sum(len(piece.left) for piece in found if piece.is_same)
    assert common > 0.97 * edited.count("X") + 0.97 * (30_000 - 2 * edited.count("X"))
