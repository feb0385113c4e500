"""Packed documents stay apart, and the self-test finds models in which they do not."""

import os
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask
from transformers import AttentionInterface, BertConfig, BertLMHeadModel, LlamaForCausalLM
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask

from tests.training.architectures import (
    CAUSAL,
    CAUSAL_REFUSED,
    MASKED,
    MASKED_REFUSED,
    backends,
    tiny_model,
)
from tests.training.conftest import NUM_IDS, tiny_gpt2, tiny_llama
from training.attention import (
    AGREEMENT,
    TOLERANCE,
    attention_leak,
    check_attention,
    is_masked_model,
    model_inputs,
    packed_inputs,
    packing_difference,
    piece_borders,
    position_offset,
    share_keys,
    unwrapped,
)
from training.cli import main
from training.errors import ModelError

BF16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
POSITIONS = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 0, 1, 2]])  # 5 pieces
TOKENS = torch.arange(16).reshape(2, 8) + 3


class UnmaskedLlama(LlamaForCausalLM):
    """Given a 2-D mask of ones, Transformers looks for no documents in the positions."""

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        return super().forward(input_ids, attention_mask=torch.ones_like(input_ids), **kwargs)


class ShiftedLlama(LlamaForCausalLM):
    """Numbers the positions of a packed row in its own way."""

    def forward(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        embeds = self.model.embed_tokens(input_ids)
        if position_ids is not None:
            embeds = embeds.flip(-1)
        return super().forward(inputs_embeds=embeds, position_ids=position_ids, **kwargs)


def saved_bytes_and_gradients(model: LlamaForCausalLM) -> tuple[int, list[torch.Tensor | None]]:
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model(**packed_inputs(model, TOKENS, POSITIONS)).logits
        logits.square().sum().backward()
    return sum(saved.values()), [parameter.grad for parameter in model.parameters()]


def test_keys_of_a_group_of_heads_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_SDPA_FORCE_GQA", "0")
    model = tiny_llama(num_attention_heads=4, num_key_value_heads=2, head_dim=8)
    copied, expected = saved_bytes_and_gradients(model)
    monkeypatch.delenv("TRANSFORMERS_SDPA_FORCE_GQA")
    share_keys(torch.device("cpu"))
    shared, found = saved_bytes_and_gradients(model)
    # Keys and values of 2 layers, 16 tokens, 2 heads fewer, 8 float32 each.
    assert copied - shared == 2 * 2 * 16 * 2 * 8 * 4
    torch.testing.assert_close(found, expected)


def test_other_devices_keep_what_transformers_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_SDPA_FORCE_GQA", "")
    share_keys(torch.device("meta"))
    assert os.environ["TRANSFORMERS_SDPA_FORCE_GQA"] == ""


@pytest.mark.parametrize("grouped", ["0", "1"])
@pytest.mark.parametrize(("name", "attention"), backends(CAUSAL) + backends(MASKED))
def test_architectures_that_keep_documents_apart(
    name: str, attention: str, grouped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFORMERS_SDPA_FORCE_GQA", grouped)
    model = tiny_model(name, attention).train()
    assert is_masked_model(model) == (name in MASKED)
    check_attention(model, NUM_IDS, nullcontext)
    assert packing_difference(model, NUM_IDS, nullcontext) < 1e-5
    check_attention(model, NUM_IDS, BF16)
    assert model.training


@pytest.mark.parametrize(("name", "attention"), backends(CAUSAL_REFUSED) + backends(MASKED_REFUSED))
def test_architectures_that_do_not_are_refused(name: str, attention: str) -> None:
    with pytest.raises(ModelError, match="sees other documents of a packed row"):
        check_attention(tiny_model(name, attention), NUM_IDS, nullcontext)


def test_a_model_that_ignores_the_positions_is_refused() -> None:
    model = UnmaskedLlama(tiny_llama().config)
    assert attention_leak(model, NUM_IDS, nullcontext) > 1e-3
    with pytest.raises(ModelError, match=r"UnmaskedLlama .* sees other documents"):
        check_attention(model, NUM_IDS, nullcontext)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_masked_model_without_its_mask_leaks(
    attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("bert", attention)
    monkeypatch.setattr("training.attention.is_masked_model", lambda _model: False)
    assert attention_leak(model, NUM_IDS, nullcontext) > 1e-3


def test_a_bidirectional_model_in_a_causal_run_is_refused() -> None:
    """Within a document it would see its targets."""
    settings = BertConfig(**(MASKED["bert"] | {"is_decoder": False}))
    model = BertLMHeadModel._from_config(settings, attn_implementation="eager")
    with pytest.raises(ModelError, match="or later tokens"):
        check_attention(model, NUM_IDS, nullcontext)


def test_a_model_that_reads_packed_positions_otherwise_is_refused() -> None:
    model = ShiftedLlama(tiny_llama().config)
    assert attention_leak(model, NUM_IDS, nullcontext) <= TOLERANCE
    with pytest.raises(ModelError, match="other logits than the same document alone"):
        check_attention(model, NUM_IDS, nullcontext)


@pytest.mark.parametrize("name", ["mpnet", "roberta", "xlm-roberta"])
def test_positions_begin_after_the_paddings_as_in_pre_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(name)
    assert position_offset(model) == 2
    assert torch.equal(packed_inputs(model, TOKENS, POSITIONS)["position_ids"], POSITIONS + 2)
    monkeypatch.setattr("training.attention.position_offset", lambda _model: 0)
    assert packing_difference(model, NUM_IDS, nullcontext) > AGREEMENT


def test_local_layers_keep_their_window_in_a_masked_model() -> None:
    """One mask for all layers would let the local ones see their whole document."""
    model, ids = tiny_model("modernbert").eval(), torch.arange(24)[None] + 3
    inputs = packed_inputs(model, ids, torch.arange(24)[None])
    masks = inputs["attention_mask"]
    assert set(masks) == {"full_attention", "sliding_attention"}
    one_mask = inputs | {"attention_mask": dict.fromkeys(masks, masks["full_attention"])}
    with torch.no_grad():
        wanted = model(input_ids=ids).logits
        assert torch.allclose(model(**inputs).logits, wanted, atol=1e-5)
        assert not torch.allclose(model(**one_mask).logits, wanted, atol=1e-2)


def test_the_mask_of_a_masked_model_joins_the_tokens_of_a_piece() -> None:
    pieces = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 3], [1, 1, 1, 1, 1, 2, 2, 2]])
    joined = pieces[:, None, :, None] == pieces[:, None, None, :]
    mask = packed_inputs(tiny_model("bert", "sdpa"), TOKENS, POSITIONS)["attention_mask"]
    assert torch.equal(mask, joined)
    added = packed_inputs(tiny_model("bert", "eager"), TOKENS, POSITIONS)["attention_mask"]
    assert torch.equal(added == 0, joined)
    assert (added[~joined] < -1e30).all()


