"""The quick check against Python's own, and the normaliser against unicodedata."""

import random
import sys
import time
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given

from pipeline.text.unicode import normalise
from tests.pipeline.text.strategies import any_text, batches, text_of

FORMS = ["NFC", "NFKC"]
marked = text_of(
    "e", "é", "\u0301", "\u0323", "\u1100", "\u1161", "\u11a8", "가", "\u0915\u093c", "ﬁ", "\u3000",
    "Å", "\u0e48", "\u05bc", "\u05b4", "\U0002f800", "\u0344", "\u09c7", "\u09be", "Ω",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@given(texts=batches(marked | any_text))
@example(texts=pa.array(["a", "e\u0323\u0301", "e\u0301\u0323", "x\u1161"]))
def test_normalise_equals_unicodedata(form, texts):
    normalised = normalise(texts, form)
    rows = texts.to_pylist()
    want = [unicodedata.normalize(form, row) for row in rows]
    assert normalised.texts.to_pylist() == want
    assert normalised.changed.tolist() == [a != b for a, b in zip(rows, want, strict=True)]
    normalised.texts.validate(full=True)


@pytest.mark.parametrize("form", FORMS)
def test_every_character_alone_and_after_a_letter_is_normalised_as_unicodedata_does(form):
    codes = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    known = [chr(c) for c in codes if unicodedata.category(chr(c)) != "Cn"]
    rows = known + ["a" + character for character in known]
    normalised = normalise(pa.array(rows), form)
    assert normalised.texts.to_pylist() == [unicodedata.normalize(form, row) for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_long_runs_of_marks_are_normalised_as_unicodedata_does(form):
    chance = random.Random(0)
    codes = [c for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    apart = [chr(c) for c in codes if unicodedata.combining(unicodedata.normalize(form, chr(c))[0])]
    marks = sorted({*apart, *(chr(c) for c in codes if unicodedata.combining(chr(c)))})
    marks += ["\u0f73", "\u0f81", "\u0344", "\uff9e", "\uff9f"]
    starters = ["a", "é", "ǖ", "か", "\u0344", "\u034f", "中", " ", "\u1100\u1161", "\ufdfa", ""]
    rows = [
        "".join(
            chance.choice(starters)
            + "".join(chance.choices(marks, k=chance.choice([0, 2, 63, 300])))
            for _ in range(4)
        )
        for _ in range(300)
    ]
    want = [unicodedata.normalize(form, row) for row in rows]
    assert normalise(pa.array(rows), form).texts.to_pylist() == want


@pytest.mark.parametrize("unit", ["\u0301\u0323", "\u0344\u0f73"])
def test_time_is_linear_in_the_length_of_a_run_of_marks(unit):
    def seconds(num_bytes):
        texts = pa.array(["a" + unit * (num_bytes // len(unit.encode()))])
        begin = time.process_time()
        normalise(texts, "NFC")
        return time.process_time() - begin

    seconds(1_000)
    assert min(seconds(2_000_000) for _ in range(2)) < 3 * seconds(1_000_000) + 0.2


def test_a_normalised_batch_is_returned_as_it_came():
    texts = pa.array(["ascii", "déjà vu", "中文", "ภาษาไทย ที่", "שָׁלוֹם", ""])
    texts = normalise(texts, "NFC").texts
    assert normalise(texts, "NFC").texts is texts
