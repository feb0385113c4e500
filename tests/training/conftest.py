"""A tiny real model and tiny real shards."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tests.training.runs import Train, trainer
from tests.training.shardfiles import Row, write_shards

NUM_IDS = 64
WIDTH = 32
HOSTILE = "<script>alert('x')</script>"  # one word of the vocabulary


def tiny_llama(**changes: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    values = {
        "vocab_size": NUM_IDS,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
    }
    return LlamaForCausalLM(LlamaConfig(**(values | changes)))


def tiny_gpt2(**changes: object) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    values = {
        "vocab_size": NUM_IDS,
        "n_positions": 64,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "initializer_range": 0.2,
    }
    return GPT2LMHeadModel(GPT2Config(**(values | changes)))


def random_rows(seed: int, num_rows: int, *, low: int = 2, high: int = NUM_IDS) -> list[Row]:
    """Rows of one to three documents of tokens low..high-1, a third of them with padding."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(num_rows):
        total = WIDTH - int(random.integers(0, 6)) * int(random.random() < 0.33)
        cuts = np.sort(
            random.choice(np.arange(1, total), int(random.integers(0, 3)), replace=False)
        )
        tokens = random.integers(low, high, total)
        documents = tuple(tuple(part.tolist()) for part in np.split(tokens, cuts))
        rows.append(Row(documents=documents))
    return rows


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama")
    tiny_llama().save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def shard_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of 40 and 60 rows; each draws from half of the vocabulary, so is learnable."""
    rows = {
        ("domain", "train"): random_rows(1, 40, high=20),
        ("general", "train"): random_rows(2, 60, low=20),
        ("domain", "validation"): random_rows(3, 6, high=20),
        ("general", "validation"): random_rows(4, 6, low=20),
    }
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequence_tokens=WIDTH)


@pytest.fixture
def train(model_dir: Path, shard_dir: Path, tmp_path: Path) -> Train:
    """Run `train` on the tiny model and shards, with `--set` from keyword arguments."""
    return trainer(model_dir, shard_dir, tmp_path)


def word(token: int) -> str:
    return HOSTILE if token == 5 else f"w{token}"


def write_spoken_shards(out: Path) -> Path:
    """As those of `shard_dir`, with a tokenizer whose token 5 is markup."""
    rows = {
        ("domain", "train"): random_rows(1, 40, high=20),
        ("general", "train"): random_rows(2, 60, low=20),
        ("domain", "validation"): random_rows(3, 12, high=20),
        ("general", "validation"): random_rows(4, 12, low=20),
    }
    write_shards(out, rows, sequence_tokens=WIDTH)
    vocabulary = {word(token): token for token in range(NUM_IDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (out / "tokenizer").mkdir()
    tokenizer.save(str(out / "tokenizer" / "tokenizer.json"))
    return out


@pytest.fixture(scope="session")
def spoken_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spoken_shards(tmp_path_factory.mktemp("spoken"))


@pytest.fixture
def spoken(model_dir: Path, spoken_shards: Path, tmp_path: Path) -> Train:
    """`train` on those shards; runs under `tmp_path`."""
    return trainer(model_dir, spoken_shards, tmp_path)
