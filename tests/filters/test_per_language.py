import pickle
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import registry
from filters.errors import FilterConfigError, FilterError
from filters.gopher_quality import GopherQuality
from filters.parameters import threshold
from filters.per_language import PerLanguage
from filters.protocol import apply, edit, first_failures, is_expensive, load, signals
from filters.registry import create
from filters.statistics import TextStatistics
from tests.filters.strategies import TEXTS

LANGUAGES = st.sampled_from(["de", "fr", "en", None])
ROWS = st.lists(st.tuples(st.one_of(TEXTS, st.none()), LANGUAGES), max_size=10)

GERMAN = {"stop_words": ["der", "und"], "min_stop_words": 1}
SPEC = {
    "use": "gopher_quality",
    "min_words": 1,
    "min_mean_word_length": 1,
    "per_language": {"de": GERMAN, "fr": {"min_words": 3, "min_stop_words": 0}},
}


@dataclass(frozen=True)
class Counting:
    """Keeps rows by a threshold; says which instance measured what."""

    IS_EXPENSIVE: ClassVar = True
    SIGNALS: ClassVar = ()
    calls: ClassVar[list] = []
    mark: int = 0
    minimum: int = threshold(0)

    def measure(self, batch, shared):
        self.calls.append((self.mark, batch["text"].to_pylist(), shared.texts.to_pylist()))
        return signals(length=pc.utf8_length(batch["text"]), mark=pa.repeat(self.mark, len(batch)))

    def keep(self, measured):
        return pc.greater_equal(measured["length"], self.minimum)


@dataclass(frozen=True)
class Upper:
    """Edits."""

    suffix: str = "!"

    def edit(self, batch):
        return batch.set_column(0, "text", pc.utf8_upper(batch["text"]))

    def measure(self, batch, shared):
        return signals(num_chars=shared.num_chars)

    def keep(self, measured):
        return pc.greater(measured["num_chars"], 0)


def batch_of(rows, column="language.language"):
    texts, languages = [text for text, _ in rows], [language for _, language in rows]
    return pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.string()), pa.array(languages, pa.string())], names=["text", column]
    )


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(Counting, "calls", [])
    entry = EntryPoint("counting", f"{__name__}:Counting", registry.GROUP)
    edits = EntryPoint("upper", f"{__name__}:Upper", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry, edits])
    return Counting.calls


@given(ROWS)
def test_each_row_is_judged_as_by_the_filter_of_its_language(rows):
    _, rule = create(SPEC)
    alone = {}
    base = {key: value for key, value in SPEC.items() if key != "per_language"}
    for language in ("de", "fr", "en", None):
        other = SPEC["per_language"].get(language, {})
        alone[language] = create({**base, **other})[1]
    measured, mask = apply(rule, batch_of(rows))
    reasons = first_failures(rule, "gopher_quality", measured).to_pylist()
    found = measured.to_pylist()
    for row, reason, kept, (text, language) in zip(found, reasons, mask, rows, strict=True):
        of_one, kept_alone = apply(alone[language], batch_of([(text, language)]))
        assert row == {**of_one.to_pylist()[0], "language": language}
        assert kept == kept_alone[0]
        [expected] = first_failures(alone[language], "gopher_quality", of_one).to_pylist()
        assert reason == expected


@given(ROWS)
def test_it_measures_what_it_declares(rows):
    _, rule = create(SPEC)
    measured, _ = apply(rule, batch_of(rows))
    assert [(signal.name, signal.type) for signal in rule.SIGNALS] == [
        (field.name, field.type) for field in measured.schema
    ]
    assert not is_expensive(rule)


def test_only_other_measurements_are_made_apart(counting):
    per_language = {"de": {"mark": 1}, "fr": {"minimum": 2}, "ja": {"mark": 2}}
    _, rule = create({"use": "counting", "minimum": 1, "per_language": per_language})
    rows = [("a", "de"), ("bb", "fr"), ("c", "fr"), ("", "en"), ("", "de")]
    measured, mask = apply(rule, batch_of(rows))
    assert counting == [
        (0, ["bb", "c", ""], ["bb", "c", ""]),
        (1, ["a", ""], ["a", ""]),
    ]
    assert measured["mark"].to_pylist() == [1, 0, 0, 0, 1]
    assert mask.to_pylist() == [True, True, False, False, False]
    failed = first_failures(rule, "counting", measured)["rule"].to_pylist()
    assert failed == [None, None, "counting.keep", "counting.keep", "counting.keep"]


def test_without_other_measurements_all_is_measured_at_once(counting):
    _, rule = create({"use": "counting", "per_language": {"de": {"minimum": 2}}})
    apply(rule, batch_of([("a", "de"), ("b", "en")]))
    assert counting == [(0, ["a", "b"], ["a", "b"])]


