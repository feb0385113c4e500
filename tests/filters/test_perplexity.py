import math
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import FilterConfigError, FilterError, FilterLoadError
from filters.perplexity import Perplexity
from filters.protocol import apply, first_failures, load
from tests.filters import arpa
from tests.filters.reference_normalise import lines_of
from tests.filters.strategies import KINDS, TEXTS, batch_of

kenlm = pytest.importorskip("kenlm", reason="needs the extra kenlm")

SENTENCES = st.lists(
    st.sampled_from(["the", "cat", "sat", ".", "The cat sat.", "dog", "7", "\n", "\u2026"])
).map(" ".join)
ROWS = st.lists(st.one_of(SENTENCES, TEXTS, st.none()), max_size=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(arpa.write_arpa(tmp_path_factory.mktemp("lm") / "tiny.arpa"))


def with_languages(texts, languages):
    columns = [pa.array(texts, pa.string()), pa.array(languages, pa.string())]
    return pa.RecordBatch.from_arrays(columns, names=["text", "language.language"])


def signals_of(perplexities, languages=None, oov_rates=None):
    num_rows = len(perplexities)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(perplexities, pa.float64()),
            pa.nulls(num_rows, pa.float64()),
            pa.array(oov_rates or [0.0] * num_rows, pa.float64()),
            pa.array(languages or [None] * num_rows, pa.string()),
        ],
        names=["perplexity", "bits_per_byte", "oov_rate", "language"],
    )


def reference(text):
    """Perplexity, bits per byte, oov_rate from the ARPA's numbers; None without words."""
    lines = lines_of(text)
    if not lines:
        return None, None, None
    log10 = sum(map(arpa.log10_of, lines))
    words = [word for line in lines for word in line]
    num_bytes = len("".join(" ".join(line) + "\n" for line in lines).encode())
    return (
        10 ** (-log10 / (len(words) + len(lines))),
        -log10 * math.log2(10) / num_bytes,
        sum(word not in arpa.UNIGRAMS for word in words) / len(words),
    )


@settings(max_examples=200)
@given(rows=ROWS, kind=KINDS)
def test_signals_are_those_computed_from_the_arpa_file(model, rows, kind):
    measured, _ = apply(Perplexity(model=model), batch_of(rows, kind))
    for text, found in zip(rows, measured.to_pylist(), strict=True):
        perplexity, bits, oov_rate = reference(text)
        assert found["perplexity"] == (perplexity and pytest.approx(perplexity, rel=1e-5))
        assert found["bits_per_byte"] == (bits and pytest.approx(bits, rel=1e-5))
        assert found["oov_rate"] == oov_rate
        assert found["language"] is None


@settings(max_examples=60)
@given(rows=ROWS)
def test_one_batch_or_a_batch_for_each_text_give_the_same(model, rows):
    rule = Perplexity(model=model)
    alone = [row for text in rows for row in apply(rule, batch_of([text]))[0].to_pylist()]
    assert apply(rule, batch_of(rows))[0].to_pylist() == alone


def test_signals_are_the_declared_columns(model):
    measured, mask = apply(Perplexity(model=model), batch_of([]))
    declared = [(signal.name, signal.type) for signal in Perplexity.SIGNALS]
    assert [(field.name, field.type) for field in measured.schema] == declared
    assert len(mask) == 0


def test_lines_are_sentences_and_blank_lines_are_none(model):
    measured, _ = apply(
        Perplexity(model=model), batch_of(["The cat sat.\n\n \nTHE CAT SAT.", "the cat sat ."])
    )
    two, one = measured.to_pylist()
    assert two["perplexity"] == one["perplexity"]


def test_a_million_words_have_finite_signals(model):
    measured, _ = apply(Perplexity(model=model), batch_of(["the cat sat . " * 250_000]))
    found = measured.to_pylist()[0]
    assert 1 < found["perplexity"] < 100
    assert found["oov_rate"] == 0


def test_texts_without_words_pass_no_bound_and_no_bucket(model):
    texts = [None, "", " \n\u3000", "\x01", "the"]
    for bound in (
        {"max_perplexity": 1e9},
        {"min_perplexity": 0.0},
        {"max_oov_rate": 1.0},
        {"keep_buckets": ("head", "middle", "tail"), "cutoffs": {"": (1.0, 2.0)}},
    ):
        _, mask = apply(Perplexity(model=model, **bound), batch_of(texts))
        assert mask.to_pylist() == [False] * 4 + [True], bound


