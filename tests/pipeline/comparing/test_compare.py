"""`prepare compare` on two real outputs of the same files, one with a stricter length filter."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cli import main
from pipeline.comparing.settings import changed
from tests.pipeline.corpora import Corpus, docstrings, near_copy
from tests.pipeline.here import run_here, small_manifest

HOSTILE = "\x1b[31m[bold]id"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> tuple[Path, Path]:
    """Of 40 docstrings, a near copy of the first and a row that is no JSON."""
    folder = tmp_path_factory.mktemp("compared")
    texts = [*docstrings()[:40], near_copy(docstrings()[0], 1)]
    rows = [{"id": f"{HOSTILE}{n}", "text": text} for n, text in enumerate(texts)]
    corpus = Corpus(folder)
    corpus.write("rows.jsonl", rows)
    with (folder / "rows.jsonl").open("a") as file:
        file.write("no json\n")
    source = {
        "name": "docs",
        "format": "jsonl",
        "paths": ["rows.jsonl"],
        "id_field": "id",
    }
    corpus.manifest = {
        "version": 1,
        "name": "compared",
        "output": "out",
        "sources": [source],
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 128},
        "limits": {"max_quarantined_fraction": 0.5},
    }
    for out, least in (("out", 100), ("strict", 600)):
        corpus.manifest["output"] = out
        corpus.manifest["filters"] = [{"use": "length", "min_chars": least}]
        corpus.prepare("--workers", "1")
    return folder / "out", folder / "strict"


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["compare", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_differs_in_the_manifests_is_named_with_its_values(
    outputs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, *map(str, outputs))
    assert found["settings"] == [{"name": "filters.length.min_chars", "a": 100, "b": 600}]
    assert {each["name"] for each in found["origin"]} == {"shards"}


def test_documents_are_followed_to_what_took_them(
    outputs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, *map(str, outputs))
    ledgers = [json.loads((out / "ledger.json").read_text())["docs"] for out in outputs]
    figures = {each["name"]: (each["a"], each["b"]) for each in found["funnel"]}
    for name, key in (("read", "num_read"), ("packed", "num_packed"), ("tokens", "num_tokens")):
        assert figures[name] == tuple(ledger[key] for ledger in ledgers)
    only_a = [move for move in found["moves"] if move["packed_in"] == "a"]
    assert [move["fate"] for move in only_a] == ["dropped: length.num_chars"]
    lost = ledgers[0]["num_packed"] - found["num_packed_in_both"]["docs"]
    assert only_a[0]["num_documents"] == lost > 0
    assert [v for name, v in figures.items() if name.startswith("quarantined")] == [(1, 1)]


def test_documents_of_a_source_that_one_lacks_are_packed_in_the_other_only(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = docstrings()[:20]
    for name, some in (("domain", texts[:9]), ("general", texts[9:])):
        rows = [json.dumps({"id": n, "text": text}) for n, text in enumerate(some)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    manifest = small_manifest(tokenizer_folder)
    run_here(tmp_path, manifest)
    run_here(tmp_path, manifest | {"output": "less", "sources": manifest["sources"][:1]})
    found = compared(capsys, str(tmp_path / "less"), str(tmp_path / "out"))
    (move,) = found["moves"]
    assert (move["source"], move["packed_in"], move["fate"]) == ("general", "b", "not read")
    assert move["num_documents"] == 11
    assert found["num_packed_in_both"] == {"domain": 9}
    assert main(["compare", str(tmp_path / "less"), str(tmp_path / "out")]) == 0
    assert "11 documents are packed in B only." in capsys.readouterr().out


def test_an_output_is_the_same_as_its_copy(
    outputs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(outputs[0])
    assert main(["compare", str(outputs[0]), str(tmp_path / "link")]) == 2
    assert "given twice" in capsys.readouterr().err


def test_the_terminal_shows_ids_and_obeys_none(
    outputs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, outputs)]) == 0
    printed = capsys.readouterr().out
    assert "The manifests differ in filters.length.min_chars." in printed
    assert "documents are packed in A only" in printed
    assert "\x1b[31m" not in printed
    assert "[bold]id" in printed


def test_what_is_no_output_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path / "other")]) == 2
    assert "no finished output" in capsys.readouterr().err


def test_entries_of_lists_are_met_by_name() -> None:
    a = {"filters": [{"use": "length", "min": 1}, {"use": "language"}, {"use": "length", "min": 5}]}
    b = {"filters": [{"use": "language"}, {"use": "length", "min": 2}]}
    found = {each.name: (each.a, each.b) for each in changed(a, b)}
    assert found == {
        "filters.length.min": (1, 2),
        "filters.length#2": ({"use": "length", "min": 5}, None),
    }
    swapped = {"filters": list(reversed(b["filters"]))}
    assert [each.name for each in changed(b, swapped)] == ["filters (order)"]


def test_arrow_counts_fates() -> None:
    from pipeline.comparing.fates import _joined

    left = pa.table({"key": ["a", "b"], "name": ["x", "y"], "fate": ["packed", "packed"]})
    right = pa.table({"key": ["b", "c"], "name": ["y", "z"], "fate": ["dropped: r", "packed"]})
    rows = _joined(left, right).to_pylist()
    assert {(r["fate_a"], r["fate_b"], r["num_documents"]) for r in rows} == {
        ("packed", "not read", 1),
        ("packed", "dropped: r", 1),
        ("not read", "packed", 1),
    }
