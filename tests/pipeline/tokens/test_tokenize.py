"""Token ids are those of `tokenizers`, whatever engine made them and in whatever batches."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models, pre_tokenizers

from pipeline.errors import PrepareError
from pipeline.tokens import tokenize
from pipeline.tokens.agreement import first_difference, sample_texts
from pipeline.tokens.engines import Fastokens, HuggingFace, read_settings
from pipeline.tokens.tokenize import Tokens
from tests.pipeline.tokens.conftest import Resolved, byte_level_tokenizer, resolved

TEXTS = ["the fox", "", "x <|endoftext|> y", "Größe\n\n  and 12345", "日本語 😀", "a" * 300]
KINDS = ["byte_level", "unigram", "word_piece"]
once = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
texts = st.lists(st.text(max_size=60), max_size=8)


def rows(tokens: Tokens) -> list[list[int]]:
    ends = tokens.offsets.tolist()
    return [tokens.values[a:b].tolist() for a, b in pairwise(ends)]


@given(values=texts)
@once
def test_byte_level_ids_are_those_of_tokenizers(byte_level: Resolved, values: list[str]) -> None:
    reference, eos = byte_level.reference(), byte_level.identity.eos_id
    wanted = [[*reference.encode(text, add_special_tokens=False).ids, eos] for text in values]
    assert rows(byte_level.load().encode(pa.array(values, pa.string()))) == wanted


def test_byte_level_bpe_runs_on_fastokens_and_the_others_say_why_not(
    request: pytest.FixtureRequest,
) -> None:
    loaded = {kind: request.getfixturevalue(kind).load() for kind in KINDS}
    assert (loaded["byte_level"].engine, loaded["byte_level"].reason) == ("fastokens", None)
    for kind in ("unigram", "word_piece"):
        assert loaded[kind].engine == "fastokens" or loaded[kind].reason


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_or_many_give_the_same_ids(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind).load()
    column = pa.array(["sliced off", *TEXTS, "sliced off"])
    whole = tokenizer.encode(column.slice(1, len(TEXTS)))
    single = [rows(tokenizer.encode(column.slice(1 + i, 1)))[0] for i in range(len(TEXTS))]
    assert rows(whole) == single
    assert len(whole.values) == whole.offsets[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_gives_no_ids(kind: str, request: pytest.FixtureRequest) -> None:
    tokens = request.getfixturevalue(kind).load().encode(pa.array([], pa.string()))
    assert (tokens.values.tolist(), tokens.offsets.tolist()) == ([], [0])
    assert tokens.values.dtype == np.uint16


def test_marks_are_those_of_the_tokenizer_unless_the_manifest_says_otherwise(
    byte_level: Resolved, unigram: Resolved, word_piece: Resolved
) -> None:
    def first_and_last(kind: Resolved, **settings: str) -> tuple[int, int]:
        ids = kind.load(**settings).encode(pa.array(["the fox"])).values
        return int(ids[0]), int(ids[-1])

    eos = byte_level.identity.eos_id
    assert first_and_last(byte_level)[1] == eos
    assert eos not in first_and_last(byte_level, eos="never")
    assert first_and_last(unigram) == (1, 2)
    assert first_and_last(unigram, bos="never", eos="never")[0] not in (1, 2)
    assert first_and_last(word_piece) == (2, 3)


def test_begin_marks_of_a_config_file_are_honoured(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer(("<s>", "</s>"))
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    for name, add in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        made = resolved(tokenizer, tmp_path / name, add_bos_token=add, **tokens)
        ids = made.load().encode(pa.array(["the fox", ""])).values.tolist()
        assert (ids[0] == 0, ids[-1]) == (add, 1)
        assert made.load(bos="always").encode(pa.array(["", ""])).values.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("byte_level", "a <|endoftext|> b<|endoftext|>"),
        ("unigram", "html <s> the </s></s> fox"),
        ("word_piece", "the [SEP] fox [CLS][MASK]"),
    ],
)
def test_a_special_token_in_a_text_is_text(
    kind: str, text: str, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(kind)
    tokenizer = made.load(bos="never", eos="never")
    ids = tokenizer.encode(pa.array(["the fox", text, "fox"]))
    added = made.reference().get_added_tokens_decoder()
    unknown = {"unigram": 0, "word_piece": 1}.get(kind)
    special = {i for i, token in added.items() if token.special} - {unknown}
    assert not special & set(ids.values.tolist())
    assert len(rows(ids)[1]) > len(rows(ids)[0])
    assert rows(ids)[0] == rows(tokenizer.encode(pa.array(["the fox"])))[0]


def test_the_unigram_case_is_one_where_the_library_alone_gives_the_special_id(
    unigram: Resolved,
) -> None:
    assert 2 in unigram.reference().encode("html </s> fox", add_special_tokens=False).ids


def test_a_text_beyond_the_vocabulary_becomes_unknown_tokens(
    unigram: Resolved, word_piece: Resolved
) -> None:
    for kind, unknown in ((unigram, 0), (word_piece, 1)):
        tokens = kind.load().encode(pa.array(["日本語"]))
        assert unknown in tokens.values.tolist()


def test_a_byte_without_a_token_sends_its_document_alone_to_tokenizers(smollm2: Resolved) -> None:
    tokenizer, reference = smollm2.load(), smollm2.reference()
    values = ["the fox", "a\x04b", "日本語 😀", "\x06", "end"]
    tokens = tokenizer.encode(pa.array(values))
    wanted = [[*reference.encode(text, add_special_tokens=False).ids, 2] for text in values]
    assert (tokenizer.engine, tokens.num_fallback) == ("fastokens", 2)
    assert rows(tokens) == wanted
    assert tokenizer.encode(pa.array(["the fox"])).num_fallback == 0


def test_text_without_any_token_is_counted(smollm2: Resolved) -> None:
    tokens = smollm2.load(eos="never").encode(pa.array(["\x06", "fox"]))
    assert (tokens.num_empty, len(tokens.values)) == (1, 1)


def test_smollm2_is_encoded_as_by_tokenizers(smollm2: Resolved) -> None:
    settings_ = read_settings(smollm2.folder / "tokenizer.json")
    assert first_difference(Fastokens(settings_), HuggingFace(settings_)) is None
    tokens = smollm2.load().encode(pa.array(sample_texts()))
    reference = smollm2.reference()
    wanted = [[*reference.encode(t, add_special_tokens=False).ids, 2] for t in sample_texts()]
    assert rows(tokens) == wanted


class Wrong(Fastokens):
    """A fast engine that errs on documents with a certain word, none of them in the sample."""

    def encode(self, texts: list[str]) -> tokenize.Ragged:
        return super().encode([text.replace("zyzzyva", "fox") for text in texts])


def test_the_audit_finds_a_document_on_which_the_engines_differ(
    byte_level: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenize, "Fastokens", Wrong)
    values = [f"zyzzyva {number}" for number in range(12_000)]
    tokens = byte_level.load().encode(pa.array(values))
    reference = byte_level.reference()
    right = [
        row == [*reference.encode(text, add_special_tokens=False).ids, 0]
        for row, text in zip(rows(tokens), values, strict=True)
    ]
    assert 1 <= tokens.num_mismatched <= 16
    assert sum(right) == tokens.num_mismatched
    halves = [byte_level.load().encode(pa.array(part)) for part in (values[:7], values[7:])]
    assert [row for half in halves for row in rows(half)] == rows(tokens)


def test_engines_that_differ_on_the_sample_leave_all_to_tokenizers(
    byte_level: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tokens.agreement._SAMPLE", ("the zyzzyva",))
    monkeypatch.setattr(tokenize, "Fastokens", Wrong)
    tokenizer = byte_level.load()
    assert tokenizer.engine == "tokenizers"
    assert "'the zyzzyva'" in str(tokenizer.reason)


def test_truncation_padding_and_dropout_of_the_file_are_not_obeyed(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    text = "return a + b and again the lazy dog" * 20
    plain = tokenizer.encode(text).ids
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=4000)
    tokenizer.model.dropout = 0.5
    made = resolved(tokenizer, tmp_path, eos_token="<|endoftext|>")
    assert made.load(eos="never").encode(pa.array([text])).values.tolist() == plain


def test_ids_are_as_wide_as_the_whole_vocabulary_asks_for(tmp_path: Path) -> None:
    words = {"<unk>": 0, **{f"w{i}": i for i in range(1, 1 << 16)}}
    tokenizer = HuggingFaceTokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = {}
    for name, added in (("narrow", []), ("wide", ["<added>"])):
        tokenizer.add_tokens(added)
        (tmp_path / name).mkdir()
        made[name] = resolved(tokenizer, tmp_path / name).load()
        assert len(words) == tokenizer.get_vocab_size(with_added_tokens=False)
    narrow, wide = (made[name].encode(pa.array(["w65535 <added>"])).values for name in made)
    assert (narrow.dtype, narrow.tolist()) == (np.uint16, [65535, 0])
    assert (wide.dtype, wide.tolist()) == (np.uint32, [65535, 65536])


def test_a_changed_copy_is_refused(tmp_path: Path) -> None:
    made = resolved(byte_level_tokenizer(), tmp_path, eos_token="<|endoftext|>")
    (made.folder / "tokenizer.json").write_text("{}")
    with pytest.raises(PrepareError, match=r"tokenizer\.json: missing or changed"):
        made.load()


def test_a_worker_stays_in_one_thread_and_loads_no_transformers(byte_level: Resolved) -> None:
    program = f"""
import os, sys, time
import pyarrow as pa
from pathlib import Path
from pipeline.shards import TokenizerIdentity
from pipeline.tokens.config import TokenizerConfig
from pipeline.tokens.tokenize import Tokenizer
tokenizer = Tokenizer(Path({str(byte_level.folder)!r}), {byte_level.identity!r},
                      TokenizerConfig(path="x"))
texts = pa.array([f"the lazy dog {{i}} " * 200 for i in range(3000)])
tokenizer.encode(texts)
wall, cpu = time.perf_counter(), time.process_time()
tokenizer.encode(texts)
print((time.process_time() - cpu) / (time.perf_counter() - wall), "transformers" in sys.modules)
"""
    ambient = {k: v for k, v in os.environ.items() if "RAYON" not in k and "TOKEN" not in k}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ambient
    )
    share, transformers = done.stdout.split()
    assert float(share) < 1.2
    assert transformers == "False"
