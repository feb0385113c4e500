"""`prepare import`: a token set of others becomes shards that `train` takes, token by token."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import LlamaConfig

import training.cli
from pipeline.cli import main
from pipeline.formats.documents import read_documents
from pipeline.formats.megatron import MegatronWriter
from pipeline.shards import ShardIndex, ShardRows, find_shards, read_index
from tests.pipeline.corpora import Corpus
from tests.pipeline.formats.outputs import is_erased, is_learned, read_table, tokenised

WIDTH = 64
DOCUMENTS = [[(7 * n + k) % 500 + 1 for k in range(n % 150)] for n in range(200)]


def run(*words: object) -> int:
    return main([str(word) for word in words])


def megatron(prefix: Path, documents: list[list[int]], dtype: str = "int32") -> Path:
    writer = MegatronWriter(prefix, np.dtype(dtype))
    values = np.array([token for ids in documents for token in ids], dtype)
    writer.add(values, np.array([len(ids) for ids in documents]))
    writer.close()
    return prefix


def documents_of(out: Path, split: str = "train") -> list[tuple[bytes, list[int], list[int]]]:
    """Key, ids and mask of each document of a split."""
    found = []
    for shards in read_index(out).select(split).values():
        for shard in shards:
            part = read_documents(find_shards(out) / shard.path)
            learned = np.ones_like(part.values) if part.learned is None else part.learned
            for n, (start, end) in enumerate(zip(part.offsets[:-1], part.offsets[1:], strict=True)):
                ids, mask = part.values[start:end].tolist(), learned[start:end].tolist()
                found.append((part.keys[n].tobytes(), ids, mask))
    return found


def hashes(index: ShardIndex) -> dict[str, str]:
    return {shard.path: shard.sha256 for shard in index.shards}


@pytest.fixture
def made(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """Shards of a Megatron dataset of int32, a fifth of it held out."""
    prefix = megatron(tmp_path / "theirs", DOCUMENTS)
    options = ["--tokenizer", tokenizer_folder, "--validation-fraction", 0.2]
    options += ["--sequence-tokens", WIDTH, "--shard-tokens", 3000, "--source", "web"]
    assert run("import", f"{prefix}.idx", "--to", tmp_path / "out", *options) == 0
    return tmp_path / "out"


def test_every_document_of_a_megatron_dataset_is_there_once(made: Path) -> None:
    train, held_out = documents_of(made), documents_of(made, "validation")
    found = sorted(ids for _, ids, _ in train + held_out)
    assert found == sorted(ids for ids in DOCUMENTS if ids)
    assert 10 < len(held_out) < 80
    assert len({key for key, _, _ in train + held_out}) == len(found)
    index = read_index(made)
    assert index.dtype == "uint16"
    assert sorted(index.select("train")) == ["web"]
    assert len(index.select("train")["web"]) > 2
    assert sum(s.num_tokens for s in index.shards) == sum(map(len, DOCUMENTS))


def test_equal_documents_are_on_one_side(tmp_path: Path, tokenizer_folder: Path) -> None:
    documents = [ids for ids in DOCUMENTS if ids] * 2
    prefix = megatron(tmp_path / "a", documents)
    options = ["--tokenizer", tokenizer_folder, "--validation-fraction", 0.5]
    assert run("import", prefix, "--to", tmp_path / "out", *options) == 0
    train, held_out = (
        {tuple(ids) for _, ids, _ in documents_of(tmp_path / "out", split)}
        for split in ("train", "validation")
    )
    assert train
    assert held_out
    assert not train & held_out


def test_the_shards_do_not_depend_on_the_chunks(
    made: Path, tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.formats.megatron.CHUNK_TOKENS", 50)
    monkeypatch.setattr("pipeline.formats.megatron.CHUNK_DOCUMENTS", 7)
    options = ["--tokenizer", tokenizer_folder, "--validation-fraction", 0.2]
    options += ["--sequence-tokens", WIDTH, "--shard-tokens", 3000, "--source", "web"]
    assert run("import", tmp_path / "theirs", "--to", tmp_path / "again", *options) == 0
    assert hashes(read_index(tmp_path / "again")) == hashes(read_index(made))


def test_verify_reads_imported_shards_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", made) == 0
    path = made / "shards/web/train/part-00001.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert run("verify", made) == 1
    assert "part-00001.arrow: sha256 is" in capsys.readouterr().err
    index = json.loads((made / "shards/index.json").read_text())
    index["shards"][0]["num_rows"] += 1
    index["tokenizer"]["num_ids"] = 400
    (made / "shards/index.json").write_text(json.dumps(index))
    assert run("verify", made) == 1
    told = capsys.readouterr().err
    assert "part-00000.arrow: num_rows is" in told
    assert "its tokenizer has 400" in told


@pytest.mark.parametrize("command", ["erase", "refilter", "explain"])
def test_what_cannot_be_done_with_an_import_is_to_be_done_where_it_came_from(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "ids.txt").write_text("d0\n")
    before = sorted(path for path in made.rglob("*") if path.name != "lock")
    words = {
        "erase": ["--ids", tmp_path / "ids.txt"],
        "refilter": ["--set", "filters.length.min_chars=3"],
        "explain": ["d0"],
    }
    assert run(command, made, *words[command]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "made by `prepare import`" in said
    assert "do it there, then export and import anew" in said
    assert sorted(path for path in made.rglob("*") if path.name != "lock") == before


def test_imported_shards_train(made: Path, tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=600,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=WIDTH,
    )
    config.save_pretrained(tmp_path / "model")
    model = json.dumps({"config": str(tmp_path / "model"), "init": "random"})
    arguments = ["--shards", str(made), "--out", str(tmp_path / "run"), f"--set=model={model}"]
    arguments += ["--set=steps=2", "--set=batch_rows=4", "--set=eval_every=1"]
    assert training.cli.main(arguments) == 0
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(5 < line["loss"] < 8 for line in steps)
    assert any(line["kind"] == "eval" for line in lines)


@pytest.mark.parametrize("masks", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_export_to_parquet_comes_back_byte_by_byte(
    corpus: Corpus, masked: Path, tmp_path: Path, masks: bool
) -> None:
    out = masked if masks else corpus.out
    assert run("export", out, "--format", "parquet", "--to", tmp_path / "p") == 0
    assert run("import", tmp_path / "p", "--to", tmp_path / "back") == 0
    assert read_index(tmp_path / "back").fingerprint()
    for shard in read_index(out).shards:
        wanted = read_table(find_shards(out) / shard.path)
        assert read_table(tmp_path / "back/shards" / shard.path).equals(wanted)
    if not masks:  # the copy with masks was not cut into blocks as packing cuts them
        assert hashes(read_index(tmp_path / "back")) == hashes(read_index(out))
        assert set(read_index(tmp_path / "back").shards) == set(read_index(out).shards)


def test_an_export_to_megatron_comes_back_with_keys_masks_and_bytes(
    masked: Path, corpus: Corpus, tmp_path: Path
) -> None:
    assert run("export", masked, "--format", "megatron", "--to", tmp_path / "m") == 0
    assert run("import", tmp_path / "m", "--to", tmp_path / "back") == 0
    back = tmp_path / "back"
    assert sorted(read_index(back).select("train")) == sorted(read_index(masked).select("train"))
    wanted = tokenised(corpus.out, "general", "train")
    general = {key: (ids, mask) for key, ids, mask in documents_of(back) if key in wanted}
    kept = {key: ids for key, ids in wanted.items() if not is_erased(key)}
    assert {key: ids for key, (ids, _) in general.items()} == kept
    for key, (ids, mask) in general.items():
        assert mask == [is_learned(key, n) for n in range(len(ids))]
    assert read_index(back).sequence_tokens == WIDTH


def test_bytes_are_those_of_the_text_though_only_ids_came(corpus: Corpus, tmp_path: Path) -> None:
    assert run("export", corpus.out, "--format", "megatron", "--to", tmp_path / "m") == 0
    assert run("import", tmp_path / "m", "--to", tmp_path / "back") == 0
    for split in ("train", "validation"):
        wanted = read_index(corpus.out).select(split)
        for name, shards in read_index(tmp_path / "back").select(split).items():
            assert sum(s.num_bytes for s in shards) == sum(s.num_bytes for s in wanted[name])
            assert sum(s.num_documents for s in shards) == sum(
                s.num_documents for s in wanted[name]
            )


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64())])
def test_parquet_with_a_list_of_ids_a_row(
    tmp_path: Path, tokenizer_folder: Path, kind: pa.DataType
) -> None:
    masks = [None if n % 3 else [k % 2 for k in range(len(i))] for n, i in enumerate(DOCUMENTS)]
    table = pa.table({"input_ids": pa.array(DOCUMENTS, kind), "loss_mask": masks})
    pq.write_table(table.slice(0, 90), tmp_path / "part-0.parquet")
    pq.write_table(table.slice(90), tmp_path / "part-1.parquet")
    options = ["--tokenizer", tokenizer_folder, "--sequence-tokens", WIDTH, "--source", "q"]
    assert run("import", tmp_path, "--to", tmp_path / "out", *options) == 0
    found = sorted((ids, mask) for _, ids, mask in documents_of(tmp_path / "out"))
    wanted = [(i, m or [1] * len(i)) for i, m in zip(DOCUMENTS, masks, strict=True) if i]
    assert found == sorted(wanted)
    rows = ShardRows(tmp_path / "out/shards/q/train/part-00000.arrow")
    learned = rows.blocks[0].learned
    assert learned is not None
    assert not any(learned[row, n:].any() for row, n in enumerate(rows.num_tokens))


def test_sets_of_one_name_keep_their_documents_apart(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    prefixes = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        prefixes.append(megatron(tmp_path / folder / "text_document", DOCUMENTS))
    options = ["--tokenizer", tokenizer_folder, "--source", "both"]
    assert run("import", *prefixes, "--to", tmp_path / "out", *options) == 0
    found = documents_of(tmp_path / "out")
    assert len({key for key, _, _ in found}) == len(found) == 2 * sum(map(bool, DOCUMENTS))


def test_rows_of_one_length_stay_rows(tmp_path: Path, tokenizer_folder: Path) -> None:
    ids = np.arange(10 * WIDTH, dtype=np.int32).reshape(10, WIDTH) % 600
    tokens = pa.FixedSizeListArray.from_arrays(pa.array(ids.reshape(-1)), WIDTH)
    pq.write_table(pa.table({"mine": tokens}), tmp_path / "rows.parquet")
    options = ["--column", "mine", "--tokenizer", tokenizer_folder, "--sequence-tokens", WIDTH]
    assert run("import", tmp_path / "rows.parquet", "--to", tmp_path / "out", *options) == 0
    (block,) = ShardRows(tmp_path / "out/shards/rows/train/part-00000.arrow").blocks
    assert np.array_equal(block.tokens, ids)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[1, 2], [3, 600]], "document 1: got the id 600, want 0 to 599"),
        ([[1, 2], [-1]], "document 1: got the id -1, want 0 to 599"),
        ([[]], "the sets hold no tokens"),
    ],
)
def test_ids_of_another_tokenizer_are_refused_and_leave_nothing(
    tmp_path: Path,
    tokenizer_folder: Path,
    capsys: pytest.CaptureFixture[str],
    documents: list[list[int]],
    message: str,
) -> None:
    prefix = megatron(tmp_path / "a", documents)
    assert run("import", prefix, "--to", tmp_path / "out", "--tokenizer", tokenizer_folder) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.idx"]


KILLED = """
import os, signal, sys
import pipeline.formats.importing as importing
from pipeline.cli import main
importing.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def test_a_killed_import_leaves_no_shards(
    made: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    tail = ["--tokenizer", tokenizer_folder, "--sequence-tokens", WIDTH, "--source", "web"]
    words = ["import", tmp_path / "theirs", "--to", tmp_path / "again", *tail]
    command = [sys.executable, "-c", KILLED, *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "again").exists()
    assert list((tmp_path / ".partial-again").rglob("part-*.arrow"))
    assert run(*words, "--validation-fraction", 0.2, "--shard-tokens", 3000) == 0
    assert hashes(read_index(tmp_path / "again")) == hashes(read_index(made))
    assert not (tmp_path / ".partial-again").exists()


def test_what_is_no_token_set_is_refused(
    corpus: Corpus, tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tail = ["--to", tmp_path / "out", "--tokenizer", tokenizer_folder]
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    pq.write_table(pa.table({"tokens": [[1], None]}), tmp_path / "null.parquet")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    prefix = megatron(tmp_path / "a", DOCUMENTS)
    assert run("export", corpus.out, "--format", "mds", "--to", tmp_path / "mds") == 0
    for path, message in (
        (tmp_path / "nowhere", "no token set; want a Megatron prefix"),
        (tmp_path / "text.parquet", "got the columns text (string); want lists of integers"),
        (tmp_path / "null.parquet", "column tokens: row 1: got a null"),
        (tmp_path / "no.parquet", "not a Parquet file"),
        (tmp_path / "mds", "MDS is written, not read"),
    ):
        assert run("import", path, *tail) == 2
        assert message in capsys.readouterr().err
    assert run("import", prefix, prefix, *tail) == 2
    assert run("import", prefix, f"{prefix}.bin", *tail) == 2
    capsys.readouterr()
    assert run("import", prefix, prefix, *tail) == 2
    assert "got a path twice" in capsys.readouterr().err
    assert run("import", prefix, "--to", tmp_path / "out") == 2
    assert "--tokenizer: got none" in capsys.readouterr().err
    assert run("import", prefix, *tail, "--sequence-tokens", 4) == 2
    assert "--sequence-tokens: got 4" in capsys.readouterr().err
    assert run("import", prefix, *tail, "--strategy", "tight") == 2
    assert "--strategy: got 'tight'; Input should be 'best_fit'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_sidecars_of_another_export_are_refused(
    masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", masked, "--format", "megatron", "--to", tmp_path / "m") == 0
    for name in ("mask.idx", "mask.bin", "documents.arrow"):
        copy = tmp_path / name
        shutil.copytree(tmp_path / "m", copy)
        folder = copy / "general/train"
        if name == "documents.arrow":
            shutil.copy(copy / "domain/train/long" / name, folder / name)
        else:
            megatron(folder / "mask", [[1]], "uint8")
        assert run("import", copy, "--to", tmp_path / "out") == 2
        assert "export again" in capsys.readouterr().err


def test_an_export_cannot_lead_out_of_its_folder(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", corpus.out, "--format", "megatron", "--to", tmp_path / "m") == 0
    record = json.loads((tmp_path / "m/export.json").read_text())
    for change in ({"path": "../m/general/train"}, {"source": "../../escaped"}, {"split": "x"}):
        values = record | {"sets": [record["sets"][0] | change]}
        (tmp_path / "m/export.json").write_text(json.dumps(values))
        assert run("import", tmp_path / "m", "--to", tmp_path / "deep/er/out") == 2
        assert "export.json" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_source_name_is_a_folder_name(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = megatron(tmp_path / "a", DOCUMENTS)
    tail = ["--to", tmp_path / "out", "--tokenizer", tokenizer_folder, "--source", "../up"]
    assert run("import", prefix, *tail) == 2
    assert "--source: got '../up'" in capsys.readouterr().err
