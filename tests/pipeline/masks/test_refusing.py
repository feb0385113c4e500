"""A conversation that cannot be said in the chat template is one quarantined row, not the end."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.chain import Chain
from pipeline.cli import main
from pipeline.dedup.config import DedupConfig
from pipeline.errors import ManifestError
from pipeline.quarantine.latest import open_latest
from pipeline.quarantine.rows import Kind, Selection, count_rows, rows
from pipeline.refining import Refined, Refinery
from pipeline.sources.schema import QUARANTINE, REASONS
from pipeline.text.clean import CODE, CleanConfig
from pipeline.text.pii.config import PiiConfig
from pipeline.tokens.chat import ChatTemplate
from pipeline.tokens.refused import REASON, Refusals
from pipeline.verify import faults
from tests.pipeline.here import run_here
from tests.pipeline.masks.conftest import CHATML, Turns, documents, made, save_tokenizer
from tests.pipeline.masks.test_encoding import ALTERNATING
from tests.pipeline.masks.test_refining import batch

NO_TOOLS = (
    "{% for message in messages %}{% if message['role'] == 'tool' %}{{ 1 // 0 }}{% endif %}"
    "{% if not (message['role'] == 'system' and loop.last) %}{{ message['content'] }}{% endif %}"
    "<|im_end|>{% endfor %}"
)
SYSTEM_TWICE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}{% endif %}<|im_end|>{% endfor %}"
)

turns = st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), st.text(max_size=8))
conversations = st.lists(st.lists(turns, min_size=1, max_size=5), max_size=8)


def refine(template: str, many: list[Turns]) -> Refined:
    refinery = Refinery(
        CleanConfig(**CODE),  # cleaning would refuse an answer of which it leaves nothing
        PiiConfig(mode="off"),
        Chain.of(),
        DedupConfig(),
        0,
        separator="\n\n",
        refusals=Refusals(ChatTemplate(template, {})),
    )
    return refinery(batch(many, "\n\n"))


@given(values=conversations)
@settings(max_examples=60, deadline=None)
def test_every_conversation_is_a_document_or_refused_for_what_the_template_says(
    values: list[Turns],
) -> None:
    refined = refine(ALTERNATING, values)
    refused = refined.quarantined
    assert refused.schema == QUARANTINE
    num_documents = refined.kept.num_rows + refined.dropped.num_rows
    assert num_documents + refused.num_rows == len(values)
    strict = [
        n
        for n, conversation in enumerate(values)
        if any((role == "user") != (i % 2 == 0) for i, (role, _) in enumerate(conversation))
    ]
    assert refused["source_row"].to_pylist() == strict
    for row in refused.to_pylist():
        conversation = values[row["source_row"]]
        assert row["reason"] == REASON
        assert row["detail"] == (
            "the chat template refuses the roles "
            + ", ".join(role for role, _ in conversation)
            + ": roles must alternate"
        )
        wanted = [{"role": role, "content": text} for role, text in conversation]
        assert json.loads(row["raw"]) == wanted


@pytest.mark.parametrize(
    ("template", "roles", "said"),
    [
        (NO_TOOLS, ["user", "tool", "assistant"], "integer division or modulo by zero"),
        (NO_TOOLS, ["user", "assistant", "system"], "it writes message 2 0 times, want once"),
        (SYSTEM_TWICE, ["system", "assistant"], "it writes message 0 2 times, want once"),
        ("{{ messages.pop() }}", ["assistant"], "access to attribute 'pop' of 'list' object is"),
        ("{{ messages[0].content.x.y }}", ["user", "assistant"], "has no attribute 'x'"),
        (CHATML + "{{ raise_exception('') }}", ["assistant"], ": TemplateError"),
    ],
)
def test_whatever_a_template_fails_with_is_what_it_says(
    template: str, roles: list[str], said: str
) -> None:
    refined = refine(template, [[(role, "x") for role in roles]])
    assert refined.kept.num_rows == 0
    (detail,) = refined.quarantined["detail"].to_pylist()
    assert said in detail


def test_a_conversation_of_many_turns_costs_its_length_and_its_detail_is_a_sentence() -> None:
    conversation = [("user", "q"), ("assistant", "a")] * 20_000
    refined = refine(ALTERNATING, [conversation, [*conversation, ("assistant", "b")]])
    assert refined.kept.num_rows == 1
    (detail,) = refined.quarantined["detail"].to_pylist()
    assert len(detail) < 200


def test_layouts_and_refusals_of_many_rows_of_roles_are_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tokens.segments.MAX_LAYOUTS", 3)
    monkeypatch.setattr("pipeline.tokens.refused.MAX_KNOWN", 3)
    chat = made(tmp_path, CHATML)
    tokenizer, refusals = chat.load(), Refusals(ChatTemplate(CHATML, {}))
    for num in range(1, 12):
        many = [[("user", "a")] * num + [("assistant", "b")]]
        assert refusals(batch(many, "\n\n"))[0].num_rows == 1
        tokens = tokenizer.encode(*documents(many))
        ids = chat.load().encode(*documents(many))
        assert tokens.values.tolist() == ids.values.tolist()
    assert len(tokenizer._layouts) <= 4
    assert len(tokenizer._fixed) < 10
    assert len(refusals._said) <= 4


def test_a_template_that_is_none_stops_the_run_before_any_work(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "tokenizer", "{% for %}")
    write_files(tmp_path)
    with pytest.raises(ManifestError, match=r"tokenizer\.path: .* no Jinja template"):
        run_here(tmp_path, manifest())
    assert not (tmp_path / "out" / "refined").exists()


def manifest() -> dict[str, Any]:
    chat = {"format": "jsonl", "id_field": "id", "validation_fraction": 0.2}
    return {
        "version": 1,
        "name": "chats",
        "output": "out",
        "sources": [
            {"name": "chat", "paths": ["chat.jsonl"], "messages_field": "messages", **chat},
            {"name": "pairs", "paths": ["pairs.jsonl"], **chat}
            | {"prompt_field": "prompt", "completion_field": "completion"},
        ],
        "filters": [{"use": "length", "min_chars": 3}],
        "dedup": {"exact": False, "minhash": None},
        "tokenizer": {"path": "tokenizer"},
        "pack": {"sequence_tokens": 32},
        "limits": {"max_quarantined_fraction": 1.0},
    }


def write_files(folder: Path) -> None:
    def talk(*roles: str) -> list[dict[str, str]]:
        return [{"role": role, "content": f"said by {role} {n}"} for n, role in enumerate(roles)]

    chats: list[Any] = [talk("user", "assistant", "user", "assistant")] * 8
    chats += [talk("assistant", "user"), talk("user", "assistant", "assistant")]  # refused
    chats += [[{"content": "no role"}], "hello", 7, None, [["user", "x"]], talk("user"), {"a": 1}]
    pairs: list[dict[str, Any]] = [{"prompt": "two?", "completion": " two."}] * 4
    pairs += [
        {"prompt": "nothing to say? ", "completion": ""},
        {"prompt": "", "completion": "by itself"},
        {"prompt": None, "completion": "x"},
        {"prompt": "x", "completion": ["y"]},
        {"prompt": "x"},
    ]
    for name, found in (("chat", [{"messages": each} for each in chats]), ("pairs", pairs)):
        lines = [json.dumps({"id": f"{name}{n}", **row}) + "\n" for n, row in enumerate(found)]
        (folder / f"{name}.jsonl").write_text("".join(lines))


def test_a_run_quarantines_what_cannot_be_said_and_keeps_the_balance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tokenizer(tmp_path / "tokenizer", ALTERNATING)
    write_files(tmp_path)
    outcome = run_here(tmp_path, manifest())
    chat, pairs = (outcome.ledger[name] for name in ("chat", "pairs"))
    assert (chat.num_read, chat.num_kept) == (17, 8)
    assert dict(chat.quarantined) == {
        REASON: 2,
        "bad_messages": 6,
        "null_text": 1,
    }
    assert (pairs.num_read, pairs.num_kept) == (9, 6)
    assert dict(pairs.quarantined) == {"null_text": 1, "wrong_type": 1, "missing_field": 1}
    assert list(faults(tmp_path / "out")) == []

    latest = open_latest(tmp_path / "out")
    assert count_rows(latest, Selection(reasons=[REASON])) == {
        Kind("chat", "chat.jsonl", "clean", REASON): 2
    }
    found = list(rows(latest, Selection(reasons=[REASON]), with_raw=True))
    assert found[0].raw is not None
    assert json.loads(found[0].raw)[0] == {"role": "assistant", "content": "said by assistant 0"}
    assert main(["quarantine", str(tmp_path / "out")]) == 0
    assert REASON in capsys.readouterr().out
    assert REASON in REASONS

    # A template that takes what the other one refused: the same rows, read again.
    (tmp_path / "tokenizer" / "chat_template.jinja").write_text(CHATML)
    chat = run_here(tmp_path, manifest()).ledger["chat"]
    assert (chat.num_read, chat.num_kept) == (17, 10)
    assert REASON not in chat.quarantined
    assert list(faults(tmp_path / "out")) == []


def test_no_conversations_are_refused_where_there_are_none() -> None:
    fine, refused = Refusals(ChatTemplate(CHATML, {}))(batch([], "\n\n"))
    assert (fine.num_rows, refused.num_rows) == (0, 0)
    assert isinstance(fine, pa.RecordBatch)
