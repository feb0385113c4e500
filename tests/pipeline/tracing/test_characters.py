"""Tokens to characters: by the bytes that they spell, and against `tokenizers`' own offsets."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import decoders, models, normalizers, trainers

from pipeline.tokens.engines import read_settings
from pipeline.tokens.resolve import TOKENIZER_FILE
from pipeline.tracing.characters import NONE, Aligner, Characters
from tests.pipeline.tokens.conftest import CORPUS, Resolved, byte_level_tokenizer, resolved

WORDS = [
    "the fox",
    "\n\n",
    "日本語",
    "é",
    "e\u0301",
    "👩‍👩‍👧",
    "\x01",
    "</s>",
    "<|endoftext|>",
    "ﬁ",
    " ",
]
TEXTS = st.text() | st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
KINDS = ["byte_level", "unigram", "word_piece", "gappy"]
WITHOUT = "\x01\x02\x03"


class Aligned:
    """A tokenizer of an output, with what aligns its tokens."""

    def __init__(self, resolved: Resolved, **marks: str) -> None:
        self.encoder = resolved.load(**marks)
        self.path = resolved.folder / TOKENIZER_FILE
        self.aligner = Aligner(read_settings(self.path), resolved.identity)

    def __call__(self, text: str) -> tuple[np.ndarray, Characters]:
        ids = self.encoder.encode(pa.array([text], pa.string())).values
        return ids, self.aligner.align(text, ids)

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and offsets as the library tells, without what its post-processor trims."""
        values = json.loads(self.path.read_text())
        tokenizer = HuggingFaceTokenizer.from_str(json.dumps({**values, "post_processor": None}))
        tokenizer.encode_special_tokens = True
        encoding = tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets


