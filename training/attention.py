"""What a model is called with so that packed documents stay apart, and the test that they do.

Transformers derives the documents of a row from position ids that restart, but only for causal
models, only without a mask and a cache, and with FlashAttention 2 only for batches of one row;
others ignore the positions and say nothing. So masked models get a mask, FlashAttention the borders
of the pieces, and every run tries it at start-up on the model that it will train.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from transformers import masking_utils
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from training.batch import Batch
from training.errors import ModelError
from training.precision import Autocast

MASKED_MODELS = frozenset(MODEL_FOR_MASKED_LM_MAPPING_NAMES.values())
TOLERANCE = 1e-6  # of the largest logit: what is masked adds an exact zero
# Of the norm of the logits. Packed and alone a document goes through products of other shapes: they
# differ by 1e-6 in float32 and up to 1e-2 in bf16; wrong positions or windows by 0.1 and more.
AGREEMENT = 0.05
# Tokens of the documents of the test's rows. Two rows: FlashAttention 2 finds packed documents in a
# batch of one row and leaks in two.
LENGTHS = ((9, 15), (13, 11))
# Compiled FlexAttention works in blocks of 128 tokens. In rows shorter than a block torch 2.13 is
# wrong on a CPU, or not finite (2 x 24 tokens: errors of 2.2, then NaN; 2 x 128: 8e-7).
FLEX_BLOCK_TOKENS = 128
FLEX_LENGTHS = ((9, 15, 40, 64), (13, 11, 60, 44))
SPECIAL_IDS = ("pad_token_id", "mask_token_id", "bos_token_id", "eos_token_id", "cls_token_id")


def share_keys(device: torch.device) -> None:
    """On a CPU, let SDPA read the keys and values of a group of heads where they are.

    Under a mask, which every packed row has, Transformers copies them for each head, as CUDA's
    kernels need it; torch's kernel for CPUs does not (3 % of SmolLM2-135M's peak memory).
    """
    if device.type == "cpu":
        os.environ.setdefault("TRANSFORMERS_SDPA_FORCE_GQA", "1")  # read at every call


def model_inputs(model: nn.Module, batch: Batch) -> dict[str, Any]:
    """The keyword arguments of the forward pass on `batch`, which is on the model's device."""
    return packed_inputs(model, batch.input_ids, batch.position_ids)


def packed_inputs(
    model: nn.Module, input_ids: torch.Tensor, position_ids: torch.Tensor
) -> dict[str, Any]:
    """The same for token ids and positions (N, t) int64; a piece begins where the position is 0.

    `input_ids`, `position_ids` and `use_cache=False`; and, for FlashAttention, the borders of the
    pieces, for other backends of masked models a mask that joins the tokens of a piece (padding is
    a piece). `model` may be wrapped by DDP or `torch.compile`. Raises `ModelError` where
    FlexAttention would be wrong.
    """
    plain = unwrapped(model)
    width = input_ids.shape[1]
    if _backend(plain) == "flex_attention" and width < FLEX_BLOCK_TOKENS:
        raise ModelError(
            f"attention: flex_attention on sequences of {width} tokens, want at least "
            f"{FLEX_BLOCK_TOKENS}, one of its blocks; set attention=sdpa, or longer sequence_tokens"
        )
    inputs = {
        "input_ids": input_ids,
        "position_ids": position_ids + position_offset(plain),
        "use_cache": False,
    }
    if _backend(plain).startswith("flash_attention"):
        return inputs | piece_borders(position_ids)
    if is_masked_model(plain):
        return inputs | {"attention_mask": piece_masks(plain, position_ids)}
    return inputs


def unwrapped(model: nn.Module) -> Any:
    """The model inside of DDP's and `torch.compile`'s wrappers."""
    if isinstance(model, DistributedDataParallel):
        return unwrapped(model.module)
    inner: Any = getattr(model, "_orig_mod", None)
    return model if inner is None else unwrapped(inner)


def is_masked_model(model: nn.Module) -> bool:
    """Whether it is of a class for masked language modelling: every token sees both sides."""
    return any(kind.__name__ in MASKED_MODELS for kind in type(model).__mro__)


def position_offset(model: nn.Module) -> int:
    """The position of a document's first token: RoBERTa's relatives begin after the padding's."""
    if not is_masked_model(model):
        return 0
    tables = [m for n, m in model.named_modules() if n.endswith("embeddings.position_embeddings")]
    padding = [getattr(table, "padding_idx", None) for table in tables[:1]]
    return 0 if not padding or padding[0] is None else padding[0] + 1


