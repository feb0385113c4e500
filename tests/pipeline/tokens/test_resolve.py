"""The copy of a tokenizer, its identity, and the message where there is none."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models

from pipeline.errors import ManifestError
from pipeline.files import file_hash
from pipeline.shards import TokenizerIdentity
from pipeline.tokens import resolve
from pipeline.tokens.config import TokenizerConfig
from pipeline.tokens.resolve import resolve_tokenizer
from tests.pipeline.tokens.conftest import Resolved, byte_level_tokenizer, resolved


def test_identity_gives_the_ids_and_the_fingerprint_of_the_copy(
    byte_level: Resolved, unigram: Resolved, word_piece: Resolved
) -> None:
    for made in (byte_level, unigram, word_piece):
        assert made.identity.fingerprint == file_hash(made.folder / "tokenizer.json")
    marks = [(m.identity.bos_id, m.identity.eos_id) for m in (byte_level, unigram, word_piece)]
    assert marks == [(None, 0), (1, 2), (2, 3)]
    assert (byte_level.identity.pad_id, word_piece.identity.pad_id) == (0, 0)
    ids = byte_level.reference().get_vocab(with_added_tokens=True).values()
    assert (byte_level.identity.num_ids, byte_level.identity.path) == (max(ids) + 1, "tokenizer")


def test_smollm2_has_the_ids_of_its_model(smollm2: Resolved) -> None:
    identity = smollm2.identity
    assert (identity.num_ids, identity.bos_id, identity.eos_id) == (49152, 1, 2)


def test_an_unchanged_source_is_not_loaded_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resolved(byte_level_tokenizer(), tmp_path, eos_token="<|endoftext|>")
    config = TokenizerConfig(path="source")
    with monkeypatch.context() as patched:
        patched.setattr(resolve, "_load", lambda *_: pytest.fail("loaded again"))
        assert resolve_tokenizer(config, tmp_path, made.target) == made.identity
    byte_level_tokenizer(("<|endoftext|>", "<x>")).save(str(tmp_path / "source/tokenizer.json"))
    changed = resolve_tokenizer(config, tmp_path, made.target)
    assert changed.fingerprint != made.identity.fingerprint
    assert changed.fingerprint == file_hash(made.folder / "tokenizer.json")


def test_a_damaged_copy_is_made_again(tmp_path: Path) -> None:
    made = resolved(byte_level_tokenizer(), tmp_path, eos_token="<|endoftext|>")
    (made.folder / "tokenizer.json").write_text("{}")
    again = resolve_tokenizer(TokenizerConfig(path="source"), tmp_path, made.target)
    assert again == made.identity
    assert file_hash(made.folder / "tokenizer.json") == again.fingerprint


def refused(path: str, base: Path, **settings: str) -> str:
    config = TokenizerConfig(path=path, **settings)
    with pytest.raises(ManifestError) as caught:
        resolve_tokenizer(config, base, base / "out")
    assert not (base / "out" / "tokenizer").exists() or settings
    assert not list((base / "out").glob(".tmp-*"))
    return str(caught.value)


def test_a_tokenizer_that_is_nowhere_gives_one_message(tmp_path: Path) -> None:
    message = refused("nobody/no-such-tokenizer", tmp_path)
    assert "tokenizer.path: got 'nobody/no-such-tokenizer'" in message
    assert "HF_HUB_OFFLINE" in message
    assert "\n" not in message


def test_a_directory_or_file_that_is_no_tokenizer_gives_one_message(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "cannot be read as a tokenizer" in refused("empty", tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/tokenizer.json").write_text('{"model": 1}')
    (tmp_path / "broken/tokenizer_config.json").write_text("{}")
    assert "cannot be read as a tokenizer" in refused("broken", tmp_path)
    assert "want the directory" in refused("broken/tokenizer.json", tmp_path)


def test_a_tokenizer_without_a_fast_form_is_refused(tmp_path: Path) -> None:
    from transformers import CanineTokenizer

    CanineTokenizer().save_pretrained(tmp_path / "slow")
    message = refused("slow", tmp_path)
    assert "CanineTokenizer" in message
    assert "tokenizer.json" in message


def test_a_model_that_fails_on_unknown_text_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tokenizer = HuggingFaceTokenizer(models.Unigram([("a", -1.0), ("b", -1.5)], None, False))
    tokenizer.save(str(source / "tokenizer.json"))
    (source / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    assert "Unigram model without an unknown token" in refused("source", tmp_path)


def test_a_mark_that_the_tokenizer_lacks_cannot_be_asked_for(byte_level: Resolved) -> None:
    base = byte_level.target.parent
    with pytest.raises(ManifestError, match=r"tokenizer\.bos: got always.*want auto or never"):
        resolve_tokenizer(TokenizerConfig(path="source", bos="always"), base, byte_level.target)


def test_absolute_paths_stay_what_they_are(byte_level: Resolved, tmp_path: Path) -> None:
    source = shutil.copytree(byte_level.target.parent / "source", tmp_path / "elsewhere")
    identity = resolve_tokenizer(TokenizerConfig(path=str(source)), Path("/nowhere"), tmp_path)
    assert isinstance(identity, TokenizerIdentity)
    assert identity == byte_level.identity
