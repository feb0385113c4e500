"""Evaluation sets as a manifest names them: formats, ids, fields, and what is wrong with them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.decontamination.sets import decontaminator_of, prepare_sets, with_evaluation_sets
from pipeline.errors import ManifestError, SourceError
from pipeline.manifest import Manifest, load_manifest
from pipeline.plan import Plan, measuring_settings

TEN = "one two three four five six seven eight nine ten"
ITEMS = [
    {"id": "a", "question": TEN, "answer": "a b c d e f g h i j k l m n"},
    {"id": "b", "question": "too short", "answer": None},
    {"id": "c", "question": f"{TEN} eleven twelve thirteen fourteen"},
]
ENTRY = {"name": "set", "text_fields": ["question", "answer"], "id_field": "id"}


def plan_of(folder: Path, *entries: dict[str, Any]) -> Plan:
    manifest = Manifest.model_validate(
        {
            "version": 1,
            "name": "test",
            "output": "out",
            "sources": [{"name": "s", "format": "jsonl", "paths": ["s.jsonl"]}],
            "tokenizer": {"path": "t"},
            "decontaminate": entries,
        }
    )
    return Plan(manifest, folder, folder / "out")


def lines(items: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def write(folder: Path, name: str) -> None:
    data = lines(ITEMS)
    if name.endswith(".gz"):
        data = gzip.compress(data)
    if name.endswith(".zst"):
        data = zstandard.compress(data)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ITEMS), folder / name)
    else:
        (folder / name).write_bytes(data)


def passages(plan: Plan) -> list[dict[str, Any]]:
    made = decontaminator_of(with_evaluation_sets(plan))
    assert made is not None
    rows: list[dict[str, Any]] = made.table.passages.to_pylist()
    return rows


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.JSONL.zst", "e.parquet"])
def test_each_format_gives_the_same_items(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    found = passages(plan_of(tmp_path, {**ENTRY, "paths": ["e*"]} | _format_of(name)))
    assert [(row["item"], row["id"], row["field"]) for row in found] == [
        (0, "a", "question"),
        (0, "a", "answer"),
        (1, "b", "question"),
        (2, "c", "question"),
    ]
    # 10 words match as a whole, 14 by two 13-grams, 2 not at all.
    assert [row["num_words"] for row in found] == [10, 14, 2, 14]
    assert [row["num_ngrams"] for row in found] == [1, 2, 0, 2]


def _format_of(name: str) -> dict[str, str]:
    """A glob does not tell."""
    return {"format": "parquet" if name.endswith("parquet") else "jsonl"}


def test_text_files_and_lines_are_items_by_suffix(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(f"{TEN}\n{TEN} again\n")
    entries = [
        {"name": "file", "paths": ["one.txt"]},
        {"name": "line", "paths": ["one.txt"], "per": "line"},
    ]
    found = passages(plan_of(tmp_path, *entries))
    assert [(row["set"], row["id"], row["num_words"]) for row in found] == [
        (0, "one.txt#0", 21),
        (1, "one.txt#0", 10),
        (1, "one.txt#49", 11),
    ]


def test_a_url_is_read_as_a_file_is(tmp_path: Path) -> None:
    write(tmp_path, "e.jsonl.gz")
    url = f"file://{tmp_path}/e.jsonl.gz"
    assert len(passages(plan_of(tmp_path, {**ENTRY, "paths": [url]}))) == 4


def test_items_are_normalised_and_anonymised_as_documents_are(tmp_path: Path) -> None:
    text = "write to ann@example.org or cafe\u0301 owners about <b>one</b> two three four"
    (tmp_path / "e.jsonl").write_bytes(lines([{"text": text}]))
    made = decontaminator_of(
        with_evaluation_sets(plan_of(tmp_path, {"name": "e", "paths": ["e.jsonl"]}))
    )
    assert made is not None
    stored = "write to [EMAIL] or café owners about <b>one</b> two three four"
    columns = made(pa.array([stored, text])).columns
    assert columns["decontaminate.e.num_ngrams"].to_pylist() == [1, 0]


def test_the_table_is_that_of_the_contents(tmp_path: Path) -> None:
    write(tmp_path, "e.jsonl")
    plan = plan_of(tmp_path, {**ENTRY, "paths": ["e.jsonl"]})
    before = prepare_sets(plan)
    assert before is not None
    assert prepare_sets(plan) == before  # with its `seconds`: it was not made again
    (tmp_path / "e.jsonl").touch()
    assert prepare_sets(plan) == before
    settings = measuring_settings(with_evaluation_sets(plan), plan.source("s"))
    (tmp_path / "e.jsonl").write_bytes(lines([*ITEMS, {"id": "d", "question": f"other {TEN}"}]))
    after = prepare_sets(plan)
    assert after is not None
    assert after["fingerprint"] != before["fingerprint"]
    assert measuring_settings(with_evaluation_sets(plan), plan.source("s")) != settings


@pytest.mark.parametrize(
    ("entry", "content", "told"),
    [
        ({"paths": ["none.jsonl"]}, b"", "there is no such file"),
        ({"paths": ["none*.jsonl"]}, b"", "no file matches"),
        ({}, b"", "no bytes"),
        ({}, b"\n\n", "no item at all"),
        ({"text_fields": ["question", "answr"]}, lines(ITEMS), "has a text in 'answr'"),
        ({}, lines([{"question": ["a", "b"]}]), "is a list, want a string"),
        ({}, lines(ITEMS) + b"{broken\n", "not_json"),
        ({"text_fields": ["question"]}, lines(ITEMS[1:2]), "none with 8 words in question"),
    ],
)
def test_what_cannot_be_matched_is_an_error_that_names_the_set(
    tmp_path: Path, entry: dict[str, Any], content: bytes, told: str
) -> None:
    (tmp_path / "e.jsonl").write_bytes(content)
    plan = plan_of(tmp_path, {**ENTRY, "paths": ["e.jsonl"], **entry})
    with pytest.raises(SourceError) as error:
        prepare_sets(plan)
    assert str(error.value).startswith("decontaminate.0 (set): ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"paths": ["e.pdf"]}, "does not tell its format"),
        ({"ngram": 5, "min_words": 6}, "min_words = 6 is more than ngram = 5"),
        ({"text_fields": ["a", "a"]}, "a field stands there twice"),
        ({"paths": ["e.txt"]}, "a text file has no fields"),
        ({"action": "remove"}, "drop"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, entry: dict[str, Any], told: str) -> None:
    path = tmp_path / "m.yaml"
    values = plan_of(tmp_path).manifest.model_dump(mode="json", include={"version", "name"})
    values |= {"output": "out", "tokenizer": {"path": "t"}}
    values |= {"sources": [{"name": "s", "format": "jsonl", "paths": ["s"]}]}
    values |= {"decontaminate": [{**ENTRY, "paths": ["e.jsonl"], **entry}]}
    path.write_text(json.dumps(values))
    with pytest.raises(ManifestError, match="decontaminate") as error:
        load_manifest(path)
    assert told in str(error.value)


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    entry = {**ENTRY, "paths": ["e.jsonl"]}
    with pytest.raises(ValueError, match="two sets are called set"):
        plan_of(tmp_path, entry, entry)
