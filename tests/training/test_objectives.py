"""The loss: summed, chunked, and the same for packed documents as for documents alone."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import tiny_gpt2, tiny_llama
from training.batch import IGNORED, Batch, make_batch
from training.config import Objective
from training.corpus import Rows
from training.objectives import build_terms, cross_entropy
from training.objectives.clm import CausalLanguageModelling


def packed(rows: list[list[list[int]]], width: int) -> Batch:
    """A batch out of lists of documents of token ids."""
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    pieces = []
    for index, documents in enumerate(rows):
        flat = [token for document in documents for token in document]
        tokens[index, : len(flat)] = flat
        starts = np.cumsum([0, *map(len, documents)])[:-1]
        pieces.extend((index * width + starts).tolist())
    num_tokens = np.array([sum(map(len, documents)) for documents in rows])
    stored = Rows(
        tokens=tokens, num_tokens=num_tokens, num_bytes=num_tokens * 4, pieces=np.array(pieces)
    )
    return make_batch(stored, width)


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    outputs = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)
    return CausalLanguageModelling()(outputs, batch)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
def test_a_packed_row_has_the_loss_and_gradient_of_its_documents_run_alone(
    build: Callable[..., Any], attention: str
) -> None:
    model = build(attn_implementation=attention).eval()
    random = np.random.default_rng(0)
    rows = [
        [random.integers(0, 64, size).tolist() for size in sizes]
        for sizes in ([5, 1, 9, 13], [30], [1, 1, 20], [3, 27])
    ]
    together = loss_of(model, packed(rows, 30))
    together.backward()
    gradient = model.get_input_embeddings().weight.grad.clone()
    model.zero_grad()
    total = 0.0
    for document in (document for row in rows for document in row):
        if len(document) > 1:
            ids = torch.tensor([document])
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
            loss = F.cross_entropy(logits, ids[0, 1:], reduction="sum")
            loss.backward()
            total += loss.item()
    assert together.item() == pytest.approx(total, rel=1e-6)
    wanted = model.get_input_embeddings().weight.grad
    assert torch.allclose(gradient, wanted, atol=1e-5)


def test_units_are_the_targets() -> None:
    batch = packed([[[1, 2, 3], [4]], [[5, 6]]], 6)
    assert CausalLanguageModelling().num_units(batch) == 3


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(2, 50), st.integers(1, 600), st.integers(0, 99))
def test_cross_entropy_in_chunks_is_cross_entropy(
    num_rows: int, vocabulary: int, chunk_logits: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(num_rows, vocabulary, generator=generator, requires_grad=True)
    logits.retain_grad()
    labels = torch.randint(0, vocabulary, (num_rows,), generator=generator)
    labels[torch.rand(num_rows, generator=generator) < 0.3] = IGNORED
    before = dict(cross_entropy.CHUNK_LOGITS)
    cross_entropy.CHUNK_LOGITS["cpu"] = chunk_logits
    try:
        got = cross_entropy.cross_entropy_sum(logits, labels)
        (3 * got).backward()
    finally:
        cross_entropy.CHUNK_LOGITS.update(before)
    reference = logits.detach().double().requires_grad_()
    wanted = F.cross_entropy(reference, labels, reduction="sum", ignore_index=IGNORED)
    (3 * wanted).backward()
    assert got.dtype == torch.float64
    assert got.item() == pytest.approx(wanted.item(), rel=1e-6, abs=1e-6)
    assert logits.grad is not None
    assert reference.grad is not None
    assert torch.allclose(logits.grad.double(), reference.grad, atol=1e-5)


def test_bf16_logits_are_summed_in_float32() -> None:
    logits = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(64)
    got = float(cross_entropy.cross_entropy_sum(logits, labels))
    wanted = float(F.cross_entropy(logits.double(), labels, reduction="sum"))
    assert got == pytest.approx(wanted, rel=1e-6)


def test_a_nan_in_a_target_row_reaches_the_loss_and_elsewhere_does_not() -> None:
    logits = torch.zeros(2, 4)
    logits[1, 2] = float("nan")
    outputs = SimpleNamespace(logits=logits[None])
    ids = torch.zeros(1, 2, dtype=torch.int64)
    for labels, finite in (([0, IGNORED], True), ([0, 1], False)):
        batch = Batch(
            input_ids=ids,
            position_ids=ids,
            labels=torch.tensor([labels]),
            num_tokens=2,
            num_bytes=2,
        )
        assert bool(CausalLanguageModelling()(outputs, batch).isfinite()) is finite


def test_the_config_names_the_terms() -> None:
    (term,) = build_terms(Objective(clm=0.5))
    assert (term.name, term.weight) == ("clm", 0.5)
