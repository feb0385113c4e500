import pickle
from itertools import pairwise

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from filters.classifier import Classifier
from filters.errors import FilterConfigError, FilterLoadError
from filters.models.language_model import shipped_model
from filters.protocol import apply, first_failures, load
from filters.statistics import TextStatistics
from tests.filters.fasttext_files import Kind, write
from tests.filters.strategies import ROWS, batch_of

LID = str(shipped_model())
TEXTS = ["The committee meets in the spring.", "Der Ausschuss tagt\nim Mai.", "Le comité", "слово"]


def by_fasttext(path, texts):
    """All probabilities of each text by fastText's own C++."""
    predict = fasttext.load_model(str(path)).f.predict
    offsets, lines = TextStatistics(pa.array(texts, pa.string())).sample(1 << 20, 1)
    data = lines.tobytes()
    return [
        {label.removeprefix("__label__"): score for score, label in
         predict(data[start:stop].decode(), 1_000, -1.0, "strict")}
        for start, stop in pairwise(offsets.tolist())
    ]  # fmt: skip


@pytest.mark.parametrize("loss", ["softmax", "ova", "ns", "hs"])
@pytest.mark.parametrize("wanted", ["l6", ("l0", "l3"), ("l1", "l2", "l5")])
def test_the_score_is_the_probability_of_the_labels_together(tmp_path, loss, wanted):
    path = write(tmp_path / "model.bin", Kind(loss=loss), seed=3)
    measured, _ = apply(Classifier(model=str(path), label=wanted), batch_of(TEXTS))
    labels = [wanted] if isinstance(wanted, str) else wanted
    for found, every in zip(measured.to_pylist(), by_fasttext(path, TEXTS), strict=True):
        total = min(sum(every[label] for label in labels), 1.0)
        assert found["score"] == pytest.approx(total, abs=2e-4)
        assert every[found["label"]] == pytest.approx(max(every.values()), abs=1e-6)


def test_a_fasttext_model_that_is_replaced_is_loaded_anew(tmp_path):
    path, found = tmp_path / "model.bin", []
    for seed, labels in enumerate((("bad", "good"), ("one", "two", "three"))):
        kind = Kind(num_labels=len(labels))
        write(path, kind, seed, labels)
        other = write(tmp_path / f"{seed}.bin", kind, seed, labels)
        found.append(apply(Classifier(model=str(path), label=labels[0]), batch_of(TEXTS))[0])
        same = apply(Classifier(model=str(other), label=labels[0]), batch_of(TEXTS))[0]
        assert found[-1].equals(same)
        assert set(found[-1]["label"].to_pylist()) <= set(labels)
    assert not found[0].equals(found[1])
    with pytest.raises(FilterConfigError, match="got the label 'bad'"):
        load(Classifier(model=str(path), label="bad"))


def test_any_label_of_a_real_model_has_its_probability_even_if_it_is_not_likely():
    every = by_fasttext(LID, TEXTS)
    for label in ("en", "de", "nl", "uk"):
        measured, _ = apply(Classifier(model=LID, label=label), batch_of(TEXTS))
        wanted = [of_text[label] for of_text in every]
        assert measured["score"].to_pylist() == pytest.approx(wanted, abs=2e-4)
        assert measured["label"].to_pylist() == ["en", "de", "fr", "ru"]


def test_without_a_label_the_score_is_that_of_the_likeliest():
    measured, _ = apply(Classifier(model=LID), batch_of(TEXTS))
    wanted = [max(of_text.values()) for of_text in by_fasttext(LID, TEXTS)]
    assert measured["score"].to_pylist() == pytest.approx(wanted, abs=1e-4)


def test_scores_and_labels_drop_documents_and_say_why():
    rule = Classifier(model=LID, label="en", min_score=0.5, keep_labels=("en", "fr"))
    measured, mask = apply(rule, batch_of([*TEXTS, None]))
    assert mask.to_pylist() == [True, False, False, False, False]
    failed = first_failures(rule, "classifier", measured).to_pylist()
    assert [row["rule"] for row in failed] == [
        None, "classifier.label", "classifier.score", "classifier.label", "classifier.label",
    ]  # fmt: skip
    assert failed[2]["threshold"] == 0.5
    assert failed[2]["value"] == measured["score"][2].as_py()
    assert failed[1]["threshold"] is None


@pytest.mark.parametrize(
    "bound", [{"min_score": 0.0}, {"max_score": 1.0}, {"keep_labels": ("en",)}]
)
def test_texts_without_words_pass_nothing(bound):
    rule = Classifier(model=LID, **bound)
    measured, mask = apply(rule, batch_of([None, "", " \n\t\u3000"]))
    assert measured.to_pylist() == [{"score": None, "label": None}] * 3
    assert mask.to_pylist() == [False] * 3


