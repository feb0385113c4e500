import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import kernels
from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.signature import (
    Signatures,
    band_hashes,
    buckets,
    sign,
    text_buffers,
)
from pipeline.dedup.words import word_table
from tests.pipeline.dedup import oracle

CONFIG = DedupConfig()
CHARACTERS = DedupConfig(minhash=MinHashConfig(shingles="characters", ngram=6))
WORDS = "one two three four five six seven eight nine ten"


def shingle_hashes(text: str, ngram: int = 5, by_characters: bool = False) -> np.ndarray:
    """The kernel's 64-bit shingle hashes of one text, in its order."""
    data, bounds = text_buffers(pa.array([text]))
    words = np.empty(len(data) + 1, np.uint64)
    read = kernels.character_hashes if by_characters else kernels.word_hashes
    num_words = read(data, bounds[0], bounds[1], word_table(), words)
    return words[: kernels.shingle(words, num_words, ngram)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefgh"), max_size=300).map(" ".join),
    st.integers(1, 130),
    st.integers(0, 2**32 - 1),
    st.integers(1, 7),
    st.sampled_from(["words", "characters"]),
)
def test_minhashes_equal_datasketch_affine32_for_the_same_hashes(text, num_perm, seed, ngram, kind):
    minhash = MinHashConfig(
        num_perm=num_perm, bands=1, rows=1, seed=seed, ngram=ngram, shingles=kind
    )
    signatures = sign(pa.array([text]), DedupConfig(minhash=minhash))
    hashes = shingle_hashes(text, ngram, kind == "characters").astype(np.uint32).tolist()
    theirs = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=lambda x: x)
    theirs.update_batch(hashes)
    assert signatures.minhashes[0].tolist() == theirs.hashvalues.tolist()
    assert signatures.num_shingles[0] == len(hashes)


def test_a_document_of_many_blocks_equals_datasketch():
    text = " ".join(map(str, range(3 * 4096 + 17)))
    theirs = MinHash(num_perm=112, scheme="affine32", hashfunc=lambda x: x)
    theirs.update_batch(shingle_hashes(text).astype(np.uint32).tolist())
    assert sign(pa.array([text]), CONFIG).minhashes[0].tolist() == theirs.hashvalues.tolist()


@settings(max_examples=200, deadline=None)
@given(oracle.ANY_TEXT | oracle.LIKE_TEXT, st.integers(1, 6), st.booleans())
def test_shingle_hashes_are_equal_exactly_where_the_shingles_are(text, ngram, by_characters):
    parts = oracle.characters(text) if by_characters else oracle.words(text)
    shingles = [tuple(parts[i : i + ngram]) for i in range(max(len(parts) - ngram + 1, 0))]
    hashes = shingle_hashes(text, ngram, by_characters).tolist()
    assert len(hashes) == len(shingles)
    assert len(set(zip(hashes, shingles, strict=True))) == len(set(hashes)) == len(set(shingles))


@settings(max_examples=150, deadline=None)
@given(oracle.TEXTS)
def test_whole_text_hashes_are_equal_exactly_where_the_words_are(texts):
    hashes = sign(pa.array(texts, pa.string()), CONFIG).exact_hash.tolist()
    identities = [
        tuple(oracle.words(text or "")) or (text or "").strip(" \t\n\v\f\r") for text in texts
    ]
    assert len(set(zip(hashes, identities, strict=True))) == len(set(hashes))
    assert len(set(hashes)) == len(set(identities))


@settings(max_examples=80, deadline=None)
@given(oracle.TEXTS, st.integers(0, 12), st.sampled_from([CONFIG, CHARACTERS]))
def test_slices_and_splits_give_the_same_signatures(texts, cut, config):
    whole = sign(pa.array(texts, pa.string()), config)
    array = oracle.sliced(texts)
    first, second = sign(array[:cut], config), sign(array[cut:], config)
    for one, parts in zip(whole, zip(first, second, strict=True), strict=True):
        assert np.array_equal(one, np.concatenate(parts))


def test_case_punctuation_and_white_space_do_not_change_a_signature():
    texts = [f"{WORDS} straße", f"  {WORDS.upper().replace(' ', ' -- ')},\n\nSTRAẞE! "]
    signatures = sign(pa.array(texts), CONFIG)
    assert np.array_equal(signatures.minhashes[0], signatures.minhashes[1])
    assert signatures.exact_hash[0] == signatures.exact_hash[1]


def test_the_order_of_words_changes_a_signature():
    signatures = sign(pa.array(["a b c d e", "e d c b a", "ab c d e f"]), CONFIG)
    assert len(set(signatures.exact_hash.tolist())) == 3
    assert len(set(map(bytes, signatures.minhashes))) == 3


def test_an_empty_batch_has_empty_signatures():
    signatures = sign(pa.array([], pa.string()), CONFIG)
    assert [len(column) for column in signatures] == [0, 0, 0]
    assert signatures.minhashes.shape == (0, 112)
    assert [len(column) for column in buckets(signatures, CONFIG)] == [0, 0]