def piece_borders(position_ids: torch.Tensor) -> dict[str, Any]:
    """FlashAttention's variable lengths for N rows as one: pieces begin where positions (N, t) do.

    All four are needed, and the lengths as integers; else it falls back to the positions.
    """
    starts = (position_ids == 0).flatten().nonzero().flatten()  # (pieces,)
    borders = nn.functional.pad(starts, (0, 1), value=position_ids.numel()).to(torch.int32)
    longest = int(borders.diff().max())
    return {
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def piece_masks(model: Any, position_ids: torch.Tensor) -> Any:
    """What joins the tokens of a piece in both directions, in the form of the model's backend.

    A (N, 1, t, t) mask, bool for SDPA and additive for eager, or a `BlockMask`; for a model whose
    layers are of several kinds one per kind, as a single one would widen the local layers' window.
    """
    pieces = (position_ids == 0).cumsum(-1)  # (N, t)
    arguments = {
        "config": model.config,
        "inputs_embeds": position_ids[..., None].to(torch.float32),  # for shape, dtype, device
        "attention_mask": None,
        "and_mask_function": masking_utils.packed_sequence_mask_function(pieces),
    }
    full = masking_utils.create_bidirectional_mask(**arguments)
    if "sliding_attention" not in (getattr(model.config, "layer_types", None) or ()):
        return full
    local = masking_utils.create_bidirectional_sliding_window_mask(**arguments)
    return {"full_attention": full, "sliding_attention": local}


def check_attention(model: Any, vocabulary: int, autocast: Autocast) -> None:
    """Raise `ModelError` if documents of a packed row see each other, or are not seen whole."""
    name = f"model: {type(model).__name__} with {_backend(model)} attention"
    try:
        leak = attention_leak(model, vocabulary, autocast)
        difference = packing_difference(model, vocabulary, autocast)
    except (TypeError, RuntimeError) as exc:  # an argument it does not know, a mask of another form
        raise ModelError(
            f"{name} sees other documents of a packed row, or cannot be called so that it does not "
            f"({str(exc).strip().partition(chr(10))[0]}); take a model that masks by position_ids"
        ) from exc
    if math.isnan(leak):
        raise ModelError(
            f"{name}: got logits that are not finite on random tokens; its weights are "
            "damaged: take another copy or another checkpoint"
        )
    if leak > TOLERANCE:
        raise ModelError(
            f"{name} sees other documents of a packed row, or later tokens: logits moved by "
            f"{leak:.1e} of their size, want 0; set attention=eager, or take a model that masks by "
            "position_ids"
        )
    if not difference <= AGREEMENT:
        raise ModelError(
            f"{name} gives a document in a packed row other logits than the same document alone: "
            f"they differ by {difference:.1e} of their size, want at most {AGREEMENT}; set "
            "attention=eager, or take a model whose positions can start anew in a row"
        )


@torch.no_grad()
def attention_leak(model: Any, vocabulary: int, autocast: Autocast) -> float:
    """How far logits move that must not, relative to the largest, when tokens change.

    Each document of two rows is changed in turn: earlier and later documents and the other row must
    stay; then, for a causal model, the last tokens of the rows: all before them must stay. NaN
    where logits are not finite.
    """
    ids, positions = _test_rows(model, vocabulary)
    pieces = (positions == 0).flatten().cumsum(0).reshape(positions.shape)  # (N, t), from 1 on
    changes = [pieces == piece for piece in range(1, int(pieces.max()) + 1)]
    if not is_masked_model(unwrapped(model)):
        last = torch.arange(ids.shape[1], device=ids.device) == ids.shape[1] - 1
        changes.append(last.expand(ids.shape))
    before = _logits(model, ids, positions, autocast)  # (N, t, V)
    moved = before.new_zeros(())
    for is_changed in changes:
        changed = torch.where(is_changed, (ids + 1) % vocabulary, ids)
        after = _logits(model, changed, positions, autocast)
        moved = torch.maximum(moved, (after - before)[~is_changed].abs().max())
    return float(moved / before.abs().max())


@torch.no_grad()
def packing_difference(model: Any, vocabulary: int, autocast: Autocast) -> float:
    """How far a packed document's logits are from those of it alone, called with nothing else.

    The largest, over the documents, of the norm of the difference over the norm of the logits.
    """
    ids, positions = _test_rows(model, vocabulary)
    packed, worst = _logits(model, ids, positions, autocast), 0.0  # (N, t, V)
    with without_flex(model):
        for row, lengths in enumerate(_lengths(model)):
            first = 0
            for length in lengths:
                inside = slice(first, first + length)
                alone = _forward(model, {"input_ids": ids[row : row + 1, inside]}, autocast)[0]
                difference = (packed[row, inside] - alone).norm() / alone.norm()
                worst, first = max(worst, float(difference)), first + length
    return worst


@contextmanager
def without_flex(model: Any) -> Iterator[None]:
    """Eager attention in FlexAttention's place: a single document is shorter than its blocks."""
    model = unwrapped(model)
    backend = _backend(model)
    if backend != "flex_attention":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(backend)


def _lengths(model: Any) -> tuple[tuple[int, ...], ...]:
    return FLEX_LENGTHS if _backend(model) == "flex_attention" else LENGTHS


def _test_rows(model: Any, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and positions (N, t) of the documents of `_lengths`; no token is a special one."""
    special = {getattr(model.config, name, None) for name in SPECIAL_IDS}
    usual = torch.tensor([token for token in range(vocabulary) if token not in special])
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in _lengths(model)])
    generator = torch.Generator().manual_seed(0)
    ids = usual[torch.randint(0, len(usual), positions.shape, generator=generator)]
    return ids.to(model.device), positions.to(model.device)


def _logits(
    model: Any, ids: torch.Tensor, positions: torch.Tensor, autocast: Autocast
) -> torch.Tensor:
    return _forward(model, packed_inputs(model, ids, positions), autocast)


def _forward(model: Any, inputs: dict[str, Any], autocast: Autocast) -> torch.Tensor:
    """Logits in float32, without dropout."""
    was_training = model.training
    model.eval()
    try:
        with autocast():
            logits: torch.Tensor = model(**inputs).logits
    finally:
        model.train(was_training)
    return logits.float()


def _backend(model: Any) -> str:
    backend: str = unwrapped(model).config._attn_implementation
    return backend