def test_a_causal_model_gets_positions_and_no_mask_and_no_cache() -> None:
    batch: Any = SimpleNamespace(input_ids=TOKENS, position_ids=POSITIONS)
    inputs = model_inputs(tiny_llama(), batch)
    assert set(inputs) == {"input_ids", "position_ids", "use_cache"}
    assert inputs["use_cache"] is False
    assert torch.equal(inputs["position_ids"], POSITIONS)


def test_flash_attention_gets_the_borders_of_all_rows_as_one() -> None:
    borders = piece_borders(POSITIONS)
    for side in "qk":
        assert borders[f"cu_seq_lens_{side}"].tolist() == [0, 3, 7, 8, 13, 16]
        assert borders[f"cu_seq_lens_{side}"].dtype == torch.int32
        assert type(borders[f"max_length_{side}"]) is int
        assert borders[f"max_length_{side}"] == 5


def varlen_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: Any,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The contract of FlashAttention 2 in Transformers, by SDPA: borders over all rows, or none."""
    num_rows, num_heads, width, size = query.shape
    key = key.repeat_interleave(num_heads // key.shape[1], dim=1)
    value = value.repeat_interleave(num_heads // value.shape[1], dim=1)
    flat = [x.transpose(1, 2).reshape(-1, num_heads, size) for x in (query, key, value)]
    borders = cu_seq_lens_q
    if borders is None or kwargs["max_length_q"] is None:  # then each row is one document
        borders = torch.arange(0, num_rows * width + 1, width)
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            *(x[first:last].transpose(0, 1) for x in flat),
            is_causal=module.is_causal,
            scale=scaling,
        ).transpose(0, 1)
        for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)
    ]
    return torch.cat(parts).reshape(num_rows, width, num_heads, size), None


@pytest.fixture
def varlen_by_sdpa(monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend that is called exactly as FlashAttention 2, on a machine without it.

    Transformers looks for kernels when it finds "flash" in a name.
    """
    name = "varlen_by_sdpa"
    AttentionInterface.register(name, varlen_attention)
    AttentionMaskInterface.register(name, flash_attention_mask)
    monkeypatch.setattr("training.attention._backend", lambda _model: "flash_attention_2")
    return name


