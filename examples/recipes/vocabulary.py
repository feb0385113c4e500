"""A tokenizer and an untrained architecture beside it, for the recipe that begins from nothing."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

NUM_IDS = 4096
END_OF_TEXT = "<|endoftext|>"


def make(folder: Path, texts: Iterable[str]) -> None:
    """Write a byte-level BPE of at most `NUM_IDS` ids and a Llama's config.json to `folder`."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NUM_IDS,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END_OF_TEXT).save_pretrained(folder)
    architecture(bpe.get_vocab_size()).save_pretrained(folder)


def architecture(num_ids: int) -> LlamaConfig:
    """A Llama of 3.2 million weights: the output embedding is the input's."""
    return LlamaConfig(
        vocab_size=num_ids,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        architectures=["LlamaForCausalLM"],
    )
