"""Rows that nobody meant to write: each leaves alone, with its reason, and its neighbours stay.

Any bytes at all, by Hypothesis, are tested in tests/pipeline/sources/test_any_bytes.py.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.outcome import Outcome
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus, docstrings
from tests.pipeline.here import run_here, small_manifest

pytestmark = pytest.mark.faults

DEPTH = 10_000
GOOD = [json.dumps({"id": f"g{n}", "text": docstrings()[n]}).encode() for n in range(3)]


def prepare(folder: Path, tokenizer: Path, **more: Any) -> tuple[Outcome, Corpus]:
    """Run the folder's files; the ledger balances and every file is whole."""
    values = small_manifest(tokenizer, **more)
    done = run_here(folder, values)
    assert list(faults(folder / "out")) == []
    return done, Corpus(folder, values)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "text": "caf\xe9"}', "not_utf8"),
        (b'{"id": "x", "text": "\xed\xa0\x80"}', "not_utf8"),  # a surrogate, written as UTF-8
        (rb'{"id": "x", "text": "half of a pair: \ud800"}', "not_utf8"),
        (rb'{"id": "x", "text": "\udc00\ud800 the wrong way"}', "not_utf8"),
        (b'{"id": "x", "text": "a\0b"}', "not_json"),
        (b"\0" * 100, "not_json"),
        (b'{"id": "x", "text": ' + b"[" * DEPTH + b"]" * DEPTH + b"}", None),
        (b"[" * DEPTH, None),
        (b'{"a": ' * DEPTH + b"1" + b"}" * DEPTH, None),
    ],
)
def test_a_bad_line_is_quarantined_with_its_bytes(
    line: bytes, reason: str | None, tmp_path: Path, tokenizer_folder: Path
) -> None:
    (tmp_path / "domain.jsonl").write_bytes(b"\n".join([GOOD[0], line, GOOD[1]]) + b"\n")
    (tmp_path / "general.jsonl").write_bytes(GOOD[2] + b"\n")
    done, corpus = prepare(tmp_path, tokenizer_folder)
    assert done.ledger["domain"].num_read == 3
    assert done.ledger["domain"].num_kept == 2
    assert corpus.table("kept")["id"].to_pylist() == ["g0", "g1", "g2"]
    (bad,) = corpus.table("quarantined").to_pylist()
    assert bad["reason"] == reason if reason else bad["reason"]
    assert bad["source_row"] == len(GOOD[0]) + 1
    assert line.startswith(bad["raw"])
    assert len(bad["raw"]) > 0


def test_nuls_that_json_may_hold_are_no_reason_to_lose_a_row(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    (tmp_path / "domain.jsonl").write_bytes(rb'{"id": "x", "text": "one\u0000two three"}' + b"\n")
    (tmp_path / "general.jsonl").write_bytes(GOOD[2] + b"\n")
    done, corpus = prepare(tmp_path, tokenizer_folder)
    assert done.ledger["domain"].num_kept == 1
    assert "one" in corpus.table("kept")["text"].to_pylist()[0]


def test_a_parquet_file_of_another_schema_costs_its_own_rows(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    texts = list(docstrings()[:4])
    ids = [f"{n}" for n in range(4)]
    tables = {
        "0-plain": {"id": ids, "text": texts},
        "1-more": {"more": [1, 2, 3, 4], "text": texts, "id": ids},
        "2-large": {
            "id": pa.array(ids, pa.large_string()),
            "text": pa.array(texts).dictionary_encode(),
        },
        "3-no-text": {"id": ids, "body": texts},
        "4-numbers": {"id": ids, "text": [1, 2, 3, 4]},
        "5-number-ids": {"id": [1, 2, 3, 4], "text": texts},
        "6-no-id": {"text": texts},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), tmp_path / f"domain-{name}.parquet")
    (tmp_path / "general.jsonl").write_bytes(GOOD[2] + b"\n")
    values = small_manifest(tokenizer_folder)
    values["sources"][0]["format"] = "parquet"
    done, corpus = prepare(tmp_path, tokenizer_folder, sources=values["sources"])
    entry = done.ledger["domain"]
    assert (entry.num_read, entry.num_kept) == (28, 20)
    bad = corpus.table("quarantined").to_pylist()
    assert {row["source_path"]: row["reason"] for row in bad} == {
        "domain-3-no-text.parquet": "missing_field",
        "domain-4-numbers.parquet": "wrong_type",
    }


def test_documents_of_one_id_are_documents_of_their_own(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    rows = [json.dumps({"id": "same", "text": text}) for text in docstrings()[:3]]
    (tmp_path / "domain-0.jsonl").write_text("\n".join([*rows, rows[0]]) + "\n")
    (tmp_path / "domain-1.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "general.jsonl").write_text(rows[1] + "\n")
    done, corpus = prepare(tmp_path, tokenizer_folder)
    assert sum(entry.num_packed for entry in done.ledger.values()) == 8
    keys = corpus.table("kept")["key"].to_pylist()
    assert len(set(keys)) == 8


def test_files_without_a_byte_are_counted(tmp_path: Path, tokenizer_folder: Path) -> None:
    """`prepare verify`, too: of sources without a document the same files are made."""
    for name in ("domain-0.jsonl", "domain-2.jsonl.gz", "general-0.jsonl", "other-0.jsonl"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "domain-1.jsonl").write_bytes(b"\n".join(GOOD) + b"\n")
    sources = small_manifest(tokenizer_folder)["sources"]
    sources.append({"name": "other", "format": "jsonl", "paths": ["other*"]})
    done, _ = prepare(tmp_path, tokenizer_folder, sources=sources)
    assert done.num_items["refine"] == 3  # they cost no items of their own
    assert done.ledger["domain"].num_kept == 3
    assert done.ledger["domain"].quarantined == {"empty_file": 2}
    assert done.ledger["general"].quarantined == {"empty_file": 1}
