# ruff: noqa: RUF001 (other scripts)
"""The kernel against the same rules written with regular expressions."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given

from pipeline.text.whitespace import tidy
from tests.pipeline.text.strategies import any_text, batches, text_of

messy = text_of(
    "a", "é", "中", "  ", " ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\x00", "\x9f",
    "\x7f", "\ufeff", "\u00a0", "\u2003", "\uff01", "\u1b80", "¿", "\u2028", "\ufffb", "\u200b",
    "\u200c", "\u200d", "\u202e", "\u2066", "\xad", "\u061c", "ق", "ก", "ខ", "\u2019",
    "\U0001f3f4", "\U000e0067", "\U000e007f", "👩", "-\xad\n", "\u2010", "\xad \n",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)  # fmt: skip
NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufff9-\ufffc]")
INVISIBLE = re.compile("[\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\U000e0000-\U000e007f]")
HYPHEN = re.compile("\xad(?=[ \t]*[\n-\r\x85\u2028\u2029])")
PRINTED = "\ud800"  # stands for a soft hyphen at a line end; in no text here
FLAG = re.compile("(?:" + "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in place + "\x7f")
    for place in ("gbeng", "gbsct", "gbwls")
) + ")")  # fmt: skip
SPELLING = (
    ("[\u200c\u200d]", "[\u0600-\u1fff\u2070-\U0010ffff]"),
    ("\u200b", "[\u0e00-\u0eff\u1000-\u10bf\u1780-\u17ff]"),
)


def without_controls(text: str) -> tuple[str, int, int]:
    """The text, and how many controls were removed and line ends changed."""
    num_newlines = sum(1 for _ in NEWLINES.finditer(text))
    text = NEWLINES.sub("\n", text)
    return CONTROLS.sub("", text), len(CONTROLS.findall(text)), num_newlines


def without_invisible(text: str) -> tuple[str, int]:
    """The text, and how many were removed; one character at a time."""
    written, num_removed, skipped = "", 0, 0
    for place, character in enumerate(text):
        if skipped:
            skipped -= 1
            continue
        is_spelling = any(re.match(c + b, character + written[-1:]) for c, b in SPELLING)
        flag = FLAG.match(text, place) if written.endswith("\U0001f3f4") else None
        if flag:
            written += flag.group()
            skipped = len(flag.group()) - 1
        elif character == PRINTED:
            num_removed += 1
            written += "" if re.search("(^|[ \t\n\u2010-])$", written) else "-"
        elif INVISIBLE.fullmatch(character) and not is_spelling:
            num_removed += 1
        else:
            written += character
    return written, num_removed


def with_blanks_collapsed(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        indent, rest = re.fullmatch(r"([ \t]*)(.*)", line, re.DOTALL).groups()
        rest = re.sub("[ \t]{2,}", lambda run: "\t" * run[0].count("\t") or " ", rest.rstrip(" \t"))
        lines.append(indent + rest if rest else "")
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


@given(batches(messy | any_text))
@example(pa.array(["a \x00 b", "\x00 a", "a\t\x00 \n", " \x00\n b", "\r\n\r\n\r\nx", "a\r\r\n"]))
@example(pa.array(["a \u200b b", "\u200d a", "ا\u200c\u200c\n", "a\xad\r\nb", "\xad\n", " \xad\n"]))
@example(pa.array(["\xad\x0b", "a\xad\x00\n", "\xad\xad\x85b", "a\xad\u2028b", "\xad"]))
def test_tidy_equals_the_rules_written_as_regular_expressions(texts):
    tidied = tidy(texts, collapse_whitespace=True, remove_invisible=True)
    plain = [without_controls(HYPHEN.sub(PRINTED, text)) for text in texts.to_pylist()]
    seen = [without_invisible(text) for text, *_ in plain]
    want = [with_blanks_collapsed(text) for text, _ in seen]
    assert tidied.texts.to_pylist() == want
    assert tidied.num_control_removed.tolist() == [number for _, number, _ in plain]
    assert tidied.num_line_ends_changed.tolist() == [number for *_, number in plain]
    assert tidied.num_invisible_removed.tolist() == [number for _, number in seen]
    changed = [a != b for (a, _), b in zip(seen, want, strict=True)]
    assert tidied.whitespace_collapsed.tolist() == changed
    tidied.texts.validate(full=True)


@given(batches(messy | any_text))
def test_without_collapsing_only_controls_and_line_ends_change(texts):
    tidied = tidy(texts, collapse_whitespace=False, remove_invisible=False)
    plain = [without_controls(text) for text in texts.to_pylist()]
    assert tidied.texts.to_pylist() == [text for text, *_ in plain]
    assert tidied.num_control_removed.tolist() == [number for _, number, _ in plain]
    assert tidied.num_line_ends_changed.tolist() == [number for *_, number in plain]
    assert not tidied.num_invisible_removed.any()
    assert not tidied.whitespace_collapsed.any()
    tidied.texts.validate(full=True)


@pytest.mark.parametrize("collapse", [True, False])
@given(texts=batches(messy))
def test_tidy_is_idempotent_and_returns_a_tidy_batch_as_it_came(collapse, texts):
    once = tidy(texts, collapse_whitespace=collapse, remove_invisible=True).texts
    again = tidy(once, collapse_whitespace=collapse, remove_invisible=True)
    assert again.texts is once
    assert not any(counts.any() for counts in again[1:])


def tags(letters):
    """As characters that nobody sees, with the one that ends them."""
    return "".join(chr(0xE0000 + ord(letter)) for letter in letters + "\x7f")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("می\u200cشوند", "می\u200cشوند"),  # Persian, two parts of a word
        ("क्\u200dष", "क्\u200dष"),  # Hindi, a half form
        ("👩\u200d🚀 off", "👩\u200d🚀 off"),
        (f"🏴{tags('gbeng')}🏴{tags('gbwls')}.", f"🏴{tags('gbeng')}🏴{tags('gbwls')}."),
        (f"🏴{tags('ignore all rules')}", "🏴"),  # text in tags
        (f"🏴{tags('gbeng')}{tags('gbeng')}{tags('ustx')}", f"🏴{tags('gbeng')}"),
        (f"🏴{tags('gbeng')[:-1]} 🏴{tags('gbzzz')}", "🏴 🏴"),
        ("ភាសា\u200bខ្មែរ", "ភាសា\u200bខ្មែរ"),  # Khmer, two words
        ("pass\u200bword a\u200db", "password ab"),
        ("中\u200b文", "中文"),
        ("if x:\u202e # nimda\u2066", "if x: # nimda"),  # Trojan Source, CVE-2021-42574
        ("ignore\U000e0041\U000e0042 this", "ignore this"),  # text in tags
        ("Donau\xaddampf\xad\nschiff", "Donaudampf-\nschiff"),
        ("Dampf-\xad\nschiff \xad\n\xad\nx", "Dampf-\nschiff\n\nx"),
        ("العربية\u200f.", "العربية."),
    ],
)  # fmt: skip
def test_invisible_characters_go_where_they_are_no_part_of_the_spelling(text, want):
    texts = pa.array([text])
    assert tidy(texts, collapse_whitespace=True, remove_invisible=True).texts[0].as_py() == want
    assert tidy(texts, collapse_whitespace=True, remove_invisible=False).texts is texts


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("def f():\n    if x:\n\treturn  1   # one\n", "def f():\n    if x:\n\treturn 1 # one"),
        ("\n\n    indented first line\n", "    indented first line"),
        ("a\tb\tc\n1\t2\t3", "a\tb\tc\n1\t2\t3"),
        ("1\t\t\t2\n\t\t3", "1\t\t\t2\n\t\t3"),  # empty cells
        ("1 \t  2\t \t3  4", "1\t2\t\t3 4"),
        ("last\t\t\ncells\t", "last\ncells"),
        ("Dampf\xad \t\nschiff", "Dampf-\nschiff"),
        ("one\n\n\n\ntwo", "one\n\ntwo"),
        ("page one\x0cpage two", "page one\npage two"),
        ("line\u2028line\u2029line\x85line", "line\nline\nline\nline"),
        ("no-break\u00a0\u00a0space", "no-break\u00a0\u00a0space"),
        (" \n\t\n ", ""),
        ("", ""),
    ],
)
def test_code_keeps_indentation_and_tables_keep_tabs(text, want):
    tidied = tidy(pa.array([text]), collapse_whitespace=True, remove_invisible=True)
    assert tidied.texts.to_pylist() == [want]


@given(batches(messy | any_text))
@example(pa.array(["\x00\ufeff\ufeffa\ufeff", "\ufeff", "a\r\r\n\n\r\x0b\x85\u2028 \u00ad\u200d"]))
def test_without_controls_only_nul_leading_byte_order_marks_and_carriage_returns_change(texts):
    kept = tidy(texts, collapse_whitespace=False, remove_invisible=False, remove_controls=False)
    without = [text.replace("\0", "").lstrip("\ufeff") for text in texts.to_pylist()]
    want = [re.sub("\r\n?", "\n", text) for text in without]
    assert kept.texts.to_pylist() == want
    lengths = [len(text) for text in texts.to_pylist()]
    removed = [a - len(b) for a, b in zip(lengths, without, strict=True)]
    assert kept.num_control_removed.tolist() == removed
    again = tidy(
        kept.texts, collapse_whitespace=False, remove_invisible=False, remove_controls=False
    )
    assert again.texts is kept.texts
