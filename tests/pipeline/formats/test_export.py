"""`prepare export`: every token, exactly, in three formats; or nothing."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.errors import ShardError, UsageError
from pipeline.formats.export import export
from pipeline.formats.megatron import MegatronReader
from pipeline.shards import SPLITS, ShardRows, find_shards, read_index
from tests.pipeline.corpora import Corpus
from tests.pipeline.formats import outputs, readers
from tests.pipeline.formats.outputs import is_erased, is_learned, read_table, tokenised


def documents(folder: Path, name: str = "tokens") -> list[list[int]]:
    return [
        chunk.values[start:end].tolist()
        for chunk in MegatronReader(folder / name).chunks()
        for start, end in zip(chunk.offsets[:-1], chunk.offsets[1:], strict=True)
    ]


def keys(folder: Path) -> list[bytes]:
    found: list[bytes] = read_table(folder / "documents.arrow")["doc_key"].to_pylist()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_documents_are_what_was_tokenised_in_all_splits_and_strata(
    corpus: Corpus, tmp_path: Path
) -> None:
    result = export(corpus.out, tmp_path / "m", "megatron")
    sets = {one.path: one for one in result.sets}
    assert sorted(sets) == [
        "domain/train/long",
        "domain/train/short",
        "domain/validation/long",
        "domain/validation/short",
        "general/train",
    ]
    for source, split in (("domain", "train"), ("domain", "validation"), ("general", "train")):
        found = {}
        for folder in (
            tmp_path / "m" / name for name in sets if name.startswith(f"{source}/{split}")
        ):
            found |= dict(zip(keys(folder), documents(folder), strict=True))
        assert found == tokenised(corpus.out, source, split)
    longest = max(len(ids) for ids in documents(tmp_path / "m/domain/train/long"))
    assert longest > 10 * 64
    assert all(len(ids) >= 300 for ids in documents(tmp_path / "m/domain/train/long"))
    assert not list((tmp_path / "m").rglob("mask.*"))


def test_documents_stand_where_their_first_token_stands(corpus: Corpus, tmp_path: Path) -> None:
    export(corpus.out, tmp_path / "m", "megatron", split="train")
    index, wanted = read_index(corpus.out), []
    for shard in index.select("train")["general"]:
        table = read_table(find_shards(corpus.out) / shard.path)
        for row_keys, starts in zip(
            table["doc_key"].to_pylist(), table["doc_token_start"].to_pylist(), strict=True
        ):
            wanted += [key for key, start in zip(row_keys, starts, strict=True) if start == 0]
    assert keys(tmp_path / "m/general/train") == wanted


@readers.needs("megatron.core")
def test_megatron_core_reads_documents_and_mask_side_by_side(masked: Path, tmp_path: Path) -> None:
    export(masked, tmp_path / "m", "megatron")
    folder = tmp_path / "m/general/train"
    tokens, mask = readers.read_megatron(folder, ["tokens", "mask"])
    wanted = tokenised(masked, "general", "train")
    kept = {key: ids for key, ids in wanted.items() if not is_erased(key)}
    assert 0 < len(kept) < len(wanted)
    found = zip(keys(folder), (ids.tolist() for ids in tokens), strict=True)
    assert dict(found) == kept
    assert tokens[0].dtype == np.uint16
    for key, learned in zip(keys(folder), mask, strict=True):
        assert learned.tolist() == [is_learned(key, n) for n in range(len(kept[key]))]


def test_an_erased_document_is_in_no_export_of_documents(masked: Path, tmp_path: Path) -> None:
    result = export(masked, tmp_path / "m", "megatron")
    found = {key for one in result.sets for key in keys(tmp_path / "m" / one.path)}
    assert found
    assert not any(map(is_erased, found))
    by_path = {one.path: one.has_mask for one in result.sets}
    # Where erasing is all that the mask was for, nothing is left to mask.
    assert by_path["general/train"]
    assert not by_path["domain/train/long"]


def test_where_every_document_is_erased_there_is_nothing_to_export(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "is_erased", lambda key: True)
    out = outputs.masked_copy(corpus.out, tmp_path / "out")
    with pytest.raises(ShardError, match="every document is erased"):
        export(out, tmp_path / "m", "megatron")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_mask_that_begins_in_a_later_part_is_as_long_as_the_tokens(
    corpus: Corpus, masked: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "out"
    shards = find_shards(corpus.out)
    subprocess.run(["cp", "-r", str(masked), str(mixed)], check=True)
    index = read_index(mixed)
    plain = {shard.path: shard for shard in read_index(corpus.out).shards}
    first = next(shard.path for shard in index.shards if shard.source == "general")
    (mixed / "shards" / first).write_bytes((shards / first).read_bytes())
    values = json.loads((mixed / "shards/index.json").read_text())
    for shard in values["shards"]:
        if shard["path"] == first:
            shard["sha256"] = plain[first].sha256
    (mixed / "shards/index.json").write_text(json.dumps(values))
    export(mixed, tmp_path / "m", "megatron")
    folder = tmp_path / "m/general/train"
    lengths = [len(ids) for ids in documents(folder)]
    mask = documents(folder, "mask")
    assert [len(ids) for ids in mask] == lengths
    assert all(mask[0])
    assert not all(all(learned) for learned in mask)


@readers.needs("streaming")
def test_streaming_reads_every_row_with_all_its_columns(masked: Path, tmp_path: Path) -> None:
    export(masked, tmp_path / "s", "mds")
    found = readers.read_streaming(tmp_path / "s/general/train", tmp_path)
    parts = [s for s in read_index(masked).shards if s.source == "general"]
    tables = [read_table(find_shards(masked) / shard.path) for shard in parts]
    for name in ("tokens", "num_tokens", "num_bytes", "doc_start", "doc_token_start"):
        wanted = [np.ravel(value) for t in tables for value in t[name].to_pylist()]
        assert len(found[name]) == len(wanted) > 100
        assert all(map(np.array_equal, found[name], wanted)), name
    for name in ("doc_key", "doc_text_hash"):
        wanted = [
            b"".join(k or bytes(16) for k in row) for t in tables for row in t[name].to_pylist()
        ]
        assert [row.tobytes() for row in found[name]] == wanted
    masks = [mask or [1] * 64 for t in tables for mask in t["loss_mask"].to_pylist()]
    assert [row.tolist() for row in found["loss_mask"]] == masks
    assert found["tokens"][0].dtype == np.uint16


def test_mds_files_are_cut_at_their_size_and_lose_no_row(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.formats.mds.SHARD_BYTES", 20_000)
    result = export(corpus.out, tmp_path / "s", "mds")
    for one in result.sets:
        index = json.loads((tmp_path / "s" / one.path / "index.json").read_text())
        assert sum(shard["samples"] for shard in index["shards"]) == one.num_rows
        for shard in index["shards"]:
            path = tmp_path / "s" / one.path / shard["raw_data"]["basename"]
            assert path.stat().st_size == shard["raw_data"]["bytes"]
            assert int.from_bytes(path.read_bytes()[:4], "little") == shard["samples"]


def test_datasets_reads_the_parquet_files_of_all_sets_at_once(masked: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    export(masked, tmp_path / "p", "parquet")
    found = load_dataset(
        "parquet",
        data_files={"train": str(tmp_path / "p/*/train/**/*.parquet")},
        cache_dir=str(tmp_path / "cache"),
        split="train",
    )
    parts = [s for s in read_index(masked).shards if s.split == "train"]
    rows = [r for s in parts for r in read_table(find_shards(masked) / s.path).to_pylist()]
    assert len(found) == len(rows) > 100
    order = sorted(rows, key=str)
    for row, wanted in zip(sorted((dict(row) for row in found), key=str), order, strict=True):
        assert row == wanted


def test_a_part_is_a_parquet_file_of_the_schema_of_the_shards(
    corpus: Corpus, tmp_path: Path
) -> None:
    export(corpus.out, tmp_path / "p", "parquet")
    for shard in read_index(corpus.out).shards:
        table = read_table(find_shards(corpus.out) / shard.path)
        found = pq.read_table((tmp_path / "p" / shard.path).with_suffix(".parquet"))
        assert found.cast(table.schema).equals(table)


@pytest.mark.parametrize("name", ["megatron", "mds", "parquet"])
def test_the_bytes_are_a_function_of_the_shards(masked: Path, tmp_path: Path, name: str) -> None:
    for target in ("a", "b"):
        export(masked, tmp_path / target, name)  # type: ignore[arg-type]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert "export.json" in files(tmp_path / "a")
    assert (tmp_path / "a/tokenizer/tokenizer.json").is_file()


@pytest.mark.parametrize("split", SPLITS)
def test_one_split_alone(corpus: Corpus, tmp_path: Path, split: str) -> None:
    result = export(corpus.out, tmp_path / "m", "megatron", split=split)
    assert {one.split for one in result.sets} == {split}


def test_a_split_without_rows_is_an_error_and_leaves_nothing(
    corpus: Corpus, tmp_path: Path
) -> None:
    values = json.loads((corpus.out / "shards/index.json").read_text())
    values["shards"] = [shard for shard in values["shards"] if shard["split"] == "train"]
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/index.json").write_text(json.dumps(values))
    with pytest.raises(ShardError, match="no rows of validation to export"):
        export(tmp_path, tmp_path / "m", "megatron", split="validation")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shards"]


def test_a_folder_without_shards_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [str(tmp_path / "nowhere"), "--format", "mds", "--to", str(tmp_path / "x")]
    assert main(["export", *wrong]) == 2
    assert "no such folder; give the `output` of a `prepare run`" in capsys.readouterr().err
    assert main(["export", str(tmp_path), *wrong[1:]]) == 1
    assert "no index.json here or in shards/" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_target_that_holds_something_is_refused_and_kept(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        export(corpus.out, tmp_path / "m", "megatron")
    assert files(tmp_path) == {"m/mine": b"mine"}
    with pytest.raises(UsageError, match="lies among the shards themselves"):
        export(corpus.out, corpus.out / "shards/x", "megatron")


def test_a_damaged_part_is_not_exported(corpus: Corpus, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(corpus.out), str(tmp_path / "out")], check=True)
    path = next((tmp_path / "out/shards/general").rglob("part-*.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="sha256 is"):
        export(tmp_path / "out", tmp_path / "m", "parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_pieces_that_do_not_join_up_are_an_error(corpus: Corpus, tmp_path: Path) -> None:
    from pipeline.files import file_hash
    from pipeline.formats.documents import read_documents

    subprocess.run(["cp", "-r", str(corpus.out), str(tmp_path / "out")], check=True)
    path = tmp_path / "out/shards/general/train/part-00000.arrow"
    before, rows = file_hash(path), ShardRows(path)
    start = int(np.flatnonzero(rows.blocks[0].token_starts > 0)[0])
    wanted = rows.blocks[0].token_starts.tobytes()
    data = path.read_bytes()
    at = data.index(wanted) + 8 * start
    path.write_bytes(data[:at] + (7).to_bytes(8, "little") + data[at + 8 :])
    assert file_hash(path) != before
    with pytest.raises(ShardError, match="do not join up at its token"):
        read_documents(path)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.formats.export import export
seen = []
def report(name):
    seen.append(name)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
export(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], report=report)
"""


