"""`train` learns completions alone: its losses are those of plain torch on texts and masks.

Documents are tokenised and masked anew here, by `transformers`; of the shards only the places where
documents were cut are read, as docs/shards.md says.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline.explaining.output import open_output
from pipeline.shards import read_index
from tests.pipeline.corpora import docstrings
from tests.pipeline.here import run_here
from tests.pipeline.masks.conftest import CHATML, save_tokenizer
from tests.training.runs import metrics
from training.cli import main

WIDTH = 64
Learned = list[tuple[int, bool]]  # token ids, and whether each is to be learned


def write_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Prompts and conversations, every third longer than a row; by id."""
    rows: dict[str, dict[str, Any]] = {}
    for n, whole in enumerate(docstrings()[:36]):
        text = " ".join(whole.split())[: 900 if n % 3 == 0 else 90]
        at = [len(text) // 3, 0, len(text) - 5, len(text) - 1][n % 4]
        rows[f"p{n}"] = {"prompt": text[:at].strip() + " ", "completion": text[at:].strip()}
        cuts = [0, at // 2, at, len(text)]
        turns = [text[a:b].strip() or f"turn {n}" for a, b in pairwise(cuts)]
        roles = ["system", "user", "assistant"] if n % 2 else ["user", "assistant", "user"]
        messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
        rows[f"c{n}"] = {"messages": messages}
    for letter, name in (("p", "pairs"), ("c", "chat")):
        own = [{"id": key, **row} for key, row in rows.items() if key.startswith(letter)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    return rows


def manifest(source: str, strategy: str) -> dict[str, Any]:
    fields = {"messages_field": "messages"}
    if source == "pairs":
        fields = {"prompt_field": "prompt", "completion_field": "completion"}
    own = {"name": source, "format": "jsonl", "paths": [f"{source}.jsonl"], "id_field": "id"}
    return {
        "version": 1,
        "name": "masked",
        "output": "out",
        "sources": [{**own, **fields, "validation_fraction": 0.3}],
        "filters": [],
        "dedup": {"exact": False, "minhash": None},
        "tokenizer": {"path": "tokenizer"},
        "pack": {"sequence_tokens": WIDTH, "strategy": strategy},
    }


def tokenised(row: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> Learned:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    eos = tokenizer.eos_token_id
    if "prompt" in row:
        answer = [(token, True) for token in [*ids(row["completion"]), eos]]
        return [(token, False) for token in ids(row["prompt"])] + answer
    found: Learned = []
    is_answer = False
    for message in row["messages"]:
        is_answer = message["role"] == "assistant"
        found += [(token, False) for token in ids(f"<|im_start|>{message['role']}\n")]
        found += [(token, is_answer) for token in ids(f"{message['content']}<|im_end|>")]
        found += [(token, False) for token in ids("\n")]
    return [*found, (eos, is_answer)]


def pieces(out: Path, split: str) -> list[tuple[bytes, int, int]]:
    """Key, first token and length of each piece of the shards."""
    found = []
    for shard in read_index(out).shards:
        if shard.split == split:
            with pa.memory_map(str(out / "shards" / shard.path)) as source:
                rows = pa.ipc.open_file(source).read_all().drop_columns(["tokens"]).to_pylist()
            for row in rows:
                starts = [*row["doc_start"], row["num_tokens"]]
                lengths = [b - a for a, b in pairwise(starts)]
                found += zip(row["doc_key"], row["doc_token_start"], lengths, strict=True)
    return found


def mean_loss(
    model: LlamaForCausalLM, documents: dict[bytes, Learned], cut: list[tuple[bytes, int, int]]
) -> tuple[float, int]:
    """Nats per learned token that has one before it in its piece; how many there are."""
    nats, num = 0.0, 0
    for key, first, length in cut:
        own = documents[key][first : first + length]
        assert len(own) == length
        ids = torch.tensor([token for token, _ in own])
        learned = torch.tensor([is_learned for _, is_learned in own])[1:]
        if length > 1:
            with torch.no_grad():
                logits = model(ids[None]).logits[0, :-1]
            each = cross_entropy(logits, ids[1:], reduction="none")
            nats, num = nats + float(each[learned].sum()), num + int(learned.sum())
    return nats / num, num


def tiny_model(folder: Path, num_ids: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=num_ids, num_attention_heads=2, initializer_range=0.3, **sizes)
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("source", "strategy"), [("pairs", "best_fit"), ("chat", "concat"), ("chat", "pad")]
)
def test_the_losses_of_a_run_are_those_of_what_is_to_be_learned(
    tmp_path: Path, source: str, strategy: str
) -> None:
    save_tokenizer(tmp_path / "tokenizer", CHATML)
    rows = write_rows(tmp_path)
    run_here(tmp_path, manifest(source, strategy))
    out = tmp_path / "out"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "tokenizer")
    documents = {}
    for item in open_output(out).items:
        with pa.memory_map(str(item.paths["kept"])) as file:
            kept = pa.ipc.open_file(file).read_all().select(["key", "id"]).to_pylist()
        documents |= {row["key"]: tokenised(rows[row["id"]], tokenizer) for row in kept}
    assert len(documents) == 36
    model = tiny_model(tmp_path / "model", len(tokenizer))
    num_rows = sum(s.num_rows for s in read_index(out).shards if s.split == "train")
    sets = {
        "model": tmp_path / "model",
        "steps": 1,
        "batch_rows": num_rows,  # one step is one epoch
        "eval_every": 1,
        "save_every": 1,
        "lr.peak": 1e-3,
        "precision": "fp32",
    }
    arguments = ["--shards", str(out), "--out", str(tmp_path / "run")]
    assert main([*arguments, *(f"--set={key}={value}" for key, value in sets.items())]) == 0

    trained, held_out = pieces(out, "train"), pieces(out, "validation")
    assert any(first > 0 for _, first, _ in trained)  # documents that are cut
    assert {key for key, *_ in trained} | {key for key, *_ in held_out} == set(documents)
    loss, num_targets = mean_loss(model, documents, trained)
    (step,) = metrics(tmp_path / "run", "step")
    assert step["num_targets"] == num_targets
    assert step["loss"] == pytest.approx(loss, rel=1e-5)
    assert 0 < num_targets < sum(length for *_, length in trained) * 0.8
    loss, num_targets = mean_loss(model, documents, held_out)
    score = metrics(tmp_path / "run", "eval")[0]["sources"][source]
    assert score["loss"] == pytest.approx(loss, rel=1e-5)
    assert score["num_targets"] == num_targets
