"""Names and values that break YAML, the terminal or Python: the manifest is right, or says why."""

import json
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.initialising.columns import columns_of
from pipeline.initialising.rows import rows_of
from pipeline.initialising.writing import scalar
from pipeline.manifest import load_manifest
from tests.pipeline.corpora import docstrings
from tests.pipeline.initialising.test_init import init, run_manifest

NAMES = (
    "a b.jsonl",
    "c[1].jsonl",
    "d*e?.jsonl",
    "f'g\"h.jsonl",
    "new\nseed: 5.jsonl",
    "next\x85seed: 6.jsonl",
    "line\u2028seed: 7.jsonl",
    "escape\x1b[31m.jsonl",
    "{a,b}.jsonl",
    "#hash: x.jsonl",
    "back\\slash.jsonl",
    "[/red].jsonl",
)


def json_lines(texts: list[str], field: str = "text") -> str:
    return "".join(json.dumps({field: text}) + "\n" for text in texts)


def test_names_that_mean_something_to_yaml_or_a_glob_are_read(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for n, name in enumerate(name for name in NAMES if "/" not in name):
        (raw / name).write_text(json_lines([docstrings()[n]]))
    outcome = run_manifest(init(raw, tokenizer_folder))
    assert sum(entry.num_read for entry in outcome.ledger.values()) == len(list(raw.iterdir()))


def test_names_in_comments_stay_comments(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw\nseed: 4"
    raw.mkdir()
    (raw / "good.jsonl").write_text(json_lines(docstrings()[:5]))
    for name in ("new\nseed: 5", "next\x85seed: 6", "line\u2028seed: 7", "escape\x1b[31m"):
        (raw / name).write_bytes(b"%PDF-1.7 " + name.encode())
    path = init(raw, tokenizer_folder)
    assert load_manifest(path).seed == 17
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("seed")] == ["seed: 17"]
    assert "\x1b" not in path.read_text()
    assert "\x1b[31m" not in capsys.readouterr().out


def test_file_whose_name_is_not_utf8_is_left_out_and_named(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "good.jsonl").write_text(json_lines(docstrings()[:5]))
    (raw / os.fsdecode(b"caf\xe9.jsonl")).write_text(json_lines(docstrings()[5:9]))
    outcome = run_manifest(init(raw, tokenizer_folder))
    assert outcome.ledger["good"].num_read == 5
    assert "its name is not UTF-8" in capsys.readouterr().out


def test_column_that_looks_like_markup_is_shown_as_it_is(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.jsonl").write_text(json_lines(docstrings()[:5], "[/red]text\x85"))
    assert load_manifest(init(raw, tokenizer_folder)).sources[0].text_field == "[/red]text\x85"
    assert "[/red]text" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_rows_that_are_longer_than_the_head_are_read(
    kind: str, tmp_path: Path, tokenizer_folder: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    text = "A book has many sentences, of which this is one. " * 25_000
    whole = json_lines([text] * 2) if kind == "jsonl" else f'n,text\n1,"{text}"\n2,"{text}"\n'
    (raw / f"books.{kind}").write_text(whole)
    outcome = run_manifest(init(raw, tokenizer_folder))
    assert outcome.ledger["books"].num_read == 2
    assert not outcome.ledger["books"].quarantined


def test_pages_that_no_parser_should_see_count_for_the_limit(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for n, text in enumerate(docstrings()[:19]):
        (raw / f"{n}.html").write_text(f"<html><body><p>{text}</p></body></html>")
    (raw / "deep.html").write_text(f"<html><body>{'<a><div>' * 20_000}</body></html>")
    path = init(raw, tokenizer_folder)
    assert load_manifest(path).limits.max_quarantined_fraction == 0.1
    assert run_manifest(path).ledger["raw"].quarantined == {"html_too_complex": 1}


def test_two_columns_of_one_name_are_refused_with_that_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = pa.array(["one", "two"])
    table = pa.Table.from_arrays([column, column], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert main(["init", str(tmp_path), "--output", str(tmp_path / "m.yaml")]) == 2
    assert "more than one column is called 'text'" in capsys.readouterr().err


def test_times_that_python_has_not_do_not_hide_the_other_columns() -> None:
    far = pa.array([10**14], pa.timestamp("s"))
    near = pa.array([0], pa.timestamp("s"))
    (row,) = rows_of(pa.table({"text": ["one"], "far": far, "near": near}))
    assert (row["text"], row["near"]) == ("one", datetime(1970, 1, 1))
    assert isinstance(row["far"], str)


def test_values_that_are_nested_without_end_are_no_conversation_and_no_text() -> None:
    deep: list[object] = ["bottom"]
    for _ in range(100_000):
        deep = [deep]
    written = '[{"a":' * 100_000
    first, second = columns_of([{"deep": deep, "written": written}])
    assert first.nested is None
    assert second.messages == 0
    while deep and isinstance(deep[0], list):  # by hand: letting it go recurses, too
        deep = deep[0]


@pytest.mark.parametrize("text", [*NAMES, "\ud83d", "\U000e0001", "no", "1", "", "é", "~", "a: b"])
def test_scalar_is_what_yaml_reads_again(text: str) -> None:
    import yaml

    assert yaml.safe_load(f"key: {scalar(text)}") == {"key": text}
    assert yaml.safe_load(f"key: {scalar([text])}") == {"key": [text]}
