"""The benchmark of shards has all its rows, also of a tiny corpus, and notices what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import zstandard

from benchmarks import packing, signatures
from benchmarks.shards import output, rows, tokenising, verifying
from tests.pipeline.corpora import docstrings, tokenizer


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer(tmp_path_factory.mktemp("tokenizer"))


def corpus(folder: Path) -> Path:
    lines = "".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(docstrings()))
    folder.mkdir()
    (folder / "docs-000.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    return folder


@pytest.mark.slow
def test_every_row_is_there(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "GROWTH", 2)
    texts = corpus(tmp_path / "in")
    found = list(rows.rows(tmp_path / "work", texts, tokenizer_folder, 1e6, num_items=3, rounds=1))
    assert [label.strip().split(" ")[0] for label, *_ in found] == [
        *("verify", "with", "tokenise", "beside", "tokenise", "for", "resuming")
    ]
    assert [target for *_, target in found if target] == [
        *(">= 500 MB/s", ">= 500 MB/s", ">= 0.8x", "independent of it", "< 2 s")
    ]


def test_both_sides_encode_the_same_texts(tmp_path: Path, tokenizer_folder: Path) -> None:
    texts = signatures.texts(corpus(tmp_path / "in"), 1e6)
    plan = output.make(tmp_path / "one", texts, tokenizer_folder)
    before = {path: path.read_bytes() for path in plan.out.rglob("part-*.arrow")}
    num_bytes, measured = tokenising.measure(plan, 1)
    ledger = json.loads((plan.out / "ledger.json").read_text())
    assert num_bytes == ledger["copy0"]["num_packed_bytes"] > 100_000
    assert measured[0].ratio == measured[0].bare / measured[0].ours > 0
    assert {path: path.read_bytes() for path in plan.out.rglob("part-*.arrow")} == before
    (part,) = before
    damaged = bytearray(before[part])
    damaged[len(damaged) // 2] ^= 1  # a token
    part.write_bytes(damaged)
    with pytest.raises(SystemExit, match=r"has faults: .*part-00000\.arrow"):
        verifying.measure(plan, 1)


def test_a_plan_is_timed_for_each_number_of_documents() -> None:
    times = packing.seconds(np.array([100, 3000, 7]), (10, 200))
    assert list(times) == [10, 200]
    assert all(seconds > 0 for seconds in times.values())
