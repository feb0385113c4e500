"""The divergence from a reference, its gradient, and that of k + 1 categories."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import NUM_IDS, tiny_llama
from tests.training.objectives.batches import some_batch
from training.batch import IGNORED
from training.errors import ModelError
from training.forward import Body
from training.objectives import cross_entropy, token_losses
from training.objectives.divergence import Direction, divergence, group, grouped_divergence
from training.objectives.kl import KlDivergence
from training.objectives.reference import FrozenModel
from training.objectives.token_losses import WeightedLoss, losses_of, sum_losses

DIRECTIONS = ("forward", "reverse")


def exact(logits: torch.Tensor, reference: torch.Tensor, direction: Direction) -> torch.Tensor:
    """By the definition, sum over v of outer(v) log(outer(v) / inner(v)); (n,)."""
    q, p = logits.log_softmax(-1), reference.log_softmax(-1)
    outer, inner = (p, q) if direction == "forward" else (q, p)
    return (outer.exp() * (outer - inner)).sum(-1)


def random_logits(seed: int, num_rows: int, vocabulary: int, size: float = 5.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(2, num_rows, vocabulary, generator=generator)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 20),
    st.integers(1, 40),
    st.integers(1, 300),
    st.sampled_from(DIRECTIONS),
    st.integers(0, 99),
)
def test_value_and_gradient_are_autograds_in_double_precision(
    num_rows: int, vocabulary: int, pass_logits: int, direction: Direction, seed: int
) -> None:
    logits, reference = random_logits(seed, num_rows, vocabulary)
    logits.requires_grad_()
    weights = torch.linspace(-1, 2, num_rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cross_entropy.PASS_LOGITS, "cpu", pass_logits)
        got = divergence(logits, reference, direction)
        (gradient,) = torch.autograd.grad((got * weights).sum(), logits)
    double = logits.detach().double().requires_grad_()
    wanted = exact(double, reference.double(), direction)
    (expected,) = torch.autograd.grad((wanted * weights).sum(), double)
    assert got.dtype == torch.float32
    assert torch.allclose(got.double(), wanted, rtol=1e-5, atol=2e-6)
    assert torch.allclose(gradient.double(), expected, atol=3e-5)


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.25), (0.9, 0.1), (0.001, 0.7)])
def test_two_ids_have_the_divergence_of_two_coins(p: float, q: float) -> None:
    def logits(share: float) -> torch.Tensor:
        return torch.tensor([[math.log(share), math.log1p(-share)]])

    def coin(a: float, b: float) -> float:
        return a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))

    got = {way: divergence(logits(q), logits(p), way).item() for way in DIRECTIONS}
    assert got == pytest.approx({"forward": coin(p, q), "reverse": coin(q, p)}, rel=1e-5)


def test_forward_is_torchs_kl_div_of_the_model_against_the_reference() -> None:
    logits, reference = random_logits(0, 4, 9)
    wanted = F.kl_div(
        logits.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    assert torch.allclose(divergence(logits, reference, "forward"), wanted, atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_equal_logits_diverge_by_exactly_0_and_pull_nowhere(direction: Direction) -> None:
    logits = random_logits(0, 4, 500)[0].bfloat16().requires_grad_()
    losses = divergence(logits, logits.detach().clone(), direction)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert float(losses.abs().max()) == float(gradient.abs().max()) == 0.0


def test_an_id_that_both_exclude_counts_nothing_and_one_that_only_one_excludes_is_infinite() -> (
    None
):
    logits, reference = random_logits(0, 1, 6)
    smaller = [exact(logits[:, :5], reference[:, :5], way).item() for way in DIRECTIONS]
    logits[0, 5] = reference[0, 5] = -torch.inf
    logits.requires_grad_()
    for way, wanted in zip(DIRECTIONS, smaller, strict=True):
        losses = divergence(logits, reference, way)
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        assert losses.item() == pytest.approx(wanted, rel=1e-5)
        assert bool(gradient.isfinite().all())
    everywhere = reference.clone()
    everywhere[0, 5] = 1.0
    assert divergence(logits, everywhere, "forward").item() == math.inf
    assert divergence(everywhere, logits.detach(), "reverse").item() == math.inf


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_nan_in_the_logits_reaches_the_loss(direction: Direction) -> None:
    logits, reference = random_logits(0, 2, 6)
    logits[1, 3] = torch.nan
    assert divergence(logits, reference, direction).isnan().tolist() == [False, True]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 8),
    st.integers(2, 30),
    st.data(),
    st.sampled_from(DIRECTIONS),
    st.floats(0.1, 20.0),
)
def test_fewer_categories_never_diverge_more_and_all_of_them_alike(
    num_rows: int, vocabulary: int, data: Any, direction: Direction, size: float
) -> None:
    logits, reference = random_logits(num_rows + vocabulary, num_rows, vocabulary, size)
    k = data.draw(st.integers(1, vocabulary))
    ids = reference.topk(k).indices
    logits.requires_grad_()
    got = grouped_divergence(logits, ids, group(reference, ids), direction)
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    double = logits.detach().double().requires_grad_()
    everything = exact(double, reference.double(), direction)
    assert bool((got.double() <= everything + 1e-5 * (1 + everything)).all())
    grouped = grouped_exact(double, reference.double(), ids, direction)
    (expected,) = torch.autograd.grad(grouped.sum(), double)
    assert torch.allclose(got.double(), grouped, rtol=1e-4, atol=1e-5)
    assert torch.allclose(gradient.double(), expected, rtol=1e-3, atol=1e-4)
    if k == vocabulary:
        assert torch.allclose(got.double(), everything, rtol=1e-4, atol=1e-5)


def grouped_exact(
    logits: torch.Tensor, reference: torch.Tensor, ids: torch.Tensor, direction: Direction
) -> torch.Tensor:
    def categories(values: torch.Tensor) -> torch.Tensor:
        chosen = torch.zeros_like(values, dtype=torch.bool).scatter_(-1, ids, True)
        log_probs = values.log_softmax(-1)
        top = log_probs.gather(-1, ids)
        if bool(chosen.all()):
            return top
        rest = log_probs.masked_fill(chosen, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([top, rest], dim=-1)

    q, p = categories(logits), categories(reference)
    outer, inner = (p, q) if direction == "forward" else (q, p)
    return (outer.exp() * (outer - inner)).sum(-1)


def test_the_rest_is_right_where_the_top_holds_all_that_float32_can_tell_from_1() -> None:
    logits = torch.tensor([[40.0, 1.0, 0.0, -1.0]])
    got = group(logits, torch.tensor([[0]]))
    wanted = logits.double()[0, 1:].logsumexp(0) - logits.double()[0].logsumexp(0)
    assert got[0, -1].item() == pytest.approx(wanted.item(), rel=1e-6)
    assert wanted < -38  # 1 - exp(-1e-17) is 0 in any float


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_losses_and_gradients_do_not_depend_on_the_chunk(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, model = some_batch(num_rows=5), tiny_llama().eval()
    other = FrozenModel(tiny_llama(initializer_range=0.3), torch.device("cpu"))
    kl, body = KlDivergence(reference=other, direction=direction), Body(model)
    results = []
    for chunk in (1, 7 * NUM_IDS, 1 << 24):
        monkeypatch.setitem(token_losses.CHUNK_LOGITS, "cpu", chunk)
        model.zero_grad()
        unit = kl.is_unit(batch).flatten()
        term = WeightedLoss(loss=kl.prepare(batch), is_unit=unit, scale=0.1)
        total, _ = sum_losses(body.hidden(batch), body.head, [term])
        total.backward()
        each = losses_of(body.hidden(batch), body.head, term)
        results.append((each, model.lm_head.weight.grad.clone()))
    logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)
    theirs = other.body.model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
    )
    wanted = exact(logits.logits.double(), theirs.logits.double(), direction).flatten() * unit
    for losses, gradient in results:
        assert torch.allclose(losses.double(), wanted, atol=1e-5)
        assert torch.allclose(gradient, results[0][1], atol=1e-6)


def test_replayed_rows_only_where_sources_are_given_and_the_loss_mask_counts() -> None:
    learned = np.ones((3, 16), dtype=np.uint8)
    learned[2, 5:9] = 0
    batch = some_batch(sources=[0, 1, 1], learned=learned)
    other = FrozenModel(tiny_llama(), torch.device("cpu"))
    all_rows = KlDivergence(reference=other).is_unit(batch)
    replayed = KlDivergence(reference=other, sources=(1,)).is_unit(batch)
    assert torch.equal(all_rows, batch.labels != IGNORED)
    assert torch.equal(replayed[1:], all_rows[1:])
    assert not replayed[0].any()
    assert not replayed[2, 4:8].any()  # labels are of the next token
    assert replayed[2].any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_under_a_loss_mask_only_what_is_to_be_learned_diverges(direction: Direction) -> None:
    learned = np.random.default_rng(0).integers(0, 2, (4, 16)).astype(np.uint8)
    batch, model = some_batch(num_rows=4, learned=learned), tiny_llama().eval()
    other = FrozenModel(tiny_llama(initializer_range=0.3), torch.device("cpu"))
    kl, body = KlDivergence(reference=other, direction=direction), Body(model)
    term = WeightedLoss(loss=kl.prepare(batch), is_unit=kl.is_unit(batch).flatten(), scale=1.0)
    total, _ = sum_losses(body.hidden(batch), body.head, [term])
    total.backward()
    got = model.lm_head.weight.grad.clone()
    model.zero_grad()
    wanted = torch.zeros((), dtype=torch.float64)
    num_units = 0
    for row in range(4):
        starts = [*(batch.position_ids[row] == 0).nonzero()[:, 0].tolist(), 16]
        for begin, end in pairwise(starts[:3]):  # two documents, and then padding
            ids = batch.input_ids[row : row + 1, begin:end]
            chosen = torch.from_numpy(learned[row, begin + 1 : end] == 1)
            ours, theirs = (m(input_ids=ids).logits[0, :-1] for m in (model, other.body.model))
            wanted = wanted + exact(ours.double(), theirs.double(), direction)[chosen].sum()
            num_units += int(chosen.sum())
    wanted.backward()
    assert int(kl.is_unit(batch).sum()) == num_units > 10
    assert total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert torch.allclose(got, model.lm_head.weight.grad, atol=1e-5)


def test_another_vocabulary_is_refused() -> None:
    batch = some_batch()
    kl = KlDivergence(reference=FrozenModel(tiny_llama(vocab_size=80), torch.device("cpu")))
    index = kl.is_unit(batch).flatten().nonzero()[:, 0]
    with pytest.raises(ModelError, match=r"objective\.kl: .* 80 ids, .* 64"):
        kl.prepare(batch)(torch.zeros(len(index), NUM_IDS), index)


def test_the_step_needs_no_array_of_logits_beside_the_chunk_and_its_gradient() -> None:
    """What autograd keeps from forward to backward: the two inputs and one number per token."""
    kept: list[int] = []
    logits, reference = random_logits(0, 50, 400)
    logits.requires_grad_()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in (logits.data_ptr(), reference.data_ptr()):
            kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        divergence(logits, reference)
    assert sum(kept) == 50
