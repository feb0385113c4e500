"""Which column is the text: by name, by length, and never a title, an address or a hash."""

from typing import Any

import pytest

from pipeline.initialising.columns import columns_of
from pipeline.initialising.fields import Fields, guess_fields

PROSE = "A sentence of some words that a person may have written, and another one. " * 20


def guess(**values: Any) -> Fields:
    rows = [
        {name: value(n) if callable(value) else value for name, value in values.items()}
        for n in range(10)
    ]
    return guess_fields(columns_of(rows))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"text": PROSE, "title": "A title"}, "text"),
        ({"text": "short words", "content": PROSE}, "content"),
        ({"html": f"<html><body>{PROSE * 10}", "text": PROSE}, "text"),
        ({"html": f"<html><body>{PROSE}", "url": "https://x.org"}, "html"),
        ({"abstract": PROSE[:300], "body": PROSE}, "body"),
        ({"remarks": PROSE, "who": "some one"}, "remarks"),
        ({"image": "QUJD" * 2000, "caption": "a cat on a mat by a lamp"}, "caption"),
        ({"TEXT": PROSE, "ID": lambda n: n}, "TEXT"),
        ({"content": "文章" * 300, "digest": "0a" * 32}, "content"),
    ],
)
def test_text_is_the_column_that_a_person_would_read(values: dict[str, Any], text: str) -> None:
    assert guess(**values).kind == (text,)


def test_other_columns_get_their_roles_by_name_and_value() -> None:
    found = guess(
        text=PROSE,
        id=lambda n: f"doc-{n}",
        source="https://example.org/a",
        date="2024-05-01",
        lang="en",
        author="Somebody",
    )
    assert (found.id, found.url, found.date) == ("id", "source", "date")
    assert found.meta == ("lang",)  # an author may be a person


def test_id_that_repeats_names_no_row_and_a_year_is_no_date() -> None:
    found = guess(text=PROSE, id="same", date="soon")
    assert (found.id, found.date) == (None, None)


def test_question_about_a_long_text_leaves_the_text() -> None:
    assert guess(question="What is it?", answer="A test.", context=PROSE).kind == ("context",)
    pair = guess(question="What is it?", answer="A test.")
    assert pair.kind == ("question", "answer")


def test_nested_text_is_told_with_its_path() -> None:
    found = guess(id=lambda n: n, data={"meta": {"n": 1}, "text": PROSE})
    assert found.kind == ()
    assert "data.text" in found.why


def test_conversation_of_another_layout_is_told() -> None:
    turns = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello."}]
    found = guess(conversations=turns)
    assert found.kind == ()
    assert "{role, content}" in found.why


def test_conversation_needs_a_chat_template() -> None:
    rows = [{"messages": [{"role": "user", "content": "Hi"}]}]
    assert guess_fields(columns_of(rows)).messages == "messages"
    found = guess_fields(columns_of(rows), has_template=False)
    assert found.kind == ()
    assert "chat template" in found.why
