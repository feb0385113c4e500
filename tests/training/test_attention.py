"""The self-test finds attention that leaks between documents."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from tests.training.conftest import NUM_IDS, tiny_gpt2, tiny_llama
from training.attention import attention_leak, check_attention
from training.cli import main
from training.errors import ModelError


class UnmaskedLlama(LlamaForCausalLM):
    """Given a 2-D mask of ones, Transformers looks for no documents in the positions."""

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        return super().forward(input_ids, attention_mask=torch.ones_like(input_ids), **kwargs)


def tiny_mistral(**changes: Any) -> MistralForCausalLM:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=NUM_IDS,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=4,
        **changes,
    )
    return MistralForCausalLM(config)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2, tiny_mistral])
def test_models_that_mask_by_position_do_not_leak(
    build: Callable[..., Any], attention: str
) -> None:
    model = build(attn_implementation=attention)
    assert attention_leak(model, NUM_IDS, nullcontext) == 0
    assert model.training


def test_bf16_autocast_does_not_leak_either() -> None:
    def autocast() -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    assert attention_leak(tiny_llama(), NUM_IDS, autocast) == 0


def test_a_model_that_ignores_the_positions_is_refused() -> None:
    model = UnmaskedLlama(tiny_llama().config)
    assert attention_leak(model, NUM_IDS, nullcontext) > 1e-3
    with pytest.raises(ModelError, match=r"UnmaskedLlama .* sees other documents"):
        check_attention(model, NUM_IDS, nullcontext)


def test_a_recurrent_model_is_refused() -> None:
    model = MambaForCausalLM(
        MambaConfig(vocab_size=NUM_IDS, hidden_size=16, state_size=4, num_hidden_layers=1)
    )
    with pytest.raises(ModelError, match="sees other documents"):
        check_attention(model, NUM_IDS, nullcontext)


def test_a_model_with_damaged_weights_is_told_from_one_that_leaks() -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    with pytest.raises(ModelError, match="logits that are not finite on random tokens"):
        check_attention(model, NUM_IDS, nullcontext)


def test_train_refuses_to_start_with_a_model_whose_attention_leaks(
    tmp_path: Path, shard_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=NUM_IDS, hidden_size=16, n_layer=1, n_head=2))
    bloom.save_pretrained(tmp_path / "bloom")
    arguments = ["--model", str(tmp_path / "bloom"), "--out", str(tmp_path / "run")]
    arguments += ["--set", "attention=eager"]
    assert main(["--shards", str(shard_dir), *arguments]) == 2
    error = capfd.readouterr().err
    assert "BloomForCausalLM" in error
    assert "sees other documents" in error
    assert not list((tmp_path / "run").glob("*"))
