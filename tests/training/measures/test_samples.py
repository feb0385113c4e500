"""Samples: the same whatever happened to the run, and nothing that the run notices."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import WIDTH, tiny_gpt2, tiny_llama
from tests.training.runs import Train, losses, metrics, stop_after
from training.config.evaluation import MAX_SAMPLES, Samples
from training.forward import LossModule
from training.measures.prompts import document_prompts
from training.objectives.clm import CausalLanguageModelling
from training.sources.corpus import Corpus, open_shards


def samples(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("width", [2, 8, 16])
def test_shorter_sequences_than_the_shards_have_shorter_prompts(
    spoken: Train, tmp_path: Path, width: int
) -> None:
    assert spoken(sequence_tokens=width, steps=2) == 0
    for line in samples(tmp_path / "run"):
        assert line["num_tokens"] + len(line["prompt"].split()) <= width
        assert line["prompt"]


def test_each_prompt_is_continued_at_every_evaluation(spoken: Train, tmp_path: Path) -> None:
    assert spoken() == 0
    found = samples(tmp_path / "run")
    assert sorted({line["step"] for line in found}) == [0, 4, 8]
    prompts = [(line["source"], line["prompt"]) for line in found if line["step"] == 0]
    assert [source for source, _ in prompts] == ["domain", "domain", "general", "general"]
    for step in (4, 8):
        assert [(v["source"], v["prompt"]) for v in found if v["step"] == step] == prompts
    assert all(len(line["text"].split()) <= WIDTH for line in found)
    times = [line for line in metrics(tmp_path / "run", "time") if "samples_seconds" in line]
    assert [line["step"] for line in times] == [0, 4, 8]


def test_weights_and_losses_are_the_same_with_and_without_samples(
    spoken: Train,
    tmp_path: Path,
) -> None:
    tiny_gpt2().save_pretrained(tmp_path / "gpt2")  # dropout is on
    assert spoken("with", model=tmp_path / "gpt2") == 0
    assert spoken("without", model=tmp_path / "gpt2", samples="null") == 0
    assert not (tmp_path / "without" / "samples.jsonl").exists()
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
    assert metrics(tmp_path / "with", "eval") == metrics(tmp_path / "without", "eval")
    weights = [
        (tmp_path / out / "last" / "model.safetensors").read_bytes() for out in ("with", "without")
    ]
    assert weights[0] == weights[1]


def test_a_resumed_run_has_the_samples_of_an_uninterrupted_one(
    spoken: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert spoken("whole") == 0
    stop_after(monkeypatch, 4)
    assert spoken("parts") == 0
    monkeypatch.undo()
    assert spoken("parts") == 0
    whole = (tmp_path / "whole" / "samples.jsonl").read_bytes()
    assert (tmp_path / "parts" / "samples.jsonl").read_bytes() == whole


def test_texts_of_the_config_take_the_place_of_documents(spoken: Train, tmp_path: Path) -> None:
    prompts = '["w7 w8", "w30 w31 w32"]'
    assert spoken(samples__prompts=prompts, samples__new_tokens=3, samples__every=8) == 0
    found = samples(tmp_path / "run")
    assert [(line["step"], line["prompt"]) for line in found] == [
        (step, prompt) for step in (0, 8) for prompt in ("w7 w8", "w30 w31 w32")
    ]
    assert all(line["num_tokens"] <= 3 for line in found)


@pytest.mark.parametrize(
    ("sets", "what"),
    [
        ({"samples__every": 3}, "want a multiple of eval_every"),
        ({"samples__prompts": '["' + "w7 " * WIDTH + '"]'}, "want 1 to"),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    spoken: Train,
    sets: dict[str, Any],
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert spoken(**sets) == 2
    assert what in " ".join(capsys.readouterr().err.split())


def test_shards_without_a_tokenizer_have_no_samples(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(steps=1, samples__prompts='["w7"]') == 0
    assert not (tmp_path / "run" / "samples.jsonl").exists()
    told = capsys.readouterr()
    assert "none are written" in told.out + told.err


def test_prompts_are_the_beginnings_of_documents_of_the_rows_that_are_scored(
    spoken_shards: Path,
) -> None:
    corpus = Corpus(open_shards([spoken_shards]), "validation")
    prompts = document_prompts(corpus, 12, Samples(prompt_tokens=6, num_per_source=3), WIDTH)
    assert len(prompts) == 6 <= MAX_SAMPLES
    rows = corpus.gather(np.arange(corpus.num_rows))
    documents = {
        tuple(rows.tokens.ravel()[start : start + len(prompt.tokens)].tolist())
        for start in rows.pieces
        for prompt in prompts
    }
    assert all(prompt.tokens in documents for prompt in prompts)
    assert all(len(prompt.tokens) <= 6 and prompt.following for prompt in prompts)


def test_a_cache_changes_no_text() -> None:
    losses = LossModule(tiny_llama(), [], torch.no_grad, scorer=CausalLanguageModelling()).eval()
    ids = torch.tensor([[7, 8, 9], [30, 31, 32]])
    logits, cache = losses.next_token(ids, None)
    token = logits.argmax(-1, keepdim=True)
    with_cache, _ = losses.next_token(token, cache)
    anew, _ = losses.next_token(torch.cat([ids, token], dim=1), None)
    torch.testing.assert_close(with_cache, anew)