@pytest.mark.parametrize("build", ["llama", "bert"])
def test_borders_keep_documents_apart_under_flash_attention_and_positions_alone_do_not(
    build: str, varlen_by_sdpa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(build, varlen_by_sdpa)
    check_attention(model, NUM_IDS, nullcontext)
    monkeypatch.setattr("training.attention.piece_borders", lambda _positions: {})
    assert attention_leak(model, NUM_IDS, nullcontext) > 1e-3


def test_flex_attention_of_a_masked_model_gets_a_block_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tensor mask would be added to the scores as 0 and 1, which masks nothing."""
    make = torch.nn.attention.flex_attention.create_block_mask
    uncompiled = lambda *_, _compile, **values: make(**values)  # noqa: E731
    monkeypatch.setattr("transformers.masking_utils.create_block_mask", uncompiled)
    model = tiny_model("bert", "flex_attention", attention_probs_dropout_prob=0.0)
    positions = torch.cat([POSITIONS[0], torch.arange(120)])[None]
    mask = packed_inputs(model, positions, positions)["attention_mask"]
    assert isinstance(mask, BlockMask)
    index = torch.arange(8)
    joined = mask.mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    pieces = torch.tensor([1, 1, 1, 2, 2, 2, 2, 3])
    assert torch.equal(joined, pieces[:, None] == pieces[None, :])


def test_flex_attention_on_rows_shorter_than_its_blocks_is_refused() -> None:
    with pytest.raises(ModelError, match="on sequences of 8 tokens, want at least 128"):
        packed_inputs(tiny_model("llama", "flex_attention"), TOKENS, POSITIONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_flex_attention_keeps_documents_apart(name: str) -> None:
    check_attention(tiny_model(name, "flex_attention"), NUM_IDS, nullcontext)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_wrapped_model_is_called_as_the_one_inside(name: str) -> None:
    model = tiny_model(name)
    compiled = torch.compile(model)  # nothing is compiled before the first call
    assert unwrapped(compiled) is model
    wanted, got = (packed_inputs(m, TOKENS, POSITIONS) for m in (model, compiled))
    assert wanted.keys() == got.keys()


def test_a_model_with_damaged_weights_is_told_from_one_that_leaks() -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    with pytest.raises(ModelError, match="logits that are not finite on random tokens"):
        check_attention(model, NUM_IDS, nullcontext)


def test_dropout_does_not_disturb_the_self_test() -> None:
    model = tiny_gpt2(resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5).train()
    check_attention(model, NUM_IDS, nullcontext)


def test_train_refuses_to_start_with_a_model_whose_attention_leaks(
    tmp_path: Path, shard_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny_model("bloom").save_pretrained(tmp_path / "bloom")
    arguments = ["--model", str(tmp_path / "bloom"), "--out", str(tmp_path / "run")]
    arguments += ["--set", "attention=eager"]
    assert main(["--shards", str(shard_dir), *arguments]) == 2
    error = capfd.readouterr().err
    assert "BloomForCausalLM" in error
    assert "sees other documents" in error
    assert {path.name for path in (tmp_path / "run").glob("*")} <= {
        "verified.json",
        "lock",
        "run.json",
    }
