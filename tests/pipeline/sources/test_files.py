"""Paths, globs and URLs: found, named alike on every machine, and refused in one message."""

import gzip
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from pipeline.sources import READERS, Slice, SourceConfig, open_reader
from tests.pipeline.sources.conftest import collect, read_all, reader_of

LINE = b'{"text": "a"}\n'


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*.jsonl"], ["a.jsonl", "b[1].jsonl"]),
        (["**/*.jsonl"], ["a.jsonl", "b[1].jsonl", "sub/deep/d.jsonl"]),
        (["sub/**"], ["sub/c.gz", "sub/deep/d.jsonl"]),
        (["b[1].jsonl"], ["b[1].jsonl"]),
        (["sub/c.gz", "a.jsonl", "./a.jsonl", "*.jsonl"], ["a.jsonl", "b[1].jsonl", "sub/c.gz"]),
    ],
)
def test_globs_give_each_file_once_sorted_and_relative_to_the_manifest(
    tmp_path: Path, patterns: list[str], names: list[str]
) -> None:
    for name in ("a.jsonl", "b[1].jsonl", "sub/c.gz", "sub/deep/d.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LINE)
    found = reader_of(tmp_path, format="jsonl", paths=patterns)
    assert [item.relative for item in found.inputs()] == names
    assert len(read_all(found).documents) == len(names)


def test_a_path_outside_of_the_folder_is_named_from_it(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(LINE)
    (tmp_path / "m").mkdir()
    for path in ("../x.jsonl", str(tmp_path / "x.jsonl")):
        (item,) = reader_of(tmp_path / "m", format="jsonl", paths=[path]).inputs()
        assert item.relative == "../x.jsonl"
        assert item.size_bytes == len(LINE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no/*.jsonl", r"paths\.0 'no/\*\.jsonl': no file matches"),
        ("gone.jsonl", "there is no such file"),
        ("folder", "got a folder.*folder/\\*\\*/\\*"),
        ("memory://nothing/*.x", "no file matches"),
        ("memory://nothing", "no such file"),
        ("nope://bucket/a", "want a URL that fsspec knows"),
    ],
)
def test_a_path_without_a_file_is_refused_in_one_message(
    tmp_path: Path, memory: Any, path: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=message) as caught:
        reader_of(tmp_path, format="jsonl", paths=[path]).inputs()
    assert str(caught.value).startswith("source 'domain'")


def test_a_file_that_vanishes_after_the_start_is_a_source_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LINE)
    found = reader_of(tmp_path, format="jsonl", paths=["a"])
    (item,) = found.inputs()
    (tmp_path / "a").unlink()
    with pytest.raises(SourceError, match="was there at the start"):
        list(found.read(Slice(input=item)))


def test_any_fsspec_url_is_read(tmp_path: Path, memory: Any) -> None:
    memory.pipe("/data/a.jsonl", LINE)
    memory.pipe("/data/deep/b.jsonl", gzip.compress(LINE * 2))
    (tmp_path / "c.jsonl").write_bytes(LINE * 3)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("in/d.jsonl", LINE * 4)
    paths = [
        "memory://data/**/*.jsonl",
        f"file://{tmp_path}/c.jsonl",
        f"zip://in/*.jsonl::{tmp_path}/d.zip",
    ]
    found = reader_of(tmp_path, format="jsonl", paths=paths)
    counts = [len(collect(found.read(Slice(input=item))).documents) for item in found.inputs()]
    assert [item.relative for item in found.inputs()] == [
        f"file://{tmp_path}/c.jsonl",
        "memory:///data/a.jsonl",
        "memory:///data/deep/b.jsonl",
        f"zip://in/d.jsonl::{tmp_path}/d.zip",
    ]
    assert counts == [3, 1, 2, 4]


def test_parquet_is_read_from_a_url(tmp_path: Path, memory: Any) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    memory.pipe("/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert read_all(reader_of(tmp_path, format="parquet", paths=["memory://a.parquet"])).texts == [
        "a",
        "b",
    ]


def test_a_fingerprint_is_of_the_contents_not_of_name_or_time(tmp_path: Path) -> None:
    for name, data in (("a", LINE), ("b", LINE), ("c", LINE * 2)):
        (tmp_path / name).write_bytes(data)
    found = reader_of(tmp_path, format="jsonl", paths=["?"])
    first, second, third = (found.fingerprint(item) for item in found.inputs())
    assert first == second != third


@pytest.mark.parametrize("kind", READERS)
def test_readers_pickle(tmp_path: Path, kind: str) -> None:
    extra: dict[str, dict[str, Any]] = {
        "hf": {"dataset": "json"},
        "python-environment": {"part": "prose"},
    }
    config = SourceConfig(name="d", format=kind, **extra.get(kind, {"paths": ("a",)}))
    found = open_reader(config, tmp_path, 100)
    assert pickle.loads(pickle.dumps(found)) == found
