"""Where prompt and completion meet, after cleaning and anonymising, told from the texts alone."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.segments import Segments
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.segmented import anonymise_segments, clean_segments
from tests.pipeline.masks.conftest import Turns, documents, spelled
from tests.pipeline.masks.test_refining import MODES, batch, refinery

CONFIG = PiiConfig(mode="tag", kinds=("email", "phone"))
VALUES = {"ann@example.org": "[EMAIL]", "+1 202 555 0143": "[PHONE]"}
words = st.text("abcXYZλΩ漢字あ😀", min_size=1, max_size=6)  # in which cleaning finds nothing
values = st.sampled_from(list(VALUES))
anything = st.text(max_size=15) | st.sampled_from(
    ["a@b.org", "ann@example.org, +1 202 555 0143", " +12025550143", "e\u0301", "\u200b", "<p>"]
)
some = settings(max_examples=80, deadline=None)


def is_plain(piece: str) -> bool:
    """Whether nothing changes the piece, so that what becomes of it is known."""
    cleaned = clean(pa.array([piece], pa.string()), CleanConfig()).texts
    return anonymise(cleaned, CONFIG).texts.to_pylist() == [piece]


@given(data=st.data())
@some
def test_a_cut_at_any_character_stays_where_it_is_and_behind_a_value_that_it_splits(
    data: st.DataObject,
) -> None:
    many: list[Turns] = []
    wanted = []
    for _ in range(data.draw(st.integers(1, 4))):
        pieces = data.draw(st.lists(values | words.filter(is_plain), min_size=1, max_size=7))
        text, tagged = " ".join(pieces), [VALUES.get(piece, piece) for piece in pieces]
        cut = data.draw(st.integers(0, len(text)))
        many.append([("prompt", text[:cut]), ("completion", text[cut:])])
        wanted.append(divided(pieces, tagged, cut))
    rows = refinery("tag").stored(batch(many, ""))
    for i, text in enumerate(rows["text"].to_pylist()):
        (_, prompt), (_, completion) = spelled(text, rows["segments"].slice(i, 1))
        assert (prompt, completion) == wanted[i]


def divided(pieces: list[str], tagged: list[str], cut: int) -> tuple[str, str]:
    """What stands before and after a cut at a character of the pieces joined by spaces."""
    before = 0
    for number, (piece, tag) in enumerate(zip(pieces, tagged, strict=True)):
        at = cut - before
        if at <= len(piece):
            if piece != tag:
                at = 0 if at <= 0 else len(tag)
            prompt = " ".join([*tagged[:number], tag[: max(at, 0)]]) if at >= 0 else ""
            whole = " ".join(tagged)
            return prompt, whole[len(prompt) :]
        before += len(piece) + 1
    raise AssertionError("a cut behind the text")


class AsItIs:
    """Stands for `Replacements`: what is stored instead of a tag is the value that was there."""

    def __call__(self, _kind: str, value: str) -> str:
        return value


@given(pairs=st.lists(st.tuples(anything, anything), min_size=1, max_size=5), data=st.data())
@some
def test_bounds_are_those_that_the_values_behind_the_tags_tell(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    many = []
    for a, b in pairs:
        cut = data.draw(st.integers(0, len(a + b)))
        many.append([("prompt", (a + b)[:cut]), ("completion", (a + b)[cut:])])
    texts, column = documents(many, "")
    cleaned, before = clean_segments(texts, Segments.of(column), CleanConfig(), "")
    found, after = anonymise_segments(cleaned.texts, before, CONFIG, AsItIs())  # type: ignore[arg-type]
    assert found.texts.equals(anonymise(cleaned.texts, CONFIG).texts)
    for row, (old, new) in enumerate(
        zip(cleaned.texts.to_pylist(), found.texts.to_pylist(), strict=True)
    ):
        own = np.flatnonzero(found.tags.rows == row)
        spans, shift, last = [], 0, 0
        for tag in own.tolist():  # from the left: what a tag took and what it is now
            begin, end = int(found.tags.begins[tag]), int(found.tags.ends[tag])
            size = len(found.tags.values[tag].encode())
            assert last <= begin
            spans.append((begin + shift, begin + shift + size, begin, end))
            shift, last = shift + size - (end - begin), end
        assert len(old.encode()) == len(new.encode()) + shift
        for segment in range(2 * row, 2 * row + 2):
            for bounds in ("begins", "ends"):
                place = int(getattr(before, bounds)[segment])
                assert int(getattr(after, bounds)[segment]) == moved(place, spans)
        prompt, completion = after.texts(found.texts).to_pylist()[2 * row : 2 * row + 2]
        assert prompt + completion == new


def moved(place: int, spans: list[tuple[int, int, int, int]]) -> int:
    shift = 0
    for begin, end, tag_begin, tag_end in spans:
        if begin < place < end:
            return tag_end
        if place >= end:
            shift = tag_end - end
        assert tag_begin <= tag_end
    return place + shift


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("tag", "off")])
@given(pairs=st.lists(st.tuples(anything, anything), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_is_stored_instead_of_tags_has_them_on_the_same_side(
    mode: str, pairs: list[tuple[str, str]]
) -> None:
    many = [[("prompt", a), ("completion", b)] for a, b in pairs]
    tagged = refinery("tag").stored(batch(many, ""))
    rows = refinery(mode).stored(batch(many, ""))
    for i, spans in enumerate(rows["pii_spans"].to_pylist()):
        sides = [part.encode() for _, part in own_parts(rows, i)]
        wanted = [part for _, part in own_parts(tagged, i)]
        num = sum(wanted[0].count(tag) for tag in ("[EMAIL]", "[PHONE]"))
        border = len(sides[0])
        for span in reversed(spans[num:]):
            sides[1] = with_tag(sides[1], span, border)
        for span in reversed(spans[:num]):
            sides[0] = with_tag(sides[0], span, 0)
        assert [part.decode() for part in sides] == wanted


def own_parts(rows: pa.RecordBatch, row: int) -> Turns:
    return spelled(rows["text"][row].as_py(), rows["segments"].slice(row, 1))


def with_tag(side: bytes, span: dict[str, Any], first: int) -> bytes:
    begin, end = span["begin"] - first, span["end"] - first
    assert 0 <= begin <= end <= len(side)
    return side[:begin] + f"[{span['kind'].upper()}]".encode() + side[end:]
