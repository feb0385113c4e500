"""Tokenizers for documents of several segments: byte-level, with and without a chat template."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from pipeline.segments import Segments, join
from pipeline.shards import TokenizerIdentity
from pipeline.tokens.config import TokenizerConfig
from pipeline.tokens.resolve import resolve_tokenizer
from pipeline.tokens.segments import SegmentTokenizer
from tests.pipeline.tokens.conftest import CORPUS

SPECIAL = ("<eos>", "<bos>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% endif %}"
)

Turns = Sequence[tuple[str, str]]  # role and content


@dataclass(frozen=True)
class Chat:
    """A tokenizer in an output directory, and in `transformers`."""

    target: Path
    identity: TokenizerIdentity

    @property
    def folder(self) -> Path:
        return self.target / "tokenizer"

    def load(self, **settings: str) -> SegmentTokenizer:
        config = TokenizerConfig(path="x", **settings)
        return SegmentTokenizer(self.folder, self.identity, config)

    def transformers(self) -> PreTrainedTokenizerFast:
        return PreTrainedTokenizerFast.from_pretrained(self.folder)


def save_tokenizer(folder: Path, template: str | None = None, **settings: object) -> Path:
    """A byte-level BPE as a Hugging Face directory."""
    tokenizer = HuggingFaceTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, "user assistant system"], trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def made(folder: Path, template: str | None = None, **settings: object) -> Chat:
    source = save_tokenizer(folder / "source", template, **settings)
    identity = resolve_tokenizer(TokenizerConfig(path="source"), source.parent, folder / "out")
    return Chat(folder / "out", identity)


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return made(tmp_path_factory.mktemp("chat"), CHATML)


def conversation(turns: Turns) -> tuple[pa.StringArray, pa.ListArray]:
    """One document of these segments, joined as conversations are."""
    return documents([turns])


def documents(
    many: Sequence[Turns], separator: str = "\n\n"
) -> tuple[pa.StringArray, pa.ListArray]:
    """Texts and their segments."""
    parts = pa.array([text for turns in many for _, text in turns], pa.string())
    roles = pa.array([role for turns in many for role, _ in turns], pa.string())
    offsets = np.concatenate([[0], np.cumsum([len(turns) for turns in many])]).astype(np.int64)
    texts, segments = join(parts, offsets, roles, separator)
    return texts, segments.column()


def spelled(text: str, segments: pa.ListArray) -> list[tuple[str, str]]:
    """Role and text of the segments of one document."""
    found = Segments.of(segments)
    parts = found.texts(pa.array([text], pa.string()))
    return list(zip(found.roles.to_pylist(), parts.to_pylist(), strict=True))
