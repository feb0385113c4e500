"""docs/shards.md: its examples run on a real output, and it describes every column and key."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from pipeline.shards import shard_schema
from tests.pipeline.corpora import Corpus

PAGE = (Path(__file__).parents[2] / "docs" / "shards.md").read_text(encoding="utf-8")
MAX_LINES = 15


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    values: dict[str, Any] = {}
    exec(compile(code, "docs/shards.md", "exec"), values)
    return values


def test_the_example_reads_every_document_with_pyarrow_alone(
    prepared: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = examples()[0]
    assert len(code.splitlines()) <= MAX_LINES
    imported = re.findall(r"^(?:import|from) (.*)$", code, re.MULTILINE)
    assert imported == ["json", "pyarrow as pa"]
    values = run(code, prepared.folder, monkeypatch)
    assert max(map(len, values["pieces"].values())) > 2  # some are longer than a row
    index = json.loads((prepared.out / "shards" / "index.json").read_text())
    wanted = [s for s in index["shards"] if (s["source"], s["split"]) == ("domain", "train")]
    assert len(values["documents"]) == sum(shard["num_documents"] for shard in wanted)
    kept = {row["key"]: row["text"] for row in prepared.table("kept").to_pylist()}
    tokenizer = Tokenizer.from_file(str(prepared.out / "tokenizer" / "tokenizer.json"))
    for key, document in values["documents"].items():
        assert document == [*tokenizer.encode(kept[key]).ids, 0]
        assert tokenizer.decode(document) == kept[key]


def test_datasets_loads_the_parts_offline(
    prepared: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    loaded = run(examples()[1], prepared.folder, monkeypatch)["rows"]
    parts = sorted((prepared.out / "shards" / "domain" / "train").glob("*.arrow"))
    assert len(parts) > 1
    table = pa.concat_tables([pa.ipc.open_file(path.read_bytes()).read_all() for path in parts])
    assert loaded.to_list() == table.to_pylist()
    streamed = datasets.load_dataset(
        "arrow", data_files=[str(path) for path in parts], split="train", streaming=True
    )
    assert next(iter(streamed)) == table.slice(0, 1).to_pylist()[0]


def test_every_column_and_every_key_of_the_index_is_described(prepared: Corpus) -> None:
    index = json.loads((prepared.out / "shards" / "index.json").read_text())
    columns = shard_schema(16, pa.uint16(), loss_mask=True).names
    wanted = {*columns, *index, *index["tokenizer"], *index["shards"][0]}
    assert {name for name in wanted if f"`{name}`" not in PAGE} == set()