@pytest.fixture(scope="session")
def gappy(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """Byte-level without tokens for three bytes, as SmolLM2 for 21."""
    values = json.loads(byte_level_tokenizer().to_str())
    gone = [chr(0x100 + ord(character)) for character in WITHOUT]
    values["model"]["vocab"] = {k: v for k, v in values["model"]["vocab"].items() if k not in gone}
    tokenizer = HuggingFaceTokenizer.from_str(json.dumps(values))
    return resolved(tokenizer, tmp_path_factory.mktemp("gappy"), eos_token="<|endoftext|>")


@pytest.fixture(scope="session", params=KINDS)
def aligned(request: pytest.FixtureRequest) -> Aligned:
    return Aligned(request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def gpt2(byte_level: Resolved) -> Aligned:
    return Aligned(byte_level)


@given(text=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_spans_ascend_and_lie_in_the_text(aligned: Aligned, text: str) -> None:
    ids, found = aligned(text)
    known = found.begin != NONE
    assert len(found.begin) == len(found.end) == len(ids)
    assert np.array_equal(known, found.end != NONE)
    assert (found.begin[known] <= found.end[known]).all()
    assert (np.diff(found.begin[known]) >= 0).all()
    assert (np.diff(found.end[known]) >= 0).all()
    assert not known.any() or 0 <= found.begin[known][0] <= found.end[known][-1] <= len(text)


@given(text=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_the_bytes_of_byte_level_tokens_are_the_text_and_no_other(gpt2: Aligned, text: str) -> None:
    ids, found = gpt2(text)
    data, body = text.encode(), slice(0, len(ids) - 1)
    assert found.is_exact
    assert found.begin[-1] == NONE  # the end mark
    assert found.byte_begin is not None
    assert found.byte_end is not None
    pieces = [data[a:b] for a, b in zip(found.byte_begin[body], found.byte_end[body], strict=True)]
    assert b"".join(pieces) == data
    characters = [text[a:b] for a, b in zip(found.begin[body], found.end[body], strict=True)]
    for piece, character in zip(pieces, characters, strict=True):
        assert piece in character.encode()
        assert len(piece) > 0


@given(text=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_characters_of_byte_level_tokens_are_those_that_tokenizers_tells(
    gpt2: Aligned, text: str
) -> None:
    ids, found = gpt2(text)
    expected_ids, offsets = gpt2.offsets(text)
    assert ids[:-1].tolist() == expected_ids
    assert list(zip(found.begin[:-1], found.end[:-1], strict=True)) == offsets


@given(text=TEXTS | st.text("ab \x01\x02\x03"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_bytes_without_a_token_are_skipped_and_told(gappy: Resolved, text: str) -> None:
    aligned = Aligned(gappy)
    ids, found = aligned(text)
    num_gone = sum(text.count(character) for character in WITHOUT)
    assert found.is_exact
    assert found.byte_begin is not None
    assert found.byte_end is not None
    assert (found.note or "0").split()[0] == str(num_gone)
    spans = zip(found.byte_begin[:-1], found.byte_end[:-1], strict=True)
    spelled = aligned.aligner.spelling.of(ids[:-1].tolist())
    for token, (begin, end) in zip(spelled, spans, strict=True):
        assert text.encode()[begin:end].translate(None, WITHOUT.encode()) == token
    assert b"".join(spelled) == text.encode().translate(None, WITHOUT.encode())


def test_a_part_of_a_character_has_its_character_and_its_own_bytes(gpt2: Aligned) -> None:
    _, found = gpt2("a日b")
    assert found.begin[:-1].tolist() == [0, 1, 1, 1, 2]
    assert found.end[:-1].tolist() == [1, 2, 2, 2, 3]
    assert found.byte_begin is not None
    assert found.byte_begin[:-1].tolist() == [0, 1, 2, 3, 4]


def test_special_tokens_in_a_text_are_its_characters_and_marks_have_none(
    byte_level: Resolved, unigram: Resolved
) -> None:
    _, found = Aligned(byte_level)("<|endoftext|>")
    assert (found.begin[0], found.end[-2], found.end[-1]) == (0, 13, NONE)
    text = "the fox </s> again"
    ids, found = Aligned(unigram)(text)
    assert found.begin[0] == found.begin[-1] == NONE
    assert ids[-1] not in ids[:-1]
    assert text[found.begin[-2] : found.end[-2]].strip() in "again"
    ids, found = Aligned(unigram, bos="never", eos="never")("the fox")
    assert (found.begin >= 0).all()
    assert found.is_exact


def test_a_text_that_is_normalised_says_so(word_piece: Resolved) -> None:
    _, found = Aligned(word_piece)("The FOX Größe")
    assert not found.is_exact
    assert "normalises it (BertNormalizer)" in str(found.note)
    assert (found.begin[1], found.end[1]) == (0, 3)


def test_other_tokens_than_those_of_the_text_are_not_known(gpt2: Aligned) -> None:
    ids, _ = gpt2("the quick fox")
    found = gpt2.aligner.align("the quick fix", ids)
    assert (found.begin == NONE).all()
    assert "not known" in str(found.note)


@pytest.fixture(scope="session")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Aligned:
    """A BPE as Llama's: spaces as U+2581, one before the text, and bytes for what is not in it."""
    tokenizer = HuggingFaceTokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    values = json.loads(tokenizer.to_str())
    values["added_tokens"] = values["added_tokens"][:3]  # bytes are no added tokens
    folder = tmp_path_factory.mktemp("sentencepiece")
    tokenizer = HuggingFaceTokenizer.from_str(json.dumps(values))
    return Aligned(resolved(tokenizer, folder, bos_token="<s>", eos_token="</s>"))


@given(text=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_sentencepiece_with_byte_fallback_is_exact_to_the_byte(
    sentencepiece: Aligned, text: str
) -> None:
    _, found = sentencepiece(text)
    if "\u2581" in text:  # it reads as a space
        return
    assert found.is_exact
    assert found.byte_end is not None
    assert found.byte_end.max(initial=0) == len(text.encode()) or not text


def test_gpt2s_prefix_space_is_no_character(tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = byte_level_tokenizer()
    values = json.loads(tokenizer.to_str())
    values["pre_tokenizer"]["add_prefix_space"] = True
    folder = tmp_path_factory.mktemp("prefix-space")
    tokenizer = HuggingFaceTokenizer.from_str(json.dumps(values))
    aligned = Aligned(resolved(tokenizer, folder, eos_token="<|endoftext|>"))
    text = "the quick fox"
    ids, found = aligned(text)
    assert aligned.aligner.spelling.of([int(ids[0])])[0].startswith(b" ")
    assert found.is_exact
    assert "".join(text[a:b] for a, b in zip(found.begin, found.end, strict=True)) == text
