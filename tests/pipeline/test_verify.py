"""`prepare verify`: silent on a good output, and loud on every kind of damage."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.shards import read_index
from pipeline.verify import faults, read_records
from pipeline.verify_tokens import Pieces, _num_shared, _order, misplaced_tokens
from tests.pipeline.corpora import Corpus


@pytest.fixture
def out(prepared: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared.out, tmp_path / "out"))


def test_a_good_output_has_no_fault(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(faults(out)) == []
    assert main(["verify", str(out)]) == 0
    assert "complete" in capsys.readouterr().out


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def first(out: Path, pattern: str) -> Path:
    return next(path for path in sorted(out.rglob(pattern)) if path.stat().st_size > 2000)


def miscount(out: Path) -> None:
    path = out / "ledger.json"
    values = json.loads(path.read_text())
    values["domain"]["num_read"] += 1
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: flip(first(out, "part-*.arrow")), "sha256"),
        (lambda out: first(out, "part-*.arrow").unlink(), "missing"),
        (lambda out: flip(first(out, "*.kept.arrow")), "bytes"),
        (lambda out: first(out, "*.dropped.arrow").unlink(), "missing"),
        (miscount, "read"),
        (lambda out: (out / "shards" / "index.json").unlink(), "index.json"),
        (lambda out: (out / "shards" / "index.json").write_text("{}"), "format version"),
    ],
)
def test_damage_is_found(out: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(out)
    found = list(faults(out))
    assert any(message in fault for fault in found), found
    assert main(["verify", str(out)]) == 1


def test_no_output_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no output"):
        list(faults(tmp_path))
    assert main(["verify", str(tmp_path)]) == 2


def change(rows: list[dict[str, Any]], column: str, value: Any) -> None:
    """Of a document that has pieces in several rows, in its last one."""
    pieces = [(key, n) for n, row in enumerate(rows) for key in row["doc_key"]]
    key = next(key for key, _ in pieces if sum(key == other for other, _ in pieces) > 1)
    row = rows[max(n for other, n in pieces if other == key)]
    values = row[column]
    at = row["doc_key"].index(key)
    if isinstance(values, list):
        values[at] = value(values[at])
    else:
        row[column] = value(values)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("doc_token_start", lambda start: start + 1, "do not join up in documents"),
        ("doc_token_start", lambda start: 0, "do not join up in documents"),
        ("num_tokens", lambda number: number - 1, "last tokens are missing"),
        ("doc_key", lambda key: bytes(16), "pieces do not join up|other documents"),
        ("doc_text_hash", None, "1 texts stand in train and in validation"),
    ],
)
def test_tokens_out_of_place_are_found(
    out: Path, column: str, value: Callable[[Any], Any] | None, message: str
) -> None:
    index = read_index(out)
    path = out / "shards" / "domain" / "train" / "part-00000.arrow"
    held_out = pa.ipc.open_file((out / "shards/domain/validation/part-00000.arrow").read_bytes())
    text_hash = held_out.read_all()["doc_text_hash"][0][0].as_py()
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    rows = table.to_pylist()
    change(rows, column, value or (lambda _: text_hash))
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=table.schema))
    names = json.loads((out / "run.json").read_text())["tokenise"]
    found = list(misplaced_tokens(out, read_records(out, "tokenise", names), index))
    assert any(re.search(message, fault) for fault in found), found


KEYS = st.integers(0, 2)  # few, so that words of different keys are equal


@given(rows=st.lists(st.tuples(KEYS, KEYS, KEYS, st.integers(1, 9)), max_size=40))
def test_pieces_are_sorted_as_by_all_words(rows: list[tuple[int, int, int, int]]) -> None:
    high, low, start, length = (np.array([row[i] for row in rows], np.int64) for i in range(4))
    pieces = Pieces(np.stack([high, low], axis=1).astype(np.uint64), start, length)
    order = _order(pieces)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert [rows[i][:3] for i in order.tolist()] == sorted(row[:3] for row in rows)


@given(
    many=st.lists(st.tuples(KEYS, KEYS), max_size=30),
    few=st.lists(st.tuples(KEYS, KEYS), max_size=5),
)
def test_shared_values_are_counted_once(
    many: list[tuple[int, int]], few: list[tuple[int, int]]
) -> None:
    arrays = (np.array(values, np.uint64).reshape(-1, 2) for values in (many, few))
    assert _num_shared(*arrays) == len(set(many) & set(few))
