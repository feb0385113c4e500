"""Datasets of Hugging Face's library, on local files, streamed and not."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from pipeline.sources import SourceConfig
from pipeline.sources.hf import HuggingFaceReader
from tests.pipeline.sources.conftest import read_all, reader_of


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shard in range(3):
        rows = [{"text": f"{shard}-{i} é", "n": i, "other": [i]} for i in range(700)]
        lines = (json.dumps(row) for row in rows)
        (tmp_path / f"{shard}.jsonl").write_text("\n".join(lines))
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{shard}.parquet")
    return tmp_path


TEXTS = [f"{shard}-{i} é" for shard in range(3) for i in range(700)]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("builder", "files"), [("json", "*.jsonl"), ("parquet", "*.parquet")])
def test_all_rows_come_in_order_streamed_or_not(
    folder: Path, builder: str, files: str, streaming: bool
) -> None:
    config: dict[str, Any] = {"dataset": builder, "data_files": (files,), "streaming": streaming}
    source = SourceConfig(name="d", format="hf", id_field="n", meta_fields=("other",), **config)
    found = HuggingFaceReader(source=source, base=folder, max_document_bytes=99, split_bytes=9000)
    items = found.inputs()
    assert len(items) == (3 if streaming else 1)
    assert sum(len(found.split(item)) for item in items) >= 3
    got = read_all(found)
    assert got.quarantined == []
    assert got.texts == TEXTS
    assert got.documents[701]["id"] == "1"
    assert got.documents[701]["meta"] == [("other", "[1]")]
    wanted = f"hf://{builder}/default/train" + ("/shard-00001-of-00003" if streaming else "")
    assert got.documents[701]["source_path"] == wanted
    assert got.documents[701]["source_row"] == (1 if streaming else 701)
    assert len({found.fingerprint(item) for item in items}) == len(items)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_dataset_saved_to_disk_is_read(tmp_path: Path, streaming: bool) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", None, "c" * 50]})
    rows.save_to_disk(str(tmp_path / "saved"))
    found = reader_of(tmp_path, limit=20, format="hf", dataset="saved", streaming=streaming)
    got = read_all(found)
    assert got.texts == ["a"]
    assert got.reasons == [(1, "null_text"), (2, "too_large")]
    assert len(found.fingerprint(found.inputs()[0])) == 32


def test_a_row_that_datasets_cannot_parse_ends_its_shard_and_is_counted(folder: Path) -> None:
    with (folder / "1.jsonl").open("a") as handle:
        handle.write("\nthis is not json")
    got = read_all(
        reader_of(folder, format="hf", dataset="json", data_files=["*.jsonl"], streaming=True)
    )
    assert [row["reason"] for row in got.quarantined] == ["unreadable"]
    assert got.texts[:700] == TEXTS[:700]
    assert got.texts[-700:] == TEXTS[-700:]


@pytest.mark.parametrize(
    "config",
    [
        {"dataset": "json", "data_files": ["gone*.json"]},
        {"dataset": "no/such"},
        {"dataset": "json", "data_files": ["0.jsonl"], "split": "valid"},
        {"dataset": "json", "data_files": ["0.jsonl"], "split": "valid", "streaming": True},
        {"dataset": "json", "data_files": ["broken"]},
    ],
)
def test_a_dataset_that_cannot_be_loaded_is_refused_before_any_work(
    folder: Path, config: dict[str, Any]
) -> None:
    (folder / "broken").write_text("no json")
    with pytest.raises(SourceError, match="source 'domain': dataset"):
        reader_of(folder, format="hf", **config).inputs()
