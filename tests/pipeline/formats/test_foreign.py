"""Sets that are torn, changed or of another tokenizer are refused with the reason, and leave
nothing: what comes from others is not trusted."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.shards import ShardIndex, find_shards, read_index, write_index

WIDTH = 16
DOCUMENTS = [[(7 * n + k) % 500 + 1 for k in range((n + 40) % 50)] for n in range(150)]
MASKS = [[(k + n) % 2 for k in range(len(ids))] for n, ids in enumerate(DOCUMENTS)]


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A set with a loss mask, held out in part, as `out`, and both of its exports beside it."""
    folder = tmp_path_factory.mktemp("theirs")
    pq.write_table(pa.table({"tokens": DOCUMENTS, "loss_mask": MASKS}), folder / "web.parquet")
    options = ["--tokenizer", tokenizer_folder, "--validation-fraction", 0.2]
    options += ["--sequence-tokens", WIDTH, "--shard-tokens", 1500]
    assert run("import", folder / "web.parquet", "--to", folder / "out", *options) == 0
    for name in ("megatron", "parquet"):
        assert run("export", folder / "out", "--format", name, "--to", folder / name) == 0
    return folder


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Call with what `prepare import` must say, and its words."""

    def check(message: str, *words: object) -> None:
        assert run("import", *words, "--to", tmp_path / "refused") == 2
        assert message in capsys.readouterr().err
        assert not list(tmp_path.glob("*refused*"))

    return check


def changed_record(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((folder / "export.json").read_text())
    change(record)
    (folder / "export.json").write_text(json.dumps(record))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """A documents.arrow with other columns."""
    table = change(pa.ipc.open_file(path.read_bytes()).read_all())
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def lists(values: object, kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.list_(kind))


IDS = lists([[5, 6, 2], [7, 2]], pa.int32())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"input_ids": IDS}, "b.parquet: got the columns input_ids"),
        ({"tokens": pa.array(["x", "y"])}, "b.parquet: got the columns tokens (string)"),
        ({"tokens": lists([[1.5, 2.0]], pa.float64())}, "tokens (list<element: double>)"),
        ({"tokens": lists([[5], [6, None]], pa.int32())}, "b.parquet: column tokens: row 1: got a"),
        ({"tokens": lists([[5], [], [600]], pa.int32())}, "b.parquet: document 2: got the id 600"),
        ({"tokens": IDS, "loss_mask": lists([["0"], ["1"]], pa.string())}, "want lists of 0 and 1"),
        ({"tokens": IDS, "loss_mask": pa.array([1, 0])}, "loss_mask: got int64"),
        ({"tokens": IDS, "loss_mask": lists([[0, 1, 1], [1]], pa.uint8())}, "row 1: got another"),
        ({"tokens": IDS, "loss_mask": lists([None, [1, -1]], pa.int8())}, "row 1: got a value"),
        (
            {"tokens": IDS, "loss_mask": lists([[False, None, True], None], pa.bool_())},
            "row 0: got a val",
        ),
        ({"tokens": IDS, "loss_mask": lists([None, [0.5, 1]], pa.float32())}, "row 1: got a value"),
        (
            {
                "tokens": pa.array([[5, 6], [7, 8]], pa.list_(pa.int32(), 2)),
                "loss_mask": pa.array([None, [0, 1]], pa.list_(pa.uint8(), 2)),
            },
            "write them as lists of any size",
        ),
        (None, "b.parquet: not a Parquet file"),
        (b"junk" * 100, "b.parquet: not a Parquet file"),
    ],
)
def test_every_parquet_file_is_looked_at(
    tmp_path: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    columns: dict[str, pa.Array] | bytes | None,
    message: str,
) -> None:
    (tmp_path / "web").mkdir()
    pq.write_table(pa.table({"tokens": IDS}), tmp_path / "web/a.parquet")
    path = tmp_path / "web/b.parquet"
    if isinstance(columns, dict):
        pq.write_table(pa.table(columns), path)
    else:
        path.write_bytes(columns or b"")
    refused(message, tmp_path / "web", "--tokenizer", tokenizer_folder)


def test_a_damaged_page_names_its_file(
    tmp_path: Path, tokenizer_folder: Path, refused: Callable[..., None]
) -> None:
    table = pa.table({"tokens": [[n % 500 for n in range(100)]] * 500})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[200 : len(data) // 2] = b"\xff" * (len(data) // 2 - 200)
    (tmp_path / "a.parquet").write_bytes(data)
    refused(
        "a.parquet: not a Parquet file", tmp_path / "a.parquet", "--tokenizer", tokenizer_folder
    )


def test_a_mask_of_nulls_alone_masks_nothing(tmp_path: Path, tokenizer_folder: Path) -> None:
    pq.write_table(pa.table({"tokens": IDS, "loss_mask": pa.nulls(2)}), tmp_path / "a.parquet")
    words = ["import", tmp_path / "a.parquet", "--to", tmp_path / "out"]
    assert run(*words, "--tokenizer", tokenizer_folder) == 0
    (shard,) = read_index(tmp_path / "out").shards
    with pa.memory_map(str(tmp_path / "out/shards" / shard.path)) as source:
        assert "loss_mask" not in pa.ipc.open_file(source).schema.names
    assert shard.num_tokens == 5


def lose(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for path in [*folder.glob(pattern)]:
            path.unlink()

    return change


def told(**values: object) -> Callable[[Path], None]:
    """The record says otherwise of its first set."""
    return lambda folder: changed_record(folder, lambda record: record["sets"][0].update(values))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("megatron", lose("web/train/mask.*"), "has_mask is 0, export.json says 1"),
        ("megatron", lose("web/train/mask.bin"), "num_file_bytes is"),
        ("megatron", lose("web/train/documents.arrow"), "num_file_bytes is"),
        ("megatron", told(num_documents=3), "export.json says 3"),
        ("megatron", told(num_tokens=3), "export.json says 3"),
        ("parquet", lose("web/train/part-00001.parquet"), "web/train: num_rows is"),
        ("parquet", told(has_mask=False), "has_mask is 1, export.json says 0"),
        ("parquet", told(num_tokens=3), "tokens, the export says 3"),
        ("parquet", told(num_rows="x"), "sets.0.num_rows: Input should be a valid integer"),
        (
            "megatron",
            lambda f: changed_record(f, lambda r: r["sets"].append(r["sets"][0])),
            "names a set twice",
        ),
        ("megatron", lambda f: (f / "export.json").write_text("[]"), "no record of an export"),
    ],
)
def test_an_export_is_held_against_its_record(
    theirs: Path,
    tmp_path: Path,
    refused: Callable[..., None],
    name: str,
    change: Callable[[Path], object],
    message: str,
) -> None:
    shutil.copytree(theirs / name, tmp_path / "copy")
    change(tmp_path / "copy")
    refused(message, tmp_path / "copy")


@pytest.mark.parametrize("name", ["megatron", "parquet"])
def test_an_export_takes_no_other_tokenizer(
    theirs: Path, tmp_path: Path, tokenizer_folder: Path, refused: Callable[..., None], name: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tokenizer_folder, other)
    settings = json.loads((other / "tokenizer.json").read_text())
    merges = settings["model"]["merges"]
    merges[0], merges[1] = merges[1], merges[0]
    (other / "tokenizer.json").write_text(json.dumps(settings))
    refused("--tokenizer: got", theirs / name, "--tokenizer", other)
    words = ["--tokenizer", tokenizer_folder, "--to", tmp_path / "same"]
    assert run("import", theirs / name, *words) == 0


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("parquet", ["--sequence-tokens", 32], "--sequence-tokens: the rows of web/train are"),
        ("parquet", ["--strategy", "pad"], "--strategy: the rows"),
        ("parquet", ["--shard-tokens", 5], "--shard-tokens: the rows"),
        ("parquet", ["--column", "nope"], "leave --source, --split and --column out"),
        ("megatron", ["--column", "nope"], "leave --source, --split and --column out"),
        ("megatron", ["--validation-fraction", 0], "an export has its own splits"),
        ("megatron", ["--sequence-tokens", 0], "--sequence-tokens: got 0"),
        ("megatron/web/train/tokens", ["--column", "nope"], "datasets have no columns"),
        ("parquet/web/train", ["--strategy", "pad"], "--strategy: the rows of train are"),
        (
            "parquet/web/train",
            ["--column", "nope"],
            "want lists of integers, the token ids, in nope",
        ),
    ],
)
def test_what_does_not_apply_is_an_error(
    theirs: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    name: str,
    words: list[object],
    message: str,
) -> None:
    refused(message, theirs / name, "--tokenizer", tokenizer_folder, *words)


def test_a_file_is_not_read_twice(
    theirs: Path, tmp_path: Path, tokenizer_folder: Path, refused: Callable[..., None]
) -> None:
    (tmp_path / "link.parquet").symlink_to(theirs / "web.parquet")
    tail = ["--tokenizer", tokenizer_folder]
    refused("which would double", theirs / "web.parquet", tmp_path / "link.parquet", *tail)
    copy = tmp_path / "web"
    copy.mkdir()
    shutil.copy(theirs / "web.parquet", copy / "a.parquet")
    refused("which would double", copy, copy / "a.parquet", *tail)


@pytest.mark.parametrize("shard_tokens", [1000, 1 << 26])
def test_a_document_is_not_taken_twice(
    theirs: Path,
    tmp_path: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    shard_tokens: int,
) -> None:
    shutil.copytree(theirs / "megatron/web/train", tmp_path / "copy")
    prefixes = [theirs / "megatron/web/train/tokens", tmp_path / "copy/tokens"]
    tail = ["--tokenizer", tokenizer_folder, "--shard-tokens", shard_tokens]
    refused("documents stand twice", *prefixes, *tail)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["doc_key"]), "want one column doc_key of"),
        (
            lambda table: table.set_column(0, "doc_key", pa.array(["x"] * table.num_rows)),
            "got doc_key: string",
        ),
        (
            lambda table: table.set_column(0, "doc_key", pa.nulls(table.num_rows, pa.binary(16))),
            "column doc_key: got a null",
        ),
        (lambda table: table.slice(1), "documents, want"),
        (None, "not a readable Arrow file"),
    ],
)
def test_names_of_documents_are_whole(
    theirs: Path,
    tmp_path: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    change: Callable[[pa.Table], pa.Table] | None,
    message: str,
) -> None:
    shutil.copytree(theirs / "megatron/web/train", tmp_path / "copy")
    path = tmp_path / "copy/documents.arrow"
    if change is None:
        path.write_bytes(path.read_bytes()[:100])
    else:
        rewrite(path, change)
    refused(message, tmp_path / "copy/tokens", "--tokenizer", tokenizer_folder)


def put(name: str, row: int, value: Callable[[Any], object]) -> Callable[[list[dict]], object]:
    """Another value of a column in one row."""
    return lambda rows: rows[row].update({name: value(rows[row][name])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("num_tokens", 1, lambda _: None), "row 1: num_tokens is null"),
        (put("num_tokens", 1, lambda _: WIDTH + 1), "row 1: num_tokens is not 1 to 16"),
        (put("num_bytes", 1, lambda _: -1), "row 1: num_bytes is below 0"),
        (put("doc_start", 1, lambda _: []), "row 1: doc_token_start is not as long"),
        (put("doc_start", 1, lambda _: None), "row 1: doc_start is null"),
        (put("doc_start", 1, lambda old: [1, *old[1:]]), "row 1: its first piece"),
        (put("doc_token_start", 1, lambda old: [None, *old[1:]]), "doc_token_start holds a null"),
        (put("doc_key", 1, lambda old: [*old, b"x" * 16]), "row 1: doc_key is not as long"),
        (put("doc_key", 1, lambda old: [None, *old[1:]]), "row 1: a key without a text hash"),
        (put("tokens", 1, lambda _: [600] * WIDTH), "row 1: its ids are not of this tokenizer"),
        (put("loss_mask", 1, lambda _: [1]), "row 1: its loss_mask has not 16 values"),
        (put("loss_mask", 1, lambda _: [2] * WIDTH), "row 1: its loss_mask has values"),
        (lambda rows: rows.pop(1), "from its first token to its last"),
        (lambda rows: rows.append(rows[1]), "from its first token to its last"),
    ],
)
def test_packed_rows_are_whole(
    theirs: Path,
    tmp_path: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    change: Callable[[list[dict]], object],
    message: str,
) -> None:
    table = pq.read_table(theirs / "parquet/web/train/part-00000.parquet")
    rows = table.to_pylist()
    assert rows[1]["doc_token_start"][0] > 0  # so a document lacks tokens without it
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "a.parquet")
    refused(message, tmp_path / "a.parquet", "--tokenizer", tokenizer_folder)


def test_padding_of_another_tokenizer_is_refused(
    theirs: Path, tmp_path: Path, tokenizer_folder: Path, refused: Callable[..., None]
) -> None:
    table = pq.read_table(theirs / "parquet/web/train/part-00000.parquet")
    rows = table.to_pylist()
    padded = next(n for n, row in enumerate(rows) if row["num_tokens"] < WIDTH)
    rows[padded]["tokens"][-1] = 77
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "a.parquet")
    message = f"row {padded}: its padding is not this tokenizer's"
    refused(message, tmp_path / "a.parquet", "--tokenizer", tokenizer_folder)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("num_tokens", pa.int64()), ("tokens", pa.list_(pa.uint16())), ("doc_key", None)],
)
def test_columns_of_another_type_are_refused_before_anything_is_read(
    theirs: Path,
    tmp_path: Path,
    tokenizer_folder: Path,
    refused: Callable[..., None],
    name: str,
    kind: pa.DataType | None,
) -> None:
    files = sorted((theirs / "parquet/web/train").glob("*.parquet"))
    (tmp_path / "web").mkdir()
    shutil.copy(files[0], tmp_path / "web/a.parquet")
    table = pq.read_table(files[1])
    place = table.schema.get_field_index(name)
    table = (
        table.drop_columns([name])
        if kind is None
        else table.set_column(place, name, table[name].cast(kind))
    )
    pq.write_table(table, tmp_path / "web/b.parquet")
    refused(f"b.parquet: column {name}: got", tmp_path / "web", "--tokenizer", tokenizer_folder)


@pytest.mark.parametrize("target", [".", "new/..", ""])
def test_the_folder_that_a_command_runs_in_is_not_replaced(
    theirs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run("import", theirs / "megatron", "--to", target) == 2
    assert "is the folder that this runs in" in capsys.readouterr().err
    assert run("export", theirs / "out", "--format", "mds", "--to", target) == 2
    assert not list((tmp_path / "empty").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def in_validation(out: Path, index: ShardIndex) -> ShardIndex:
    """A part of train, in validation too."""
    (first, *_) = (shard for shard in index.shards if shard.split == "train")
    path = "web/validation/part-00009.arrow"
    shutil.copy(find_shards(out) / first.path, find_shards(out) / path)
    return replace(index, shards=(*index.shards, replace(first, path=path, split="validation")))


def miscounted(_: Path, index: ShardIndex) -> ShardIndex:
    first, *others = index.shards
    return replace(index, shards=(replace(first, num_documents=1), *others))


def another_tokenizer(out: Path, index: ShardIndex) -> ShardIndex:
    path = out / "tokenizer/tokenizer.json"
    path.write_text(path.read_text() + "\n")
    return index


def no_tokenizer(out: Path, index: ShardIndex) -> ShardIndex:
    shutil.rmtree(out / "tokenizer")
    return index


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (in_validation, ["documents stand twice", "texts stand in train and in validation"]),
        (miscounted, ["documents, the index says 1"]),
        (another_tokenizer, ["tokenizer.json: its fingerprint is"]),
        (no_tokenizer, ["tokenizer.json: missing"]),
        (
            lambda _, index: replace(index, sequence_tokens=32),
            ["rows of 16 tokens, the index says"],
        ),
    ],
)
def test_verify_checks_what_it_promises_of_an_imported_set(
    theirs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path, ShardIndex], ShardIndex],
    messages: list[str],
) -> None:
    out = tmp_path / "out"
    shutil.copytree(theirs / "out", out)
    assert run("verify", out) == 0
    write_index(find_shards(out), change(out, read_index(out)))
    assert run("verify", out) == 1
    said = capsys.readouterr().err
    assert all(message in said for message in messages)
