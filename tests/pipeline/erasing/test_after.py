"""What reads an output after an erasure: trace, explain, export, `datasets`, train."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pipeline.cli import main
from pipeline.shards import read_index
from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import copied, document, erase, parts, removed
from training.batch import IGNORED, make_batch
from training.cli import main as train
from training.sources.corpus import Corpus as Rows
from training.sources.corpus import open_shards


@pytest.fixture(scope="module")
def survivor(original: Corpus) -> tuple[str, str]:
    """A document that stays in the shards, and a near-duplicate that went for it."""
    near, stays = removed(original, "near_duplicate")[0]
    return stays, near


@pytest.fixture(scope="module")
def key(original: Corpus, survivor: tuple[str, str]) -> bytes:
    found: bytes = document(original, survivor[0], "key")
    return found


@pytest.fixture(scope="module")
def erased(
    original: Corpus, survivor: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Corpus:
    corpus = copied(original, tmp_path_factory.mktemp("after") / "copy")
    assert erase(corpus, survivor[0]) == 0
    return corpus


def _row_of(original: Corpus, key: bytes) -> tuple[str, int, int, int]:
    """Part, row, and the places of a document's first piece."""
    for path, table in parts(original.out).items():
        for number, row in enumerate(table.to_pylist()):
            if key in row["doc_key"]:
                piece = row["doc_key"].index(key)
                ends = [*row["doc_start"][1:], row["num_tokens"]]
                return path, number, row["doc_start"][piece], ends[piece]
    raise AssertionError("no such document")


def test_trace_says_that_a_piece_was_erased(
    original: Corpus, erased: Corpus, key: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path, row, start, _ = _row_of(original, key)
    source, split, stratum, part = path.split("/")
    where = ["--source", source, "--split", split, "--stratum", stratum, "--part", part]
    assert main(["trace", str(erased.out), *where, "--row", str(row)]) == 0
    assert "erased" in capsys.readouterr().out
    main(["trace", str(erased.out), *where, "--row", str(row), "--token", str(start)])
    told = capsys.readouterr()
    assert "erased" in told.out + told.err


def test_explain_does_not_know_it_and_still_explains_others(
    erased: Corpus, survivor: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(erased.out), survivor[0], "--json"]) == 1
    assert main(["explain", str(erased.out), survivor[1], "--json"]) == 0
    story = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert story["deduplication"]["removal"]["survivor"]["id"] is None
    assert main(["explain", str(erased.out), survivor[1]]) == 0
    assert main(["duplicates", str(erased.out)]) == 0
    assert main(["quarantine", str(erased.out)]) in (0, 1)


def test_what_is_left_is_told_where_a_name_is_unknown(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(corpus, "general-2.jsonl#0", "d3") == 0
    capsys.readouterr()
    assert main(["explain", str(corpus.out), "general-2.jsonl#0"]) == 1
    told = capsys.readouterr().out
    assert "1 row is quarantined" in told or "1 rows are quarantined" in told
    assert "#-1" not in told


@pytest.mark.parametrize("form", ["parquet", "megatron", "mds"])
def test_an_export_leaves_it_out(erased: Corpus, key: bytes, tmp_path: Path, form: str) -> None:
    to = str(tmp_path / "export")
    assert main(["export", str(erased.out), "--format", form, "--to", to]) == 0
    data = b"".join(path.read_bytes() for path in Path(to).rglob("*") if path.is_file())
    assert key not in data
    assert key.hex().encode() not in data


def test_a_trainer_learns_nothing_of_it(original: Corpus, erased: Corpus, key: bytes) -> None:
    sets = open_shards([erased.out]), open_shards([original.out])
    after, before = (Rows(each, "train") for each in sets)
    numbers = np.arange(before.num_rows)
    assert after.num_rows == before.num_rows
    old, new = before.gather(numbers), after.gather(numbers)
    width = before.sequence_tokens
    lengths = np.diff(old.pieces, append=old.tokens.size)
    is_it = (old.keys == np.frombuffer(key, "<u8")).all(axis=1)
    gone = np.repeat(is_it, lengths) & (np.repeat(np.arange(len(lengths)), lengths) >= 0)
    padding = (np.arange(width) >= old.num_tokens[:, None]).reshape(-1)
    gone &= ~padding
    if not gone.any():
        pytest.skip("the document validates")
    was, now = make_batch(old, width), make_batch(new, width)
    assert not now.is_learned.reshape(-1)[torch.from_numpy(gone)].any()
    labels = now.labels.reshape(-1)
    assert (labels[np.flatnonzero(gone)] == IGNORED).all()
    others = torch.from_numpy(~gone & ~np.roll(gone, -1))
    assert torch.equal(labels[others], was.labels.reshape(-1)[others])
    assert torch.equal(now.position_ids, was.position_ids)


def _model(folder: Path, num_ids: int) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=num_ids,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_run_over_the_shards_trains_but_is_not_resumed_across_an_erasure(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _model(tmp_path / "model", read_index(corpus.out).tokenizer.num_ids)
    command = [f"--set=model={model}", "--shards", str(corpus.out), "--out", str(tmp_path / "run")]
    sets = ["steps=4", "batch_rows=4", "lr.peak=0.01", "save_every=2", "eval_every=2"]
    command += [f"--set={value}" for value in sets]
    assert train(command) == 0
    assert erase(corpus, "d3", "g5") == 0
    capsys.readouterr()
    assert train(command) != 0
    told = capsys.readouterr().err
    assert "erased" in told
    assert "start a new run" in told
    command[command.index("--out") + 1] = str(tmp_path / "second")
    assert train(command) == 0


def test_training_text_and_validation_text_that_are_gone_are_no_leak(corpus: Corpus) -> None:
    """Erased pieces of both splits have the same hash: none."""
    from training.sources.leakage import check_no_leakage

    wanted = {}
    for path, table in parts(corpus.out).items():
        _, split, *_ = path.split("/")
        keys = [key for keys in table["doc_key"].to_pylist() for key in keys]
        wanted.setdefault(split, keys[0])
    assert set(wanted) == {"train", "validation"}
    assert erase(corpus, *(key.hex() for key in wanted.values())) == 0
    check_no_leakage(open_shards([corpus.out]))
    assert main(["verify", str(corpus.out)]) == 0


def test_the_survivors_are_read_as_before(
    original: Corpus, corpus: Corpus, survivor: tuple[str, str]
) -> None:
    """As `prepare fit-lm` reads them, where a removed row was erased too."""
    from pipeline.ngrams.corpus import PreparedCorpus

    def texts(corpus: Corpus) -> list[str]:
        prepared = PreparedCorpus(corpus.out, (), None)
        return [
            text for part in prepared.batches(0.0) for side in part for text in side.to_pylist()
        ]

    gone = document(original, survivor[0], "text")
    assert gone in texts(original)
    assert erase(corpus, survivor[0], near=True) == 0
    assert sorted(texts(corpus)) == sorted(text for text in texts(original) if text != gone)