@pytest.mark.parametrize("name", ["megatron", "mds"])
def test_a_killed_export_leaves_nothing_that_counts_and_the_next_one_ends(
    corpus: Corpus, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "to" / "m"
    command = [sys.executable, "-c", KILLED, str(corpus.out), str(target), name]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert files(tmp_path / "to/.partial-m")
    export(corpus.out, target, name)  # type: ignore[arg-type]
    export(corpus.out, tmp_path / "whole", name)  # type: ignore[arg-type]
    assert files(target) == files(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["m"]


FULL = """
import resource, sys
from pipeline.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["megatron", "mds", "parquet"])
def test_a_disk_that_takes_no_more_is_an_error_that_leaves_nothing(
    corpus: Corpus, tmp_path: Path, name: str
) -> None:
    words = ["export", str(corpus.out), "--format", name, "--to", str(tmp_path / "m")]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *words], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_two_exports_to_one_folder_the_second_stops(corpus: Corpus, tmp_path: Path) -> None:
    messages = []

    def meanwhile(name: str) -> None:
        with pytest.raises(UsageError, match="another process is writing it") as caught:
            export(corpus.out, tmp_path / "m", "mds")
        messages.append(str(caught.value))

    export(corpus.out, tmp_path / "m", "mds", report=meanwhile)
    assert len(messages) == 5
    assert (tmp_path / "m/export.json").is_file()


def test_the_command_tells_what_it_wrote(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--to", str(tmp_path / "m"), "--format", "megatron"]
    assert main(["export", str(corpus.out), *to, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "m/export.json").read_text()) | {
        "to": str(tmp_path / "m")
    }
    tokens = sum(shard.num_tokens for shard in read_index(corpus.out).shards)
    assert sum(one["num_tokens"] for one in told["sets"]) == tokens
    assert told["shards_fingerprint"] == read_index(corpus.out).fingerprint()
