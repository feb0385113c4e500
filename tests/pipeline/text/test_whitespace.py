"""The kernel against the same rules written with regular expressions."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given

from pipeline.text.whitespace import tidy
from tests.pipeline.text.strategies import any_text, batches, text_of

messy = text_of(
    "a", "é", "中", "  ", " ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\x00", "\x9f",
    "\x7f", "\ufeff", "\u00a0", "\u2003", "\uff01", "\u1b80", "¿",
)  # fmt: skip
NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")


def without_controls(text: str) -> tuple[str, int]:
    num_newlines = sum(1 for _ in NEWLINES.finditer(text))
    text = NEWLINES.sub("\n", text)
    return CONTROLS.sub("", text), num_newlines + len(CONTROLS.findall(text))


def with_blanks_collapsed(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        indent, rest = re.fullmatch(r"([ \t]*)(.*)", line, re.DOTALL).groups()
        lines.append(indent + re.sub("[ \t]{2,}", " ", rest.rstrip(" \t")) if rest else "")
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


@given(batches(messy | any_text))
@example(pa.array(["a \x00 b", "\x00 a", "a\t\x00 \n", " \x00\n b", "\r\n\r\n\r\nx", "a\r\r\n"]))
def test_tidy_equals_the_rules_written_as_regular_expressions(texts):
    tidied = tidy(texts, collapse_whitespace=True)
    plain = [without_controls(text) for text in texts.to_pylist()]
    want = [with_blanks_collapsed(text) for text, _ in plain]
    assert tidied.texts.to_pylist() == want
    assert tidied.num_control_removed.tolist() == [number for _, number in plain]
    changed = [a != b for (a, _), b in zip(plain, want, strict=True)]
    assert tidied.whitespace_collapsed.tolist() == changed
    tidied.texts.validate(full=True)


@given(batches(messy | any_text))
def test_without_collapsing_only_controls_and_line_ends_change(texts):
    tidied = tidy(texts, collapse_whitespace=False)
    plain = [without_controls(text) for text in texts.to_pylist()]
    assert tidied.texts.to_pylist() == [text for text, _ in plain]
    assert tidied.num_control_removed.tolist() == [number for _, number in plain]
    assert not tidied.whitespace_collapsed.any()
    tidied.texts.validate(full=True)


@given(batches(messy))
def test_tidy_is_idempotent_and_returns_a_tidy_batch_as_it_came(texts):
    once = tidy(texts, collapse_whitespace=True).texts
    again = tidy(once, collapse_whitespace=True)
    assert again.texts is once
    assert not again.num_control_removed.any()
    assert not again.whitespace_collapsed.any()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("def f():\n    if x:\n\treturn  1   # one\n", "def f():\n    if x:\n\treturn 1 # one"),
        ("\n\n    indented first line\n", "    indented first line"),
        ("a\tb\tc\n1\t2\t3", "a\tb\tc\n1\t2\t3"),
        ("one\n\n\n\ntwo", "one\n\ntwo"),
        ("page one\x0cpage two", "page one\npage two"),
        ("no-break\u00a0\u00a0space", "no-break\u00a0\u00a0space"),
        (" \n\t\n ", ""),
        ("", ""),
    ],
)
def test_code_keeps_indentation_and_tables_keep_tabs(text, want):
    assert tidy(pa.array([text]), collapse_whitespace=True).texts.to_pylist() == [want]
