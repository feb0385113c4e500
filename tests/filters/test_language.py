import os
import pickle
from itertools import pairwise
from pathlib import Path

import fasttext
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ftlangdetect import detect
from hypothesis import given, settings

from filters.errors import FilterConfigError, FilterLoadError
from filters.language import NUM_PIECES, Language
from filters.models.language_model import LID_176, load_language_model, shipped_model
from filters.parameters import threshold_names
from filters.protocol import apply, first_failures, load
from filters.registry import create
from filters.statistics import TextStatistics
from tests.filters.fasttext_files import Kind, write
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


ROWS_MEASURED = [
    ("en", 0.95, 0.9),
    ("en", 0.5, 0.1),
    ("de", 0.99, 0.9),
    (None, 0.0, 0.0),
    ("en", 0.92, 0.45),
    ("en", float("nan"), 0.9),
]


def signals_of(*rows):
    languages, scores, margins = zip(*rows, strict=True)
    return pa.RecordBatch.from_pydict(
        {
            "language": pa.array(languages, pa.string()),
            "language_score": pa.array(scores, pa.float32()),
            "language_margin": pa.array(margins, pa.float32()),
        }
    )


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
    assert [*zip(whole.schema.names, whole.schema.types, strict=True)] == [
        (signal.name, signal.type) for signal in Language.SIGNALS
    ]


def test_a_long_text_that_begins_in_another_language_is_judged_by_all_of_it():
    text = SENTENCES["en"] * 20 + SENTENCES["de"] * 200
    assert measured_of([text])["language"].to_pylist() == ["de"]


def test_a_million_words_are_sampled():
    assert measured_of([(SENTENCES["fr"] + "\n") * 100_000])["language"].to_pylist() == ["fr"]


def test_failures_say_language_or_score():
    rule = Language(languages=("en",), min_score=0.9, min_margin=0.5)
    failed = first_failures(rule, "language", signals_of(*ROWS_MEASURED))
    assert failed["rule"].to_pylist() == [
        None,
        "language.language_score",
        "language.language",
        "language.language",
        "language.language_margin",
        "language.language_score",
    ]
    assert failed["value"].to_pylist() == [
        None,
        0.5,
        pytest.approx(0.99),
        0.0,
        pytest.approx(0.45),
        pytest.approx(float("nan"), nan_ok=True),
    ]
    assert failed["threshold"].to_pylist() == [None, 0.9, None, None, 0.5, 0.9]


def test_each_language_can_have_its_own_least_score():
    rule = Language(languages=("de", "en", "fr"), min_score={"en": 0.95, "de": 0.3})
    measured = signals_of(
        ("en", 0.96, 0.9), ("en", 0.94, 0.9), ("de", 0.3, 0.0), ("fr", 0.66, 0.5), ("fr", 0.6, 0.5)
    )
    assert rule.keep(measured).to_pylist() == [True, False, True, True, False]
    assert first_failures(rule, "language", measured)["threshold"].to_pylist() == [
        *(None, 0.95, None, None, 0.65)
    ]


def test_a_score_at_its_threshold_is_kept():
    rule = Language(languages=("en",), min_score=0.5, min_margin=0.25)
    assert rule.keep(signals_of(("en", 0.5, 0.25))).to_pylist() == [True]


def test_the_manifest_gives_one_score_or_one_of_each_language():
    for score in (0.5, 1, {"en": 0.5}):
        _, rule = create({"use": "language", "keep": ["en", "de"], "min_score": score})
        assert rule.min_score == score
    with pytest.raises(FilterConfigError, match="min_score"):
        create({"use": "language", "keep": ["en"], "min_score": "high"})


def test_thresholds_are_what_keep_alone_reads():
    assert threshold_names(Language) == {"keep", "min_score", "min_margin"}


