import sys
import unicodedata

import numpy as np
import pytest

from pipeline.dedup.words import ALONE, IGNORED, NUM_CODE_POINTS, SEPARATOR, word_table
from tests.pipeline.dedup import oracle


def test_every_assigned_code_point_is_classified_as_the_definition_says():
    table, wrong = word_table(), []
    for point in range(0x20000):
        character = chr(point)
        if unicodedata.category(character) in ("Cs", "Cn"):
            continue
        # Between two letters the character joins, separates, vanishes, or stands alone.
        expected = {
            ("xy",): IGNORED,
            ("x", "y"): SEPARATOR,
        }.get(tuple(oracle.words(f"x{character}y")))
        if expected is None:
            expected = ord(oracle.fold(character))
            if len(oracle.words(f"x{character}y")) == 3:
                expected |= ALONE
        if table[point] != expected:
            wrong.append(hex(point))
    assert not wrong


def test_ideographs_of_planes_2_and_3_stand_alone():
    assert len(word_table()) == NUM_CODE_POINTS
    assert np.all(word_table()[0x20000:] >= ALONE)
    assert word_table()[0x20BB7] & 0x7FFFFFFF == 0x20BB7


def test_no_letter_lies_beyond_the_table():
    beyond = range(NUM_CODE_POINTS, sys.maxunicode + 1)
    found = {unicodedata.category(chr(point))[0] for point in beyond} - {"C"}
    assert found <= {"M"}  # variation selectors supplement


def test_the_table_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        word_table()[65] = 0