def test_statistics_of_the_batch_stay_for_the_filters_that_follow():
    batch = batch_of([("der Hund", "de"), ("the dog", "en")])
    shared = TextStatistics(batch["text"])
    apply(create(SPEC)[1], batch, shared)
    assert "_words" in vars(shared)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_the_language_may_be_a_column_of_the_users_own(kind):
    batch = batch_of([("der", "de"), ("der", None)], "language")
    batch = batch.set_column(1, "language", batch["language"].cast(kind))
    measured, _ = apply(create(SPEC)[1], batch)
    assert measured["num_stop_words"].to_pylist() == [1, 0]
    assert measured["language"].to_pylist() == ["de", None]


def test_a_batch_without_a_language_is_refused():
    with pytest.raises(FilterError, match=r"without the column language\.language or language"):
        apply(create(SPEC)[1], batch_of([("a", "de")], "lang"))


def test_a_filter_that_measures_the_language_is_judged_by_its_own():
    spec = {"use": "language", "keep": ["en", "de"], "min_score": 0.0}
    german = {"de": {"min_score": 1.1 - 0.1 + 1e-9}}
    with pytest.raises(FilterConfigError, match=r"per_language\.de: language: got min_score"):
        create({**spec, "per_language": german})
    _, rule = create({**spec, "per_language": {"de": {"min_score": 1.0}}})
    texts = ["Das ist ein deutscher Satz über nichts.", "This is an English sentence."]
    batch = pa.RecordBatch.from_arrays([pa.array(texts)], names=["text"])
    load(rule)
    measured, mask = apply(rule, batch)
    assert measured["language"].to_pylist() == ["de", "en"]
    assert mask.to_pylist() == [False, True]
    assert rule.SIGNALS == rule.default.SIGNALS
    with pytest.raises(FilterConfigError, match=r"got max_chars, by which the language itself"):
        create({**spec, "per_language": {"de": {"max_chars": 900}}})


def test_texts_are_edited_alike_in_all_languages(counting):
    _, rule = create({"use": "upper", "per_language": {"de": {}}})
    assert edit(rule, batch_of([("a", "de")]))["text"].to_pylist() == ["A"]
    with pytest.raises(FilterConfigError, match=r"de: got suffix, by which texts are"):
        create({"use": "upper", "per_language": {"de": {"suffix": "?"}}})


PERPLEXITY = {"use": "perplexity", "model": "m.arpa", "keep_buckets": ["head"]}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"percentiles": [20.0, 50.0]}, r"got percentiles=\[20\.0, 50\.0\], which the fit of all"),
        ({"min_documents_to_fit": 5}, "min_documents_to_fit=5, which the fit of all languages"),
        ({"cutoffs": None}, "cutoffs=None, to be found by a fit, of which there is one"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"cutoffs": {"": [10.0, 20.0]}}])
def test_no_language_has_a_fit_of_its_own(other, message, given):
    with pytest.raises(FilterConfigError, match=rf"perplexity: per_language\.de: .*{message}"):
        create({**PERPLEXITY, **given, "per_language": {"de": other}})


def test_a_language_has_the_common_fit_or_cutoffs_of_its_own():
    other = {
        "de": {"keep_buckets": ["head", "middle"], "percentiles": [30.0, 60.0]},
        "fr": {"cutoffs": {"": [1000.0, 2000.0]}},
    }
    spec = {**PERPLEXITY, "per_language": other}
    rows = {
        "perplexity": pa.array([10.0, 50.0, 90.0] * 3),
        "bits_per_byte": pa.array([1.0] * 9),
        "oov_rate": pa.array([0.0] * 9),
        "language": pa.array(["en"] * 3 + ["de"] * 3 + ["fr"] * 3),
    }
    measured = pa.RecordBatch.from_pydict(rows)
    assert create(spec)[1].needs_fit
    fitted = create(spec)[1].fit(measured)
    assert fitted["cutoffs"] == {"": pytest.approx((26.0, 50.0))}
    rule = create({**spec, **fitted})[1]
    assert not rule.needs_fit
    assert rule.keep(measured).to_pylist() == [True, False, False, True, True, False] + [True] * 3


def test_a_filter_that_edits_nothing_may_measure_otherwise_by_language():
    spec = {"use": "boilerplate", "max_boilerplate_line_ratio": 0.0}
    kinds = {"de": {"kinds": ["cookies"]}}
    _, rule = create({**spec, "per_language": kinds})
    batch = batch_of([("Home | Contact us", "en"), ("Home | Contact us", "de")])
    assert edit(rule, batch) is batch
    assert apply(rule, batch)[1].to_pylist() == [False, True]
    for remove in (
        {"remove": True, "per_language": kinds},
        {"per_language": {"de": {"remove": True}}},
    ):
        with pytest.raises(FilterConfigError, match=r"per_language\.de: got .*texts are edited"):
            create({**spec, **remove})


def test_instances_pickle_and_are_equal_by_value():
    _, rule = create(SPEC)
    assert isinstance(rule, PerLanguage)
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert rule.default == GopherQuality(min_words=1, min_mean_word_length=1)
    assert rule.PAPERS == rule.default.PAPERS
