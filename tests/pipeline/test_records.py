"""Records: only a complete item counts as done, and nothing of another config stays."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import atomic, file_hash
from pipeline.reasons import DAMAGED, reasons
from pipeline.records import MadeOf, Records, fingerprint


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


def test_a_record_is_as_json_gives_it_back(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    counts = {"by_number": {10: 1, 9: 2}, "names": ("\udcff", "é"), "share": 0.1}
    record = records.commit("a", {}, counts, 0.25, MadeOf("x", "y", "z"), source="s")
    assert records.read("a") == record
    assert record["counts"]["by_number"] == {"10": 1, "9": 2}
    assert record["of"] == {"contents": "x", "config": "y", "code": "z"}


def test_a_record_with_any_byte_changed_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    commit(records, "a")
    path = records.path("a")
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert records.read("a") is None
        assert records.is_damaged("a")
        assert list(records.all()) == []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert records.load("a") is None
    path.write_bytes(b"[" * 100_000)
    assert records.load("a") is None
    path.write_bytes(whole)
    assert records.load("a") is not None
    assert not records.is_damaged("a")


def test_a_record_under_another_name_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    commit(records, "a")
    records.path("b").write_bytes(records.path("a").read_bytes())
    assert records.load("b") is None
    (tmp_path / "state" / "pack").mkdir()
    Records(tmp_path, "pack").path("a").write_bytes(records.path("a").read_bytes())
    assert Records(tmp_path, "pack").load("a") is None


def test_of_a_damaged_record_the_files_of_its_name_go_and_no_others(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    commit(records, "a")
    named = [tmp_path / "refined" / f"{name}.kept.arrow" for name in "ab"]
    for path in named:
        with atomic(path) as temporary:
            temporary.write_bytes(b"x")
    text = records.path("a").read_text().replace("data/a.bin", "../../c.txt")
    records.path("a").write_text(text)
    records.prune(())
    assert [path.exists() for path in named] == [False, True]
    assert not records.path("a").exists()


def test_why_items_are_done_again_is_told(tmp_path: Path) -> None:
    records = Records(tmp_path, "refine")
    data = tmp_path / "data"
    data.write_bytes(b"x")
    for name in ("old-a", "old-b", "old-c", "gone", "bad", "done"):
        outputs = {"data": data} if name == "gone" else {}
        records.commit(name, outputs, {}, 0.0, MadeOf(name[-1:], "config", "code"))
    data.unlink()
    records.path("bad").write_text("{}")
    made_of = {
        "a": MadeOf("a", "other", "code"),
        "b": MadeOf("b", "config", "other"),
        "c": MadeOf("c", "other", "other"),
        "new": MadeOf("never seen", "config", "code"),
        "gone": MadeOf("e", "config", "code"),
        "bad": MadeOf("d", "config", "code"),
    }
    told = reasons(records, list(made_of), made_of)
    assert told == (
        "5 items are done again: config and code changed (1), files of theirs are gone (1), the "
        "code changed (1), the config changed (1), their records are damaged (1)"
    )
    assert reasons(records, ["new"], made_of) == ""
    assert reasons(records, ["bad", "a"], {}) == "1 items are done again: " + DAMAGED + " (1)"
