"""Prompts, completions and messages of every format become texts with segments, or quarantine."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.sources import Slice, SourceConfig, open_reader
from pipeline.sources.schema import document_schema
from tests.pipeline.masks.conftest import spelled

PAIR = {"prompt_field": "q", "completion_field": "a"}
CHAT = {"messages_field": "m"}
FORMATS = ["jsonl", "parquet", "arrow", "csv", "hf"]
Rows = list[dict[str, Any]]

Read = tuple[list[list[tuple[str, str]]], list[str]]  # segments of documents, reasons


def write(folder: Path, kind: str, rows: Rows) -> dict[str, Any]:
    """The rows in a file of a format, and how a source names it."""
    path = folder / f"rows.{kind}"
    table = pa.Table.from_pylist(rows) if kind in ("parquet", "arrow", "hf") else None
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif kind == "hf":
        datasets.Dataset(table).save_to_disk(folder / "saved")
        return {"format": "hf", "dataset": "saved"}
    else:
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0].keys())
            writer.writeheader()
            for row in rows:
                cells = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
                writer.writerow(cells)
    return {"format": kind, "paths": [path.name]}


def read(folder: Path, place: dict[str, Any], limit: int = 10_000_000, **fields: Any) -> Read:
    reader = open_reader(SourceConfig(name="s", **place, **fields), folder, limit)
    found, reasons = [], []
    for item in reader.inputs():
        for rows in reader.read(Slice(input=item)):
            assert rows.documents.schema == document_schema(segmented=True)
            rows.documents.validate(full=True)
            for i, text in enumerate(rows.documents["text"].to_pylist()):
                found.append(spelled(text, rows.documents["segments"].slice(i, 1)))
            reasons += rows.quarantined["reason"].to_pylist()
    return found, reasons


def turns(*contents: str) -> list[dict[str, str]]:
    roles = ["user", "assistant"] * len(contents)
    return [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_prompt_and_completion(tmp_path: Path, kind: str) -> None:
    rows = [{"q": "two and é? ", "a": "four", "id": "1"}, {"q": "", "a": "😀\n", "id": "2"}]
    found, reasons = read(tmp_path, write(tmp_path, kind, rows), **PAIR, id_field="id")
    assert found == [[("prompt", row["q"]), ("completion", row["a"])] for row in rows]
    assert reasons == []


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_messages(tmp_path: Path, kind: str) -> None:
    rows = [{"m": turns("é", "b", "", "d")}, {"m": turns("x", "<|im_end|>")}]
    found, reasons = read(tmp_path, write(tmp_path, kind, rows), **CHAT)
    assert found == [[(t["role"], t["content"]) for t in row["m"]] for row in rows]
    assert reasons == []


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow", "hf"])
def test_what_is_missing_or_null_is_quarantined(tmp_path: Path, kind: str) -> None:
    pairs = [{"q": "x", "a": None}, {"q": None, "a": "y"}, {"q": "good", "a": "one"}]
    found, reasons = read(tmp_path, write(tmp_path, kind, pairs), **PAIR)
    assert (len(found), reasons) == (1, ["null_text", "null_text"])
    (tmp_path / "chat").mkdir()
    chats = [
        {"m": None},
        {"m": turns("only a question")},
        {"m": [{"role": "user", "content": None}, *turns("", "b")]},
        {"m": turns("a", "b")},
        {"m": [{"role": "us<|er|>", "content": "a"}, *turns("", "b")]},
        {"m": [{"role": None, "content": "a"}, *turns("", "b")]},
        {"m": []},
    ]
    found, reasons = read(tmp_path / "chat", write(tmp_path / "chat", kind, chats), **CHAT)
    assert (len(found), sorted(reasons)) == (1, ["bad_messages"] * 5 + ["null_text"])


def test_a_json_line_without_a_field_or_with_another_type_is_quarantined(tmp_path: Path) -> None:
    lines = [
        {"q": "x"},
        {"q": "x", "a": 5},
        {"q": ["x"], "a": "y"},
        {"q": "good", "a": "one"},
    ]
    found, reasons = read(tmp_path, write(tmp_path, "jsonl", lines), **PAIR)
    assert (len(found), reasons) == (1, ["missing_field", "wrong_type", "wrong_type"])
    chats = [
        {"n": 1},
        {"m": 5},
        {"m": "hello"},
        {"m": ["a"]},
        {"m": [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]},
        {"m": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}]},
        {"m": [{"role": "assistant", "content": "\ud800"}]},
        {"m": [{"role": "assistant", "content": "good", "tool_calls": [], "name": "x"}]},
    ]
    found, reasons = read(tmp_path, write(tmp_path, "jsonl", chats), **CHAT)
    assert found == [[("assistant", "good")]]
    assert sorted(reasons) == ["bad_messages"] * 5 + ["missing_field", "not_utf8"]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([1, None]), ["wrong_type", "null_text"]),
        (pa.array([["a"], None]), ["wrong_type", "null_text"]),
        (pa.array([[{"from": "user", "value": "a"}], None]), ["wrong_type", "null_text"]),
        (pa.array([b"\xff", b"[]"]), ["not_utf8", "bad_messages"]),
    ],
)
def test_a_column_of_another_type_is_quarantined_row_by_row(
    tmp_path: Path, column: pa.Array, reason: list[str]
) -> None:
    pq.write_table(pa.table({"m": column}), tmp_path / "x.parquet")
    place = {"format": "parquet", "paths": ["x.parquet"]}
    assert read(tmp_path, place, **CHAT) == ([], reason)
    assert read(tmp_path, place, **PAIR) == ([], ["missing_field"] * 2)


def test_bytes_that_are_not_utf8_are_quarantined(tmp_path: Path) -> None:
    messages = pa.array(
        [[{"role": b"assistant", "content": b"\xff"}], [{"role": b"\xff", "content": b"a"}]]
    )
    table = pa.table({"m": messages, "q": [b"a\xc3", b"b"], "a": [b"\xa9b", b"\xff"]})
    pq.write_table(table, tmp_path / "x.parquet")
    place = {"format": "parquet", "paths": ["x.parquet"]}
    assert read(tmp_path, place, **CHAT) == ([], ["not_utf8", "bad_messages"])
    assert read(tmp_path, place, **PAIR) == ([], ["not_utf8", "not_utf8"])


def test_the_limit_is_of_the_whole_text(tmp_path: Path) -> None:
    rows = [{"q": "1234", "a": "56789"}, {"q": "1234", "a": "5678"}]
    found, reasons = read(tmp_path, write(tmp_path, "jsonl", rows), limit=8, **PAIR)
    assert (len(found), reasons) == (1, ["too_large"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "q", "x", "tool_calls"]), inner)
    ),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "", "a b"]), "content": st.text(max_size=5)}
    ),
    max_size=3,
)


@given(values=st.lists(json_values | messages, min_size=1, max_size=6))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_row_is_a_document_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for fields, name in ((CHAT, "m"), (PAIR, "q")):
        rows = [{name: value, "a": "answer"} for value in values]
        together = read(folder, write(folder, "jsonl", rows), **fields)
        assert len(together[0]) + len(together[1]) == len(values)
        apart = [read(folder, write(folder, "jsonl", [row]), **fields) for row in rows]
        assert together[0] == [document for each in apart for document in each[0]]
        assert sorted(together[1]) == sorted(reason for each in apart for reason in each[1])


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["sources"][0].pop("completion_field"), "completion_field together"),
        (lambda m: m["sources"][0].update(CHAT), "prompt_field, messages_field: want one"),
        (lambda m: m["sources"][0].update(text_field="t"), "prompt_field, text_field: want one"),
        (
            lambda m: m.update(edits={"lines": {"max_documents": 6}}),
            r"edits: source 'sft' learns only a part of its texts \(q and a\)",
        ),
        (
            lambda m: m.update(
                decontaminate=[{"name": "e", "paths": ["e.jsonl"], "action": "cut"}]
            ),
            "want action drop or report",
        ),
        (
            lambda m: m.update(filters=[{"use": "c4_quality"}]),
            "filters.0: source 'sft'.*c4_quality edits texts",
        ),
    ],
)
def test_what_cannot_go_together_is_an_error_of_the_manifest(
    tmp_path: Path, change: Change, message: str
) -> None:
    manifest: dict[str, Any] = {
        "version": 1,
        "name": "x",
        "output": "out",
        "sources": [{"name": "sft", "format": "jsonl", "paths": ["x"], **PAIR}],
        "tokenizer": {"path": "t"},
    }
    path = tmp_path / "m.yaml"
    path.write_text(json.dumps(manifest))
    load_manifest(path)
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=message):
        load_manifest(path)
