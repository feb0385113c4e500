# ruff: noqa: RUF001 (other scripts)
"""Broken words: the rules by example, and what must hold of any text."""

import re
import time

import pyarrow as pa
import pytest
from hypothesis import example, given

from pipeline.text.hyphens import dehyphenate
from tests.pipeline.text.strategies import any_text, batches, text_of

broken = text_of(
    "exam-\nple", "well-known", "well-\nknown", "inter-\n", "na-\n", "tional", "-", "-\n", "\n",
    " ", "\t", "ab", "Ab", "é", "straß\u2010\ne", "и-\nрм", "1", ".", ",", "/", "and", "or ",
    "\u2010", "中", "-\n  and",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("This is an exam-\nple, of text", "This is an example,\nof text"),
        ("one exam-\nple", "one example"),
        ("exam-\nple\nnext", "example\nnext"),
        ("inter-\nna-\ntional law", "international\nlaw"),
        ("Straßen-\n  bahn fährt", "Straßenbahn\nfährt"),
        ("пере-\nнос слов", "перенос\nслов"),
        ("ein\u2010\nfach so", "einfach\nso"),
        ("exam-\nple- and test- driven", "example- and\ntest- driven"),
        ("exam-\nple   \nnext", "example\nnext"),
        ("for a ward go for-\nward or forward", "for a ward go forward\nor forward"),
        ("fal and fal-\nlacy of fal-\nlacy it is", "fal and fallacy\nof fallacy\nit is"),
    ],
)
def test_a_broken_word_is_put_together_and_its_line_ends_after_it(text, want):
    joined = dehyphenate(pa.array([text]))
    assert joined.texts.to_pylist() == [want]
    assert joined.num_words.tolist() == [len(re.findall("[-\u2010]\n", text))]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a well-known fact, Well-\nknown to us", "a well-known fact, Well-known\nto us"),
        ("state-of-the-\nart now", "state-of-the-art\nnow"),
        ("state-\nof-the-art now", "state-of-the-art\nnow"),
        ("--no-\nverify it", "--no-verify\nit"),
        ("User space: the user-\nspace of", "User space: the user-space\nof"),
        ("ein Team mit Upload: Team-\nupload \u2010", "ein Team mit Upload: Team-upload\n\u2010"),
    ],
)
def test_a_hyphen_that_is_part_of_the_word_stays(text, want):
    joined = dehyphenate(pa.array([text]))
    assert joined.texts.to_pylist() == [want]
    assert joined.num_words.tolist() == [1]


@pytest.mark.parametrize(
    "text",
    [
        "pre-\nand post-war", "Vor-\nund Nachteile", "foo-\n\nbar", "see https://ex-\nample.org",
        "COVID-\nnineteen", "a-\nbout", "exam-\np", "Exam-\nPle", "12-\nmonth", "x.foo-\nbar",
        "foo_bar-\nbaz", "well -\nknown", "dash--\nhere it is", "exam-\n- item", "end-", "-\nab",
        "日本-\nabc", "a" * 65 + "-\nbc",
    ],
)  # fmt: skip
def test_what_is_no_break_stays_as_it_is(text):
    texts = pa.array([text])
    assert dehyphenate(texts).texts is texts


@given(batches(broken | any_text))
@example(pa.array(["exam-\nple- foo\nbar", "ab-\ncd-\nef-\nand", "well-known\nwell-\nknown-to"]))
def test_it_is_idempotent_and_only_hyphens_and_white_space_change(texts):
    joined = dehyphenate(texts)
    joined.texts.validate(full=True)
    again = dehyphenate(joined.texts)
    assert again.texts is joined.texts
    visible = [re.sub("[-\u2010\n\t ]", "", text) for text in texts.to_pylist()]
    assert [re.sub("[-\u2010\n\t ]", "", text) for text in joined.texts.to_pylist()] == visible
    changed = [a != b for a, b in zip(texts.to_pylist(), joined.texts.to_pylist(), strict=True)]
    assert (joined.num_words > 0).tolist() == changed


@given(batches(broken))
def test_one_batch_or_many_give_the_same_rows(texts):
    whole = dehyphenate(texts)
    parts = [dehyphenate(texts.slice(i, 1)) for i in range(len(texts))]
    assert [part.texts[0].as_py() for part in parts] == whole.texts.to_pylist()
    assert [int(part.num_words[0]) for part in parts] == whole.num_words.tolist()


@pytest.mark.parametrize(
    "unit", ["ab-\n", "exam-\nple ", "ab-", "a" * 70 + "-\n", "ab-\ncd- ", "ab-\n "]
)
def test_time_is_linear(unit):
    def seconds(repeats):
        texts = pa.array([unit * repeats])
        return min(_timed(texts) for _ in range(3))

    dehyphenate(pa.array([unit]))
    assert seconds(200_000) < 3.5 * seconds(100_000) + 0.01


def _timed(texts):
    begin = time.process_time()
    dehyphenate(texts)
    return time.process_time() - begin
