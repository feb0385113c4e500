import pickle

import pyarrow as pa
import pytest
from ftlangdetect import detect
from hypothesis import given, settings

from filters.errors import FilterConfigError, FilterLoadError
from filters.language import Language
from filters.language_model import LID_176, load_language_model, shipped_model
from filters.protocol import apply, first_failures, load
from tests.filters.strategies import ROWS, batch_of

SENTENCES = {
    "en": "The committee will publish its findings before the end of the year.",
    "de": "Der Ausschuss wird seine Ergebnisse noch vor Ende des Jahres veröffentlichen.",
    "fr": "Le comité publiera ses conclusions avant la fin de l'année prochaine.",
    "ru": "Комитет опубликует свои выводы до конца этого года.",
    "ja": "委員会は年末までに調査結果を公表する予定です。",
    "ar": "ستنشر اللجنة نتائجها قبل نهاية هذا العام.",
    "th": "คณะกรรมการจะเผยแพร่ผลการศึกษาก่อนสิ้นปีนี้",
}


def measured_of(texts, **parameters):
    return apply(Language(languages=("en",), **parameters), batch_of(texts))[0]


def test_languages_are_recognised_and_only_the_wanted_are_kept():
    rule = Language(languages=("de", "ja"))
    measured, mask = apply(rule, batch_of(list(SENTENCES.values())))
    assert measured["language"].to_pylist() == list(SENTENCES)
    assert mask.to_pylist() == [language in ("de", "ja") for language in SENTENCES]


@pytest.mark.parametrize("language", SENTENCES)
def test_signals_are_what_fasttext_langdetect_finds(language, monkeypatch):
    monkeypatch.setenv("FTLANG_CACHE", str(shipped_model().parent))
    wanted = detect(SENTENCES[language], low_memory=True)
    measured = measured_of([SENTENCES[language]])
    assert measured["language"].to_pylist() == [wanted["lang"]]
    assert measured["language_score"].to_pylist() == pytest.approx([wanted["score"]], abs=1e-6)


def test_line_ends_separate_words():
    text = SENTENCES["en"]
    joined, split = measured_of([text, text.replace(" ", "\r\n")]).to_pylist()
    assert joined == split


def test_null_and_blank_texts_have_no_language_and_are_dropped():
    rule = Language(languages=("en",), min_score=0.0)
    measured, mask = apply(rule, batch_of([None, "", " \n\t\u3000"]))
    assert measured["language"].to_pylist() == [None] * 3
    assert measured["language_score"].to_pylist() == [0.0] * 3
    assert mask.to_pylist() == [False] * 3


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_one_batch_or_a_batch_for_each_row_give_the_same(rows):
    whole = measured_of(rows)
    alone = [row for text in rows for row in measured_of([text]).to_pylist()]
    assert whole.to_pylist() == alone
    assert whole.schema.types == [pa.string(), pa.float32()]


def test_a_long_text_that_begins_in_another_language_is_judged_by_all_of_it():
    text = SENTENCES["en"] * 20 + SENTENCES["de"] * 200
    assert measured_of([text])["language"].to_pylist() == ["de"]


def test_a_million_words_are_sampled():
    assert measured_of([(SENTENCES["fr"] + "\n") * 100_000])["language"].to_pylist() == ["fr"]


def test_failures_say_language_or_score():
    rule = Language(languages=("en",), min_score=0.9)
    signals = pa.RecordBatch.from_pydict(
        {
            "language": ["en", "en", "de", None],
            "language_score": pa.array([0.95, 0.5, 0.99, 0.0], pa.float32()),
        }
    )
    failed = first_failures(rule, "language", signals)
    assert failed["rule"].to_pylist() == [
        None,
        "language.language_score",
        "language.language",
        "language.language",
    ]
    assert failed["value"].to_pylist() == [None, 0.5, pytest.approx(0.99), 0.0]
    assert failed["threshold"].to_pylist() == [None, 0.9, None, None]


def test_the_listed_languages_are_those_of_the_model():
    assert load_language_model(None).labels == LID_176


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"languages": ("eng",)}, "got 'eng' in keep.*did you mean en"),
        ({"languages": ()}, "empty keep"),
        ({"languages": ("en",), "min_score": 1.5}, r"min_score=1\.5, want 0\.\.1"),
        ({"languages": ("en",), "max_chars": 10}, "max_chars=10, want at least 100"),
    ],
)
def test_bad_parameters_are_refused(bad, message):
    with pytest.raises(FilterConfigError, match=message):
        Language(**bad)


@pytest.mark.parametrize("contents", [None, b"", b"no model", "half"])
def test_a_missing_or_damaged_model_is_named_and_left_alone(tmp_path, contents):
    path = tmp_path / "lid.ftz"
    if contents is not None:
        whole = shipped_model().read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if contents == "half" else contents)
    with pytest.raises(FilterLoadError, match=r"language model .*lid\.ftz"):
        load(Language(languages=("en",), model=str(path)))
    assert path.exists() == (contents is not None)


def test_a_label_that_the_given_model_lacks_is_refused_on_loading():
    rule = Language(languages=("eng_Latn",), model=str(shipped_model()))
    with pytest.raises(FilterConfigError, match="got 'eng_Latn' in keep"):
        load(rule)


def test_an_instance_pickles_small_without_its_model():
    rule = Language(languages=("en",))
    load(rule)
    pickled = pickle.dumps(rule)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) == rule
