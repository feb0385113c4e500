"""Segments stay what they were through cleaning, anonymising and storing."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.chain import Chain
from pipeline.dedup.config import DedupConfig
from pipeline.refining import Refinery
from pipeline.segments import LEARNED_ROLES, Segments
from pipeline.sources.schema import REASONS, document_schema
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import Places, anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.replacements import Replacements
from pipeline.text.segmented import clean_segments
from tests.pipeline.masks.conftest import Turns, documents, spelled
from tests.pipeline.text.pii.test_modes import KEY

MODES = ["tag", "pseudonym", "hash", "remove", "off"]
words = st.sampled_from(
    [
        "ann@example.org",
        "call +1 202 555 0143",
        "é",
        "😀 x",
        "  a  b ",
        "\r\n",
        "",
        "\t",
        "ﬁ",
        "<b>",
    ]
)
contents = st.lists(words, max_size=4).map("".join) | st.text(max_size=12)
conversations = st.lists(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), contents), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)
pairs = st.lists(st.tuples(contents, contents), min_size=1, max_size=5)
some = settings(max_examples=80, deadline=None)


def refinery(mode: str = "tag", separator: str = "", **changes: Any) -> Refinery:
    config = PiiConfig(mode=mode, kinds=("email", "phone"))
    made = None if config.stores_tags else Replacements(config, KEY)
    return Refinery(
        CleanConfig(),
        config,
        Chain.of(),
        DedupConfig(),
        0,
        replacements=made,
        separator=separator,
        **changes,
    )


def batch(many: list[Turns], separator: str) -> pa.RecordBatch:
    texts, segments = documents(many, separator)
    num = len(many)
    columns = [
        pa.array([f"d{i}" for i in range(num)]),
        texts,
        pa.repeat("s", num),
        pa.nulls(num, pa.string()),
        pa.nulls(num, document_schema(segmented=False).field("meta").type),
        pa.repeat("f", num),
        pa.array(range(num), pa.int64()),
        segments,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=document_schema(segmented=True))


def answers_stay(turns: Turns) -> bool:
    """Whether cleaning leaves something of each answer that was text."""
    answers = [text for role, text in turns if role in LEARNED_ROLES and text.strip()]
    cleaned = clean(pa.array(answers, pa.string()), CleanConfig()).texts
    return all(text.strip() for text in cleaned.to_pylist())


def stored(many: list[Turns], mode: str, separator: str) -> list[list[tuple[str, str]]]:
    rows = refinery(mode, separator).stored(batch(many, separator))
    texts = rows["text"].to_pylist()
    return [spelled(text, rows["segments"].slice(i, 1)) for i, text in enumerate(texts)]


@pytest.mark.parametrize("mode", MODES)
@given(values=conversations)
@some
def test_messages_are_cleaned_and_anonymised_as_texts_of_their_own(
    mode: str, values: list[Turns]
) -> None:
    config = PiiConfig(mode=mode, kinds=("email", "phone"))
    values = [turns for turns in values if answers_stay(turns)]
    found = stored(values, mode, "\n\n")
    for own, turns in zip(found, values, strict=True):
        assert [role for role, _ in own] == [role for role, _ in turns]
        alone = clean(pa.array([text for _, text in turns], pa.string()), CleanConfig()).texts
        if mode in ("tag", "off"):
            wanted = anonymise(alone, config).texts.to_pylist()
            assert [text for _, text in own] == wanted


@given(values=pairs, mode=st.sampled_from(MODES))
@some
def test_prompt_and_completion_are_the_whole_text(values: list[tuple[str, str]], mode: str) -> None:
    turns = [[("prompt", a), ("completion", b)] for a, b in values]
    turns = [turn for turn in turns if answers_stay(turn)]
    rows = refinery(mode).stored(batch(turns, ""))
    for i, text in enumerate(rows["text"].to_pylist()):
        own = spelled(text, rows["segments"].slice(i, 1))
        assert "".join(part for _, part in own) == text
        assert [role for role, _ in own] == ["prompt", "completion"]


def test_white_space_between_prompt_and_completion_stays() -> None:
    turns = [[("prompt", "  Q:  x\r\nA: \t"), ("completion", "\r\n 4  2 \n\n")]]
    assert stored(turns, "tag", "") == [[("prompt", "  Q: x\nA: \t"), ("completion", "\n 4 2")]]


@pytest.mark.parametrize(("mode", "left"), [("tag", "[EMAIL]"), ("remove", "")])
def test_what_reaches_into_the_completion_becomes_part_of_the_prompt(mode: str, left: str) -> None:
    turns = [[("prompt", "é write to ann@exam"), ("completion", "ple.org now, or bob@example.org")]]
    assert stored(turns, mode, "") == [
        [("prompt", f"é write to {left}"), ("completion", f" now, or {left}")]
    ]


def test_pseudonyms_move_the_segments_and_stay_on_their_side() -> None:
    turns = [
        [("prompt", "a@example.org, b@example.org:"), ("completion", "c@example.org is C")],
        [("prompt", "none"), ("completion", " here")],
    ]
    rows = refinery("pseudonym").stored(batch(turns, ""))
    for i, own in enumerate(rows["pii_spans"].to_pylist()):
        text = rows["text"][i].as_py()
        (_, prompt), (_, completion) = spelled(text, rows["segments"].slice(i, 1))
        inside = [span["end"] <= len(prompt.encode()) for span in own]
        assert inside == ([True, True, False] if i == 0 else [])
        assert prompt + completion == text
        assert prompt.endswith(":" if i == 0 else "none")
    assert rows["pii.num_pii_email"].to_pylist() == [3, 0]


def test_the_changes_of_segments_are_added_up() -> None:
    texts, column = documents(
        [[("user", "a  b\x07"), ("assistant", "c  d\x07\x07")], [("user", "e")]]
    )
    cleaned, segments = clean_segments(texts, Segments.of(column), CleanConfig(), "\n\n")
    changes = cleaned.changes.to_pylist()
    assert [row["num_control_removed"] for row in changes] == [3, 0]
    assert [row["whitespace_collapsed"] for row in changes] == [1, 0]
    assert segments.column().slice(0, 1).to_pylist()[0][1] == {
        "role": "assistant",
        "begin": 5,
        "end": 8,
    }


def test_a_segment_that_no_parser_should_see_sends_its_document_to_quarantine() -> None:
    deep = "<html><body>" + "<div>" * 3000 + "x" + "</div>" * 3000
    turns = [[("user", "hi"), ("assistant", deep)], [("user", "a"), ("assistant", "b")]]
    refined = refinery(separator="\n\n")(batch(turns, "\n\n"))
    assert refined.quarantined["reason"].to_pylist() == ["html_too_complex"]
    assert refined.kept["text"].to_pylist() == ["a\n\nb"]
    assert len(refined.kept["segments"].to_pylist()[0]) == 2


PAGE = "<!DOCTYPE html><html><head><script>alert(1)</script></head><body></body></html>"


@pytest.mark.parametrize("answer", ["\x00\x07", " \u200b", "\ufeff\n", PAGE])
def test_an_answer_of_which_cleaning_leaves_nothing_is_quarantined(answer: str) -> None:
    turns = [
        [("prompt", "Write it: "), ("completion", answer)],
        [("prompt", answer), ("completion", "a")],
        [("prompt", "Say nothing: "), ("completion", "")],
        [("prompt", "Say little: "), ("completion", " \n\xa0")],
    ]
    refined = refinery()(batch(turns, ""))
    (row,) = refined.quarantined.to_pylist()
    assert (row["reason"], row["source_row"]) == ("completion_empty", 0)
    assert row["reason"] in REASONS
    size = len(answer.encode())
    assert row["detail"].startswith(f"cleaning leaves nothing of the completion of {size} bytes")
    assert row["raw"] == f"Write it: {answer}".encode()
    assert refined.kept["id"].to_pylist() == ["d1", "d2", "d3"]


def test_of_a_conversation_each_answer_counts_and_no_question() -> None:
    turns = [
        [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "\x00")],
        [("user", "\x00"), ("assistant", "b")],
    ]
    refined = refinery(separator="\n\n")(batch(turns, "\n\n"))
    assert refined.quarantined["source_row"].to_pylist() == [0]
    assert refined.quarantined["detail"][0].as_py().startswith("cleaning leaves nothing of the as")
    assert refined.kept["id"].to_pylist() == ["d1"]


def test_no_documents_have_the_columns_of_some() -> None:
    made = refinery(separator="\n\n")
    none = made(batch([], "\n\n"))
    some_ = made(batch([[("user", "a"), ("assistant", "b")]], "\n\n"))
    assert none.kept.schema == some_.kept.schema
    assert none.kept.num_rows == 0


@given(texts=st.lists(contents, min_size=1, max_size=4), data=st.data())
@some
def test_a_place_outside_of_what_is_replaced_keeps_its_neighbours(
    texts: list[str], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5))
    chars = [data.draw(st.integers(0, len(texts[row]))) for row in rows]
    before = [len(texts[row][:at].encode()) for row, at in zip(rows, chars, strict=True)]
    config = PiiConfig(mode="tag", kinds=("email", "phone"))
    places = Places(np.array(rows, np.int64), np.array(before, np.int64))
    column = pa.array(texts, pa.string())
    found = anonymise(column, config, places=places)
    assert found.texts.equals(anonymise(column, config).texts)
    assert found.places is not None
    for row, at, moved in zip(rows, before, found.places.bytes.tolist(), strict=True):
        old, new = texts[row].encode(), found.texts[row].as_py().encode()
        left, right = new[:moved].decode(), new[moved:].decode()  # on a character's boundary
        same = old == new
        assert (not same) or moved == at
        assert 0 <= moved <= len(new)
        assert left + right == new.decode()
        if b"[" not in old and right and not left.endswith("]"):
            assert old[at:].decode()[:1] == right[:1] or right.startswith("[")
