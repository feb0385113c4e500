"""The diagonal Fisher information against its closed form."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import NUM_IDS, WIDTH, tiny_llama
from tests.training.objectives.batches import packed, some_batch, tiny_bert
from training.batch import IGNORED, Batch, make_batch
from training.errors import DataError
from training.objectives import token_losses
from training.objectives.fisher import (
    choose_rows,
    estimate_fisher,
    read_fisher,
    sampled_loss,
    sum_squares,
)
from training.parallel import Workers
from training.precision import make_precision
from training.sources.corpus import Corpus, open_shards

CPU = torch.device("cpu")
ALONE = Workers(rank=0, size=1, device=CPU)


def float32() -> Any:
    return make_precision("fp32", CPU).autocast()


def softmax_regression() -> Any:
    """No layer between embedding and head, and the head alone learns."""
    model = tiny_llama(num_hidden_layers=0, tie_word_embeddings=False, vocab_size=7).eval()
    model.model.requires_grad_(False)
    with torch.no_grad():
        model.lm_head.weight.mul_(2.0)
    return model


@pytest.mark.parametrize(
    ("learned", "targets"),
    [(None, [0, 1, 3, 4, 5]), ([1, 0, 1, 0, 0, 1, 1], [1, 4, 5])],
    ids=["whole documents", "a loss mask"],
)
def test_the_estimate_meets_the_exact_information_within_its_standard_error(
    learned: list[int] | None, targets: list[int]
) -> None:
    """F of a head W on states h is sum_t h_d^2 sum_v p(v) (p_u - [u = v])^2, all v enumerated.

    The sum is over the targets; under a loss mask these are the tokens to be learned alone.
    """
    model, num_groups, size = softmax_regression(), 40, 15
    rows = [[[1, 2, 3], [4, 5, 6, 2]]] * (num_groups * size)
    masks = None if learned is None else np.array([learned] * len(rows), np.uint8)
    batch = packed(rows, 7, learned=masks)
    groups = torch.stack(
        [
            sum_squares(model, [part], key=3, autocast=float32)[0]["lm_head.weight"] / size
            for part in batch.split(size)
        ]
    )  # (groups, V, D)
    exact = torch.zeros(7, 16)
    states = model.model.norm(model.model.embed_tokens(batch.input_ids[0]))
    for h in states[targets]:
        p = model.lm_head(h).softmax(-1)
        for v in range(7):
            slope = (p - torch.nn.functional.one_hot(torch.tensor(v), 7))[:, None] * h
            exact += (p[v] * slope.square()).detach()
    errors = (groups.mean(0) - exact) / (groups.std(0) / num_groups**0.5)
    assert float(errors.square().mean()) < 2.0  # 1 on average, were they independent and normal
    assert float(errors.abs().max()) < 5.0
    assert groups.mean(0).sum().item() == pytest.approx(exact.sum().item(), rel=0.03)


def test_it_is_the_square_of_each_sequences_gradient_and_not_of_the_batchs() -> None:
    model, batch = tiny_llama(), some_batch(num_rows=4)
    together, counts = sum_squares(model, [batch], key=1, autocast=float32)
    alone: dict[str, torch.Tensor] = {}
    for part in batch.split(1):
        squares, _ = sum_squares(model, [part], key=1, autocast=float32)
        alone = {name: alone.get(name, 0) + value for name, value in squares.items()}
    assert counts == (4, int((batch.labels != IGNORED).sum()))
    for name, value in together.items():
        assert torch.allclose(value, alone[name], rtol=1e-5), name
    assert len(together) == sum(1 for _ in model.parameters())  # the tied embedding once
    assert all(p.grad is None for p in model.parameters())
    assert model.training


def test_by_hand_the_gradient_of_one_sequence_squared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(token_losses.CHUNK_LOGITS, "cpu", 3 * NUM_IDS)
    model, batch = tiny_llama().eval(), some_batch(num_rows=1)
    got, _ = sum_squares(model, [batch], key=1, autocast=float32)
    inputs = {"input_ids": batch.input_ids, "position_ids": batch.position_ids}
    log_probs = model(**inputs, use_cache=False).logits[0].log_softmax(-1)  # (t, V)
    unit = batch.labels[0] != IGNORED
    losses = sampled_loss(batch, 1)(log_probs, torch.arange(16)).detach()
    labels = (log_probs.detach() + losses[:, None]).abs().argmin(-1)  # whose -log p that is
    (log_probs[torch.arange(16), labels] * unit).sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(got[name], parameter.grad.square(), rtol=1e-3, atol=1e-6), name


def test_labels_are_drawn_as_often_as_the_model_says_and_from_counters_alone() -> None:
    rows = [[list(range(2, 34))]] * 600
    batch = packed(rows, 32)
    p = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    logits = p.log().expand(batch.labels.numel(), 5)
    loss = sampled_loss(batch, 7)
    drawn = loss(logits, torch.arange(len(logits))).exp().reciprocal()
    num = len(drawn)
    for share in (0.5, 0.3, 0.15, 0.05):
        found = (drawn - share).abs().lt(1e-4).float().mean().item()
        assert abs(found - share) < 4 * (share * (1 - share) / num) ** 0.5
    part = batch.split(100)[3]
    again = sampled_loss(part, 7)(logits[:3200], torch.arange(3200)).exp().reciprocal()
    assert torch.equal(again, drawn[300 * 32 : 400 * 32])
    other = sampled_loss(batch, 8)(logits, torch.arange(num)).exp().reciprocal()
    assert 0.3 < (other == drawn).float().mean().item() < 0.45  # sum of squares of p: 0.365
    moved = replace(batch, cuts=batch.cuts + 1)
    assert not torch.equal(sampled_loss(moved, 7)(logits, torch.arange(num)), drawn)


def test_frozen_parameters_have_no_information() -> None:
    model = tiny_llama()
    model.model.layers[0].requires_grad_(False)
    squares, _ = sum_squares(model, [some_batch()], key=1, autocast=float32)
    assert squares
    assert not [name for name in squares if ".layers.0." in name]


def test_rows_of_a_corpus_meet_in_a_mean_that_survives_the_file(
    shard_dir: Path, tmp_path: Path
) -> None:
    corpus, model = Corpus(open_shards([shard_dir]), "train"), tiny_llama()
    rows = choose_rows(40, 60, 5, key=9)
    fisher = estimate_fisher(
        model,
        corpus,
        rows,
        sequence_tokens=WIDTH // 2,
        key=9,
        workers=ALONE,
        autocast=float32,
        metadata={"model": "abc"},
    )
    batch = make_batch(corpus.gather(rows), WIDTH // 2)
    squares, (num_sequences, num_targets) = sum_squares(model, [batch], key=9, autocast=float32)
    assert (fisher.num_sequences, fisher.num_targets) == (num_sequences, num_targets)
    assert 5 < num_sequences <= 10
    fisher.save(tmp_path / "fisher.safetensors")
    back = read_fisher(tmp_path / "fisher.safetensors", {"model": "abc"})
    assert (back.num_sequences, back.metadata) == (num_sequences, {"model": "abc"})
    for name, parameter in model.named_parameters():
        assert torch.equal(back.anchor[name], parameter)
        assert torch.allclose(back.information[name], squares[name] / num_sequences, rtol=1e-5)
        assert back.information[name].dtype == torch.float32
    with pytest.raises(DataError, match=r"model 'abc', want 'xyz'.* remove the file"):
        read_fisher(tmp_path / "fisher.safetensors", {"model": "xyz"})


def test_a_masked_models_information_is_of_what_it_sees(shard_dir: Path) -> None:
    corpus, seen = Corpus(open_shards([shard_dir]), "train"), []

    def corrupt(batch: Batch) -> Batch:
        assert batch.noise is not None
        masked = (batch.noise & 7 == 0) & batch.is_learned
        seen.append(int(masked.sum()))
        labels = torch.where(masked, batch.input_ids, IGNORED)
        return replace(batch, labels=labels, input_ids=batch.input_ids.masked_fill(masked, 1))

    fisher = estimate_fisher(
        tiny_bert(),
        corpus,
        np.arange(6),
        sequence_tokens=WIDTH,
        key=1,
        workers=ALONE,
        autocast=float32,
        corrupt=corrupt,
    )
    assert len(set(seen)) > 1  # rows have noise of their own
    assert fisher.num_targets == sum(seen)
    assert float(fisher.information["cls.predictions.bias"].sum()) > 0


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "fisher.safetensors"
    broken.write_bytes(b"\0" * 40)
    for path in (broken, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"objective\.ewc\.fisher"):
            read_fisher(path)


def test_rows_are_chosen_without_repeats_from_the_whole_source() -> None:
    rows = choose_rows(100, 1000, 300, key=5)
    assert len(np.unique(rows)) == 300
    assert 100 <= rows.min() < 120
    assert 1080 < rows.max() < 1100
    assert sorted(choose_rows(100, 7, 300, key=5).tolist()) == list(range(100, 107))
    assert not np.array_equal(rows, choose_rows(100, 1000, 300, key=6))
