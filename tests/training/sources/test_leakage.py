"""Validation text in the training text."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash

from pipeline.files import file_hash
from pipeline.shards import ShardIndex, read_identities, read_index, write_index
from tests.training.shardfiles import Row, write_shards
from training.cli import main
from training.errors import DataError
from training.sources.corpus import open_shards
from training.sources.leakage import check_no_leakage


def row(*names: str) -> Row:
    return Row(documents=tuple((5, 6) for _ in names), names=names)


def make(path: Path, train: list[Row], validation: list[Row], source: str = "a") -> Path:
    rows = {(source, "train"): train, (source, "validation"): validation}
    return write_shards(path, rows, sequence_tokens=8)


def key(name: str) -> str:
    return xxhash.xxh3_128_hexdigest(repr(name).encode())


def change(path: Path, column: str, edit: Callable[[list[list[bytes | None]]], None]) -> None:
    """Write a part again with other values in one of its columns."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    values = table[column].to_pylist()
    edit(values)
    place = table.schema.get_field_index(column)
    table = table.set_column(
        place, table.schema.field(column), [pa.array(values, table[column].type)]
    )
    path.unlink()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, 7)


def with_hashes_of_files(out: Path) -> None:
    """An index that says what the parts are now, so that nothing else can find the change."""
    index = read_index(out)
    values = {name: getattr(index, name) for name in index.__dataclass_fields__}
    shards = []
    for shard in index.shards:
        fields = {name: getattr(shard, name) for name in shard.__dataclass_fields__}
        digest = file_hash(out / "shards" / shard.path, "sha256")
        shards.append(type(shard)(**{**fields, "sha256": digest}))
    write_index(out / "shards", ShardIndex(**{**values, "shards": tuple(shards)}))


def test_disjoint_text_is_accepted(tmp_path: Path) -> None:
    make(tmp_path, [row("x", "y"), row("y", "z")], [row("v"), row("w", "w")])
    assert check_no_leakage(open_shards([tmp_path])) is None


@pytest.mark.parametrize("split", ["train", "validation"])
def test_shards_with_one_split_are_accepted(tmp_path: Path, split: str) -> None:
    write_shards(tmp_path, {("a", split): [row("x")]}, sequence_tokens=8)
    assert check_no_leakage(open_shards([tmp_path])) is None


def test_one_text_in_the_training_parts_of_two_directories_is_accepted(tmp_path: Path) -> None:
    one = make(tmp_path / "one", [row("x", "y")], [row("v")])
    two = make(tmp_path / "two", [row("y", "x")], [row("v")], source="replay")
    assert check_no_leakage(open_shards([one, two])) is None


def test_text_of_one_directory_in_the_validation_of_another_is_refused(tmp_path: Path) -> None:
    one = make(tmp_path / "one", [row(f"t{i}") for i in range(300)], [row("q"), row("v", "w")])
    two = make(tmp_path / "two", [row("u", "w"), row("v"), row("w")], [row("r")], source="replay")
    with pytest.raises(DataError) as caught:
        check_no_leakage(open_shards([one, two]))
    assert str(caught.value) == (
        "2 of 4 validation documents are in the training shards too: "
        f"document {key('w')} in row 1 of {one}/shards/a/validation/part-00000.arrow (source a) "
        f"is in row 0 of {two}/shards/replay/train/part-00000.arrow (source replay); "
        "leave out one of the two --shards, or prepare them anew with one manifest, or with one "
        "validation_fraction for the sources of both, so that one split covers them"
    )


def test_the_parts_and_rows_are_named_wherever_the_document_stands(tmp_path: Path) -> None:
    held_out = [row(f"v{i}", f"w{i}") for i in range(230)]  # in three parts of record batches of 7
    trained = [row(f"t{i}") for i in range(150)] + [row("t", "w217")]
    one = make(tmp_path / "one", [row("x")], held_out)
    two = make(tmp_path / "two", trained, [row("y")])
    with pytest.raises(DataError) as caught:
        check_no_leakage(open_shards([one, two]))
    message = str(caught.value)
    assert message.startswith("1 of 461 validation documents")
    assert f"row 17 of {one}/shards/a/validation/part-00002.arrow" in message
    assert f"row 50 of {two}/shards/a/train/part-00001.arrow" in message


@pytest.mark.parametrize("column", ["doc_key", "doc_text_hash"])
def test_a_part_that_was_changed_is_refused_by_train_whatever_its_hash_says(
    tmp_path: Path, column: str, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, [row(f"t{i}", "x") for i in range(40)], [row("v"), row("w")])
    held_out = bytes.fromhex(key("w"))

    def leak(values: list[list[bytes | None]]) -> None:
        values[23][1] = held_out

    change(tmp_path / "shards/a/train/part-00000.arrow", column, leak)
    with_hashes_of_files(tmp_path)
    arguments = ["--shards", str(tmp_path), "--out", str(tmp_path / "run")]
    sets = [f"model={model_dir}", "steps=1", "batch_rows=1"]
    assert main([*arguments, *(f"--set={each}" for each in sets)]) != 0
    message = capsys.readouterr().err
    assert f"document {key('w')} in row 1 of " in message
    assert f"is in row 23 of {tmp_path}/shards/a/train/part-00000.arrow (source a)" in message
    assert (f"as {key('x')}, with the same text" in message) == (column == "doc_text_hash")
    assert "copy them anew" in message


def test_erased_documents_are_in_neither_split(tmp_path: Path) -> None:
    one = make(tmp_path / "one", [row("x", "w")], [row("v")])
    two = make(tmp_path / "two", [row("y")], [row("q", "w")])

    def erase(values: list[list[bytes | None]]) -> None:
        values[0][1] = None

    for path in (one / "shards/a/train", two / "shards/a/validation"):
        for column in ("doc_key", "doc_text_hash"):
            change(path / "part-00000.arrow", column, erase)
    assert check_no_leakage(open_shards([one, two])) is None
    found = read_identities(one / "shards/a/train/part-00000.arrow")
    assert [each.tobytes().hex() for each in found.keys] == [key("x")]
    assert found.rows.tolist() == [0]


def test_a_hash_that_ends_in_zero_bytes_is_told_apart(tmp_path: Path) -> None:
    # NumPy's byte strings drop trailing zeros; equal prefixes must not become equal hashes.
    make(tmp_path, [row("x")], [row("v")])
    sets = open_shards([tmp_path])
    for split, tail in (("train", b"\x01\x00"), ("validation", b"\x01\x02")):
        path = tmp_path / f"shards/a/{split}/part-00000.arrow"
        name = "x" if split == "train" else "v"
        digest = bytes.fromhex(key(name))
        data = path.read_bytes()
        assert digest in data
        path.write_bytes(data.replace(digest, b"A" * 14 + tail))
    assert check_no_leakage(sets) is None


def test_a_part_that_is_none_is_named(tmp_path: Path) -> None:
    make(tmp_path, [row("x")], [row("v")])
    sets = open_shards([tmp_path])
    path = tmp_path / "shards/a/train/part-00000.arrow"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=f"{path}: not a readable shard"):
        check_no_leakage(sets)