@settings(max_examples=40)
@given(ROWS)
def test_one_batch_or_a_batch_for_each_row_give_the_same(rows):
    rule = Classifier(model=LID, label="en")
    alone = [row for text in rows for row in apply(rule, batch_of([text]))[0].to_pylist()]
    measured, _ = apply(rule, batch_of(rows))
    assert measured.to_pylist() == alone
    assert measured.schema.types == [signal.type for signal in Classifier.SIGNALS]


def test_all_of_a_long_text_decides_unless_it_is_sampled():
    text = "The committee meets in the spring. " * 20 + "Der Ausschuss tagt im Mai. " * 200
    first = Classifier(model=LID, max_chars=400)
    assert apply(Classifier(model=LID), batch_of([text]))[0]["label"].to_pylist() == ["de"]
    assert apply(first, batch_of([text]))[0]["label"].to_pylist() == ["de"]
    assert apply(first, batch_of(["word " * 1_000_000]))[0]["score"].null_count == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"model": ""}, "want a path"),
        ({"min_score": 0.6, "max_score": 0.5}, "want min_score <= max_score"),
        ({"max_chars": 3}, "max_chars=3, want at least 16"),
        ({"max_tokens": 0}, "max_tokens=0, want at least 1"),
    ],
)
def test_bad_parameters_are_refused(bad, message):
    with pytest.raises(FilterConfigError, match=message):
        Classifier(**{"model": LID, **bad})


@pytest.mark.parametrize("label", [{"label": "eng"}, {"keep_labels": ("en", "eng")}])
def test_a_label_that_the_model_lacks_is_refused_on_loading(label):
    with pytest.raises(FilterConfigError, match=r"the label 'eng', want of the 176"):
        load(Classifier(model=LID, **label))


def test_a_missing_or_damaged_model_is_named(tmp_path):
    for contents in (None, b"", b"no model"):
        path = tmp_path / "quality.bin"
        if contents is not None:
            path.write_bytes(contents)
        with pytest.raises(FilterLoadError, match=r"classifier: model .*quality\.bin"):
            load(Classifier(model=str(path)))


def test_an_instance_pickles_small_without_its_model():
    rule = Classifier(model=LID, label="en")
    load(rule)
    assert len(pickle.dumps(rule)) < 1000
    assert pickle.loads(pickle.dumps(rule)) == rule


torch = pytest.importorskip("torch", reason="needs the extra train")
from tests.filters.hf_models import save_classifier  # noqa: E402

SENTENCES = ["a", "The cat sat.", "déjà vu", "word " * 40, "one\ntwo"]


def by_transformers(folder, text, max_tokens=512):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoded = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
    with torch.inference_mode():
        return model(
            input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]
        ).logits[0].double()  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "problem_type", "wanted", "activation"),
    [
        (["bad", "good", "best"], None, ("good", "best"), lambda x: x.softmax(-1)),
        (["toxic", "insult"], "multi_label_classification", "insult", torch.sigmoid),
        (["score"], "regression", (), lambda x: x),
        (["score"], None, "score", lambda x: x),
    ],
)
def test_scores_of_a_sequence_classifier_are_those_of_each_text_alone(
    tmp_path, labels, problem_type, wanted, activation
):
    folder = save_classifier(tmp_path, labels, problem_type)
    rule = Classifier(model=str(folder), label=wanted, max_tokens=64, batch_tokens=150)
    measured, _ = apply(rule, batch_of([*SENTENCES, None, " \n"]))
    chosen = [wanted] if isinstance(wanted, str) else wanted or labels
    for text, found in zip(SENTENCES, measured.to_pylist(), strict=False):
        values = activation(by_transformers(folder, text, 64)).tolist()
        total = sum(value for name, value in zip(labels, values, strict=True) if name in chosen)
        assert found["score"] == pytest.approx(total, rel=1e-4, abs=1e-6)
        assert found["label"] == labels[int(np.argmax(values))]
    assert measured["score"].to_pylist()[-2:] == [None, None]


def test_the_activation_can_be_chosen(tmp_path):
    folder = save_classifier(tmp_path, ["score"])
    measured, _ = apply(Classifier(model=str(folder), activation="sigmoid"), batch_of(["text"]))
    wanted = torch.sigmoid(by_transformers(folder, "text")).item()
    assert measured["score"].to_pylist() == pytest.approx([wanted], rel=1e-5)


def test_a_sequence_classifier_names_its_labels(tmp_path):
    folder = save_classifier(tmp_path, ["bad", "good"])
    with pytest.raises(FilterConfigError, match=r"the label 'great', want of the 2 .*: bad, good"):
        load(Classifier(model=str(folder), label="great"))


def test_a_sequence_classifier_that_is_replaced_is_loaded_anew(tmp_path):
    for labels in (["bad", "good"], ["one", "two"]):
        save_classifier(tmp_path / "model", labels)
        rule = Classifier(model=str(tmp_path / "model"), label=labels[0])
        load(rule)
        measured, _ = apply(rule, batch_of(TEXTS))
        assert set(measured["label"].to_pylist()) <= set(labels)
