"""Nothing that came with the data acts on the terminal, or hides."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.visible import visible, visible_lines

ANY = st.text(st.characters(codec=None, exclude_categories=()))  # surrogates too


@given(text=ANY)
def test_no_control_character_is_left(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(shown) & {"\u202e", "\u2066", "\u200f", "\ufeff", "\u200b", "\u00ad"}


@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Mn", "Mc", "Zs"])))
def test_what_is_seen_stays(text: str) -> None:
    assert visible(text) == text


def test_escapes_are_told_as_what_they_are() -> None:
    assert visible("\x1b[31mred\x9b0m\x7f\u202e") == "\u241b[31mred\\u009b0m\u2421\\u202e"
    assert visible_lines("a\tb\r\n\x07c") == ["a    b\u240d", "\u2407c"]
    family = "\U0001f469\u200d\U0001f467"
    assert visible(family) == family
