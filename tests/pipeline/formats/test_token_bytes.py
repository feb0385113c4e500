"""Bytes of tokens, for each family of tokenizers, against the text that the tokens came from."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.formats.token_bytes import token_bytes
from tests.pipeline.corpora import docstrings

TEXT = "The café costs 5 €, \N{GRINNING FACE} naïve words\nand more words of it."


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def num_bytes(path: Path, text: str) -> int:
    tokenizer = Tokenizer.from_file(str(path))
    sizes = token_bytes(path, tokenizer.get_vocab_size())
    return int(sizes[tokenizer.encode(text).ids].sum())


def test_byte_level_bpe_is_exact(tmp_path: Path, tokenizer_folder: Path) -> None:
    path = tokenizer_folder / "tokenizer.json"
    for text in (TEXT, *docstrings()[:50]):
        assert num_bytes(path, text) == len(text.encode())
    assert num_bytes(path, "<eos>") == 0


def test_sentencepiece_with_bytes_is_exact(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0), *((f"<0x{n:02X}>", -9.0) for n in range(256))]
    pieces += [("▁words", -1.0), ("▁", -3.0), ("é", -2.0), *((c, -4.0) for c in "Theacfotsx5,nv")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    assert num_bytes(saved(tokenizer, tmp_path), TEXT) == len(TEXT.encode())


def test_word_pieces_count_a_space_a_word(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(docstrings()[:100], trainer)
    path = saved(tokenizer, tmp_path)
    text = " ".join(docstrings()[0].split())
    assert num_bytes(path, text) == pytest.approx(len(text.encode()), rel=0.15)