def test_thai_and_chinese_are_shingled_by_character():
    signatures = sign(pa.array(["漢字仮名交", "ภาษาไทย", "한국어"]), CONFIG)
    assert signatures.num_shingles.tolist() == [1, 3, 0]


@pytest.mark.parametrize(
    "text",
    [
        "数据处理管道读取文档并去除重复的内容",  # Chinese
        "文書を読み込んで重複した内容を取り除く",  # Japanese
        "ท่อประมวลผลข้อมูลอ่านเอกสารและลบเนื้อหาที่ซ้ำ",  # Thai
    ],
)
def test_words_of_scripts_without_spaces_are_characters(text):
    words = DedupConfig(minhash=MinHashConfig(ngram=6))
    assert sign(pa.array([text]), words).num_shingles.tolist() == [len(text) - 5]
    assert shingle_hashes(text, 6).tolist() == shingle_hashes(text, 6, True).tolist()
    grams = {text[i : i + 6] for i in range(len(text) - 5)}
    assert len(set(shingle_hashes(text, 6).tolist())) == len(grams)
    # One character of the middle changed: six n-grams are others, all the rest are shared.
    changed = text[:9] + ("字" if text[9] != "字" else "文") + text[10:]
    same = set(shingle_hashes(text, 6).tolist()) & set(shingle_hashes(changed, 6).tolist())
    assert len(same) >= len(text) - 5 - 6


def test_characters_are_of_the_words_with_one_space_between_them():
    texts = ["Foo -- bar, BAZ!", "foo bar\n\nbaz", "foobar baz", "foo\u00adbar baz"]
    hashes = [shingle_hashes(text, 6, True).tolist() for text in texts]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert [len(found) for found in hashes] == [6, 6, 5, 5]


def test_a_document_of_few_characters_takes_the_exact_bucket_only():
    config = DedupConfig(exact=False, minhash=MinHashConfig(shingles="characters", ngram=9))
    signatures = sign(pa.array(["ab, cd ef", "abcd -- efg!", "!", ""]), config)
    assert signatures.num_shingles.tolist() == [0, 0, 0, 0]
    signatures = sign(pa.array(["ab, cd efg", "x" * 9]), config)
    assert signatures.num_shingles.tolist() == [1, 1]
    found = buckets(sign(pa.array(["ab, cd ef", "ab, cd efg", "AB cd EF"]), config), config)
    assert np.bincount(found.row).tolist() == [1, 14, 1]
    assert found.bucket[0] == found.bucket[-1]


def test_a_text_of_no_words_collides_only_with_itself():
    texts = ["!!!", " !!!\n", "???", "", " \t", None, "a"]
    hashes = sign(pa.array(texts), CONFIG).exact_hash.tolist()
    assert hashes[0] == hashes[1]
    assert hashes[3] == hashes[4] == hashes[5]
    assert len(set(hashes)) == 4


def test_short_documents_take_the_exact_bucket_only():
    signatures = sign(pa.array(["a b c d", "a b c d e", "!"]), CONFIG)
    found = buckets(signatures, CONFIG)
    assert np.bincount(found.row).tolist() == [1, 15, 1]
    assert np.all(np.diff(found.row) >= 0)


@pytest.mark.parametrize(
    ("config", "num_buckets"),
    [
        (DedupConfig(exact=False), [1, 14]),
        (DedupConfig(minhash=None), [1, 1]),
        (DedupConfig(exact=False, minhash=None), []),
    ],
)
def test_buckets_follow_the_config(config, num_buckets):
    found = buckets(sign(pa.array(["short one", WORDS]), config), config)
    assert np.bincount(found.row).tolist() == num_buckets


def test_equal_rows_share_a_bucket_in_the_same_band_only():
    minhashes = np.full((2, 112), 7, np.uint32)
    minhashes[1, 8:] += np.arange(1, 105, dtype=np.uint32)
    bands = band_hashes(minhashes, MinHashConfig())
    assert (bands[0] == bands[1]).tolist() == [True] + [False] * 13
    assert len(set(bands[0].tolist())) == 14


def test_permutations_that_no_band_uses_change_no_bucket():
    config = MinHashConfig(num_perm=10, bands=3, rows=3)
    minhashes = np.arange(20, dtype=np.uint32).reshape(2, 10)
    other = minhashes.copy()
    other[:, 9] = 0
    assert np.array_equal(band_hashes(minhashes, config), band_hashes(other, config))


def test_exact_only_signatures_have_no_minhashes_but_count_shingles():
    signatures = sign(pa.array([WORDS]), DedupConfig(minhash=None))
    assert isinstance(signatures, Signatures)
    assert signatures.minhashes.shape == (1, 0)
    assert signatures.num_shingles.tolist() == [6]