def test_the_vocabulary_is_forgotten_when_it_is_full_and_the_rates_stay(model, monkeypatch):
    monkeypatch.setattr("filters.models.kenlm_model.MAX_CACHED_WORDS", 100)
    rule = Perplexity(model=model)
    texts = [" ".join(f"w{chr(97 + i % 26)}{'x' * (i // 26)}" for i in range(40 * n)) + " the"
             for n in range(1, 12)]  # fmt: skip
    for text in texts:
        measured, _ = apply(rule, batch_of([text]))
        num_words = len(text.split())
        assert measured["oov_rate"].to_pylist() == [(num_words - 1) / num_words]


def test_each_language_has_its_model_and_the_others_none(model, tmp_path):
    other = arpa.write_arpa(tmp_path / "de.arpa")
    other.write_text(other.read_text().replace("\tcat", "\tkatze").replace(" cat", " katze"))
    rule = Perplexity(model={"en": model, "de": str(other)}, max_oov_rate=0.5)
    texts = ["the cat sat .", "the cat", "the katze", "the cat", "the cat"]
    measured, mask = apply(rule, with_languages(texts, ["en", "de", "de", "fr", None]))
    assert measured["oov_rate"].to_pylist() == [0.0, 0.5, 0.0, None, None]
    assert measured["language"].to_pylist() == ["en", "de", "de", "fr", None]
    assert mask.to_pylist() == [True, True, True, False, False]
    failed = first_failures(rule, "perplexity", measured).to_pylist()
    assert failed[3] == {"rule": "perplexity.language", "value": None, "threshold": None}
    kept = Perplexity(model=rule.model, max_oov_rate=0.5, unknown_language="keep").keep(measured)
    assert kept.to_pylist() == [True] * 5


def test_models_by_language_want_the_language(model):
    with pytest.raises(FilterError, match=r"column language\.language; want the filter `language`"):
        apply(Perplexity(model={"en": model}), batch_of(["the"]))


def test_failures_name_the_rule_the_value_and_the_limit():
    rule = Perplexity(
        model="m", max_perplexity=1000.0, max_oov_rate=0.2, keep_buckets=("middle",),
        cutoffs={"": (10.0, 20.0), "de": (100.0, 200.0)},
    )  # fmt: skip
    measured = signals_of(
        [15.0, 5.0, 30.0, 2000.0, 150.0, 50.0, 15.0, None],
        ["en", None, "en", "en", "de", "de", "fr", "en"],
        [0.0] * 6 + [0.3, None],
    )
    failed = first_failures(rule, "perplexity", measured).to_pylist()
    assert [(row["rule"], row["value"], row["threshold"]) for row in failed] == [
        (None, None, None),
        ("perplexity.bucket", 5.0, 10.0),
        ("perplexity.bucket", 30.0, 20.0),
        ("perplexity.perplexity", 2000.0, 1000.0),
        (None, None, None),
        ("perplexity.bucket", 50.0, 100.0),
        ("perplexity.oov_rate", 0.3, 0.2),
        ("perplexity.perplexity", None, 1000.0),
    ]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (("head",), [1, 0, 0, 0, 0]),
        (("middle",), [0, 1, 1, 0, 0]),
        (("tail",), [0, 0, 0, 1, 0]),
        (("head", "tail"), [1, 0, 0, 1, 0]),
        (("head", "middle"), [1, 1, 1, 0, 0]),
    ],
)
def test_a_value_on_a_cutoff_is_in_the_better_bucket(wanted, kept):
    rule = Perplexity(model="m", keep_buckets=wanted, cutoffs={"": (10.0, 20.0)})
    measured = signals_of([10.0, 10.5, 20.0, 20.5, None])
    assert rule.keep(measured).to_pylist() == [bool(flag) for flag in kept]


