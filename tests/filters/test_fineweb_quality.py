import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import FilterConfigError
from filters.fineweb_quality import FineWebQuality
from filters.protocol import apply, first_failures
from tests.filters import oracle
from tests.filters.corpus import corpus_texts
from tests.filters.strategies import REPETITIVE_TEXTS, ROWS, batch_of

RULE = FineWebQuality()
SENTENCE = "This is a sentence of more than thirty characters"
LINES = st.sampled_from(
    [f"{SENTENCE}.", f"{SENTENCE}", "short", "短い。", f'He said "{SENTENCE}!"', "", " ", "a b c"]
)
PAGES = st.lists(st.tuples(LINES, st.integers(0, 99)), max_size=30).map(
    lambda rows: "\n".join(f"{number} {line}" for line, number in rows)
)


def assert_as_the_paper(texts):
    measured, mask = apply(RULE, batch_of(texts))
    failed = first_failures(RULE, "fineweb_quality", measured).to_pylist()
    for text, row, kept, failure in zip(
        texts, measured.to_pylist(), mask.to_pylist(), failed, strict=True
    ):
        ratios = oracle.fineweb_ratios(text)
        assert row == {name: None if x is None else float(x) for name, x in ratios.items()}
        broken = oracle.fineweb_failures(text)
        assert kept == (not broken)
        assert failure["rule"] == (f"fineweb_quality.{broken[0]}" if broken else None)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PAGES, REPETITIVE_TEXTS, st.none()), max_size=6) | ROWS)
def test_signals_and_decisions_are_those_of_the_paper(texts):
    assert_as_the_paper(texts)


@pytest.mark.slow
def test_signals_and_decisions_are_those_of_the_paper_on_a_corpus():
    texts = corpus_texts(20_000).to_pylist()
    for start in range(0, len(texts), 1000):
        assert_as_the_paper(texts[start : start + 1000])


def page(num_sentences, num_open=0, num_short=0):
    """Lines of eight words and more that end a sentence, or do not, and short ones that do."""
    sentences = [f"{SENTENCE}, number {number}." for number in range(num_sentences)]
    rest = [f"{SENTENCE}, number {number}" for number in range(100, 100 + num_open)]
    return "\n".join([*sentences, *rest, *(f"{number}, I say." for number in range(num_short))])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (page(5), None),
        (page(12, 88), None),
        (page(11, 89), "terminal_line_ratio"),
        (page(33, 0, 67), None),
        (page(32, 0, 67), "short_line_ratio"),
        (page(10) + "\n" + page(1), None),  # 1 of 11 lines
        (page(9) + "\n" + page(1), None),  # 1 of 10
        (page(8) + "\n" + page(1), "duplicate_line_char_ratio"),
        (
            "\n".join([f"{'w' * 20} {'w' * 20} {number}." for number in range(20)]),
            "line_end_word_ratio",
        ),
        (
            f"{SENTENCE}.\n\n\n\nThis-is-one-word-of-31-characters.",
            "line_end_word_ratio",
        ),  # 4 to 10
        (f"{SENTENCE}.\n\n\nThis-is-one-word-of-31-characters.", None),  # 3 to 10
        ("", "terminal_line_ratio"),
        (" \n\t", "terminal_line_ratio"),
        (None, "terminal_line_ratio"),
    ],
)
def test_each_rule_holds_at_its_threshold_and_not_beyond(text, rule):
    measured, mask = apply(RULE, batch_of([text]))
    failed = first_failures(RULE, "fineweb_quality", measured)
    assert failed["rule"].to_pylist() == [rule and f"fineweb_quality.{rule}"]
    assert mask.to_pylist() == [rule is None]


@pytest.mark.parametrize(
    "end", [".", "!", "?", "…", "...", '"', "”", "'", "。", "؟", "।", "」", ". "]
)
def test_a_line_may_end_with_any_of_the_punctuation(end):
    measured, _ = apply(RULE, batch_of([SENTENCE + end + "\n" + SENTENCE + ","]))
    assert measured["terminal_line_ratio"].to_pylist() == [0.5]


def test_the_length_of_a_short_line_can_be_set():
    measured, _ = apply(FineWebQuality(short_line_chars=3), batch_of(["abc\nabcd\n文字列\n ab "]))
    assert measured["short_line_ratio"].to_pylist() == [0.75]


def test_a_line_of_thirty_characters_is_short_and_one_of_thirty_one_is_not():
    lines = ["a" * 29 + ".", "a" * 30 + ".", " " + "b" * 29 + ". "]
    measured, _ = apply(RULE, batch_of(lines))
    assert measured["short_line_ratio"].to_pylist() == [1.0, 0.0, 1.0]


def test_what_fineweb_was_made_with_is_stricter_on_duplicates():
    text = page(30) + "\n" + page(1)
    strict = FineWebQuality(max_duplicate_line_char_ratio=0.01)
    assert apply(RULE, batch_of([text]))[1].to_pylist() == [True]
    assert apply(strict, batch_of([text]))[1].to_pylist() == [False]


@pytest.mark.parametrize(
    "bad",
    [
        {"min_terminal_line_ratio": 1.1},
        {"max_short_line_ratio": -0.1},
        {"max_duplicate_line_char_ratio": float("nan")},
        {"max_line_end_word_ratio": float("nan")},
        {"short_line_chars": -1},
    ],
)
def test_parameters_out_of_range_are_refused(bad):
    with pytest.raises(FilterConfigError, match=r"fineweb_quality: got .*, want "):
        FineWebQuality(**bad)


def test_an_instance_pickles():
    rule = FineWebQuality(short_line_chars=20)
    assert pickle.loads(pickle.dumps(rule)) == rule
