"""Records: only a complete item counts as done, and nothing of another config stays."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import atomic, file_hash
from pipeline.records import Records, fingerprint


def commit(records: Records, name: str) -> Path:
    path = records.out / "data" / f"{name}.bin"
    with atomic(path) as temporary:
        temporary.write_bytes(name.encode())
    records.commit(name, {"data": path}, {"num_rows": 1}, 0.5)
    return path


def test_an_item_is_done_only_while_its_outputs_are_whole(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    assert records.load("a") is None
    path = commit(records, "a")
    record = records.load("a")
    assert record is not None
    assert record["outputs"]["data"] == {"path": "data/a.bin", "bytes": 1, "xxh3": file_hash(path)}
    path.write_bytes(b"longer")
    assert records.load("a") is None
    assert records.read("a") == record
    path.unlink()
    assert records.load("a") is None


def test_prune_removes_records_and_outputs_of_other_configs(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    paths = {name: commit(records, name) for name in "abc"}
    records.prune("b")
    (records.folder / ".tmp-1-c.json").write_text("half a rec")
    records.prune("b")
    assert [name for name in "abc" if records.read(name)] == ["b"]
    assert [name for name, path in paths.items() if path.exists()] == ["b"]


def test_a_crash_while_writing_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "x.json"

    def write_and_crash() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("fault")

    with pytest.raises(RuntimeError, match="fault"):
        write_and_crash()
    assert list(tmp_path.iterdir()) == []


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_fingerprints_do_not_depend_on_the_order_of_keys(values: dict[str, int], rng) -> None:
    items = list(values.items())
    rng.shuffle(items)
    assert fingerprint(values) == fingerprint(dict(items))
    assert fingerprint(values) != fingerprint({**values, "one more \0": 1})