def test_the_margin_is_to_the_second_best_language():
    mixed = SENTENCES["en"] + " " + SENTENCES["de"]
    for row, text in zip(measured_of([mixed, "x"]).to_pylist(), [mixed, "x"], strict=True):
        engine = fasttext.load_model(str(shipped_model())).f
        (best, label), (second, other) = engine.predict(f"{text}\n", 2, -1.0, "strict")
        assert row["language"] == label.removeprefix("__label__")
        assert row["second_language"] == other.removeprefix("__label__")
        assert row["language_score"] == pytest.approx(best, abs=1e-5)
        assert row["language_margin"] == pytest.approx(best - second, abs=1e-5)


def test_any_fasttext_model_gives_its_own_labels(tmp_path):
    labels = ("eng_Latn", "deu_Latn", "srp_Cyrl")
    path = str(write(tmp_path / "glot.bin", Kind(dim=32), 0, labels))
    rule = Language(languages=("eng_Latn", "srp_Cyrl"), model=path, min_score=0)
    load(rule)
    measured, mask = apply(rule, batch_of([*SENTENCES.values(), None]))
    found = measured["language"].to_pylist()
    assert set(found[:-1]) <= set(labels)
    assert set(measured["second_language"].to_pylist()[:-1]) <= set(labels)
    assert mask.to_pylist() == [language in rule.languages for language in found]
    assert measured.to_pylist()[-1] == dict.fromkeys(measured.schema.names[:1]) | {
        "language_score": 0.0,
        "language_margin": 0.0,
        "second_language": None,
    }


@pytest.mark.slow
@pytest.mark.skipif("HEADWATER_CORPUS" not in os.environ, reason="HEADWATER_CORPUS names no corpus")
def test_on_a_corpus_the_languages_and_scores_are_those_of_fasttext():
    engine = fasttext.load_model(str(shipped_model())).f
    num_compared = 0
    for path in sorted(Path(os.environ["HEADWATER_CORPUS"]).glob("docs-*.parquet")):
        texts = pq.read_table(path, columns=["text"])["text"].combine_chunks()[:2700]
        statistics = TextStatistics(texts)
        offsets, lines = statistics.sample(400, NUM_PIECES)
        found = load_language_model(None).classify(offsets, lines)
        encoded = lines.tobytes()
        for row, (start, stop) in enumerate(pairwise(offsets.tolist())):
            if stop - start > 1:
                score, label = engine.predict(encoded[start:stop], 1, 0.0, "strict")[0]
                assert found.score[row] == pytest.approx(min(score, 1.0), abs=1e-5)
                assert found.language[row].as_py() == label.removeprefix("__label__")
                num_compared += 1
    print(f"{num_compared} documents")
    assert num_compared >= 20_000


def test_the_listed_languages_are_those_of_the_model():
    assert load_language_model(None).labels == LID_176


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"languages": ("eng",)}, "got 'eng' in keep.*did you mean en"),
        ({"languages": ()}, "empty keep"),
        ({"languages": ("en",), "min_score": 1.5}, r"min_score=1\.5, want 0\.\.1"),
        ({"languages": ("en",), "min_score": {"en": -1}}, r"min_score of en=-1, want 0\.\.1"),
        (
            {"languages": ("en",), "min_score": {"de": 0.5}},
            "min_score of 'de', want .*keep",
        ),
        ({"languages": ("en",), "min_margin": float("nan")}, r"min_margin=nan, want 0\.\.1"),
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


def test_a_model_that_is_replaced_is_loaded_anew(tmp_path):
    path, labels, found = tmp_path / "model.bin", (("en", "de"), ("fr", "ru")), []
    for seed, names in enumerate(labels):
        write(path, Kind(num_labels=2), seed, names)
        other = write(tmp_path / f"{seed}.bin", Kind(num_labels=2), seed, names)
        rule, same = (Language(languages=names, model=str(at), min_score=0) for at in (path, other))
        load(rule)
        found.append(apply(rule, batch_of([*SENTENCES.values()]))[0])
        assert found[-1].equals(apply(same, batch_of([*SENTENCES.values()]))[0])
    before, after = (set(measured["language"].to_pylist()) for measured in found)
    assert before <= {"en", "de"}
    assert after <= {"fr", "ru"}
    with pytest.raises(FilterConfigError, match="got 'en' in keep"):
        load(Language(languages=("en",), model=str(path)))