def test_cutoffs_are_the_percentiles_of_each_language_that_has_enough_documents():
    rule = Perplexity(model="m", keep_buckets=("head",), min_documents_to_fit=3)
    assert rule.needs_fit
    values = [1.0, 2.0, 3.0, 4.0, 100.0, 200.0, None, 7.0]
    languages = ["en", "en", "en", "en", "de", "de", "de", None]
    fitted = rule.fit(signals_of(values, languages))
    every = [value for value in values if value is not None]
    assert fitted == {
        "cutoffs": {
            "": tuple(np.percentile(every, [30, 60]).tolist()),
            "en": (pytest.approx(1.9), pytest.approx(2.8)),
        }
    }
    assert not Perplexity(model="m", keep_buckets=("head",), **fitted).needs_fit


def test_before_the_fit_no_bucket_drops_anything():
    rule = Perplexity(model="m", keep_buckets=("head",))
    assert rule.keep(signals_of([1.0, 1e9])).to_pylist() == [True, True]
    assert not Perplexity(model="m").needs_fit


def test_a_fit_to_nothing_leaves_the_documents_to_unknown_language():
    measured = signals_of([None, None], ["fr", None])
    models = {"model": {"en": "m"}, "keep_buckets": ("head",)}
    fitted = Perplexity(**models).fit(measured)
    assert fitted == {"cutoffs": {"": (0.0, 0.0)}}
    for unknown, kept in (("keep", True), ("drop", False)):
        rule = Perplexity(**models, **fitted, unknown_language=unknown)
        assert rule.keep(measured).to_pylist() == [kept, kept]
    alone = Perplexity(model="m", keep_buckets=("head",), **fitted)
    assert alone.keep(measured).to_pylist() == [False, False]  # blank


def test_a_fitted_third_is_a_third():
    values = np.random.default_rng(17).lognormal(6, 1, 3000)
    rule = Perplexity(model="m", keep_buckets=("head", "middle"))
    measured = signals_of(values.tolist())
    fitted = Perplexity(model="m", keep_buckets=rule.keep_buckets, **rule.fit(measured))
    assert fitted.keep(measured).true_count == 1800


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"model": ""}, "want a path"),
        ({"model": {}}, "want a path"),
        ({"min_perplexity": 3.0, "max_perplexity": 2.0}, "want min_perplexity <= max_perplexity"),
        ({"max_oov_rate": 1.5}, r"max_oov_rate=1\.5, want 0\.\.1"),
        ({"keep_buckets": ("heads",)}, "'heads' in keep_buckets, want of head, middle, tail"),
        ({"percentiles": (60.0, 30.0)}, "want 0 <= first <= second <= 100"),
        ({"cutoffs": {"en": (1.0, 2.0)}}, 'under ""'),
        ({"cutoffs": {"": (2.0, 1.0)}}, "want head_max <= middle_max"),
        ({"max_tokens": 0}, "max_tokens=0, want at least 1"),
    ],
)
def test_bad_parameters_are_refused(bad, message):
    with pytest.raises(FilterConfigError, match=message):
        Perplexity(**{"model": "m", **bad})


@pytest.mark.parametrize("contents", [None, b"", b"\\data\\\nngram 1=7\n", b"no model at all"])
def test_a_missing_or_damaged_model_is_named(tmp_path, contents):
    path = tmp_path / "en.binary"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(FilterLoadError, match=r"model .*en\.binary: (no such file|KenLM cannot)"):
        load(Perplexity(model=str(path)))


def test_an_instance_pickles_small_without_its_model(model):
    rule = Perplexity(model={"en": model})
    load(rule)
    assert len(pickle.dumps(rule)) < 1000
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert rule.files == (model,)


def test_a_model_that_is_replaced_is_loaded_anew(tmp_path):
    path = arpa.write_arpa(tmp_path / "lm.arpa")
    batch = batch_of(["the cat sat ."])
    before = apply(Perplexity(model=str(path)), batch)[0].to_pylist()[0]
    contents = path.read_text().replace("-1.6\tcat", "-1.65\tdog").replace("the cat", "the dog")
    contents = contents.replace("cat sat", "dog sat")
    path.write_text(contents)
    after = apply(Perplexity(model=str(path)), batch)[0].to_pylist()[0]
    assert (before["oov_rate"], after["oov_rate"]) == (0.0, 0.25)
    assert after["perplexity"] > before["perplexity"]
    other = tmp_path / "other.arpa"
    other.write_text(contents)
    assert after == apply(Perplexity(model=str(other)), batch)[0].to_pylist()[0]
