"""Loading any `AutoModelForCausalLM`, and refusing early what does not fit the shards."""

import re
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from training.corpus import ShardSet
from training.errors import DataError, ModelError

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def quieten() -> None:
    """No progress bars and no advice from Transformers; its errors come as exceptions."""
    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def check_model_fits(name: str, shards: ShardSet, sequence_tokens: int) -> None:
    """Raise before any weight is read when the vocabulary or the positions are too few."""
    config = read_model_config(name).get_text_config()
    if config.vocab_size < shards.index.tokenizer.num_ids:
        raise DataError(
            f"{shards.path}: its tokenizer has {shards.index.tokenizer.num_ids} ids, the model "
            f"{name} has embeddings for {config.vocab_size}; prepare the shards with the model's "
            "own tokenizer"
        )
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions < sequence_tokens:
        raise DataError(
            f"sequence_tokens: rows of {sequence_tokens} tokens, the model {name} has "
            f"{positions} positions; set sequence_tokens to a divisor of "
            f"{shards.index.sequence_tokens} that is no larger"
        )


def check_tokenizer(name: str, shards: ShardSet) -> None:
    """Raise when the model's own tokenizer, if it lies beside the model, gives text other ids.

    A file saved again by another version differs in bytes only: then the vocabularies decide.
    """
    own, theirs = Path(name) / "tokenizer.json", shards.tokenizer_path / "tokenizer.json"
    if not (own.is_file() and theirs.is_file()) or own.read_bytes() == theirs.read_bytes():
        return
    ours, other = (Tokenizer.from_file(str(path)).get_vocab() for path in (own, theirs))
    differing = sorted(token for token, number in other.items() if ours.get(token) != number)
    if differing:
        token = differing[0]
        raise DataError(
            f"{shards.path}: {len(differing)} tokens of its tokenizer have another id in {own}, "
            f"such as {token!r}: {other[token]} here, {ours.get(token)} there; prepare the shards "
            "with the model's own tokenizer"
        )


def read_model_config(name: str) -> Any:
    """The model's `config.json`. Raises `ModelError` when there is no such model."""
    if not Path(name).is_dir() and not HUB_NAME.fullmatch(name):
        raise ModelError(
            f"model: {name}: no such directory; give a Hugging Face model directory or hub name"
        )
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as exc:
        raise ModelError(_cannot_load(name, exc)) from exc


def load_model(name: str, *, attention: str, device: torch.device) -> nn.Module:
    """The model in float32 (bf16 only ever comes in through autocast), on `device`, training."""
    try:
        model: nn.Module = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.float32, attn_implementation=attention
        )
    except (OSError, ValueError) as exc:
        raise ModelError(_cannot_load(name, exc)) from exc
    return model.to(device).train()


def _cannot_load(name: str, exc: Exception) -> str:
    first_line = str(exc).strip().partition("\n")[0]
    return (
        f"model: {name}: cannot be loaded ({first_line}); "
        "give a directory that save_pretrained wrote, or the hub name of a causal language model, "
        "and attention=eager where it has no sdpa"
    )
