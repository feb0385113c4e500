"""The adapters with the real packages; names by rules, since no model is installed."""

import pyarrow as pa
import pytest

from pipeline.errors import UsageError
from pipeline.text.pii.plugins.presidio import PresidioRecognizer
from pipeline.text.pii.plugins.spacy import SpacyRecognizer

spacy = pytest.importorskip("spacy")
TEXTS = pa.array(["Zoë Müller met Ann Lee.", "", "Nobody.", "x " * 80 + "Ann Lee"])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a pipeline whose entity ruler knows two names and a town."""
    made = spacy.blank("en")
    ruler = made.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Ann Lee"},
            {"label": "PERSON", "pattern": "Zoë Müller"},
            {"label": "GPE", "pattern": "Nobody"},
        ]
    )
    folder = tmp_path_factory.mktemp("spacy") / "ruled"
    made.to_disk(folder)
    return str(folder)


def names(batch: pa.RecordBatch) -> list[tuple[int, str, str]]:
    texts = TEXTS.to_pylist()
    return [
        (each["row"], texts[each["row"]][each["begin"] : each["end"]], each["kind"])
        for each in batch.to_pylist()
    ]


@pytest.mark.parametrize("max_chars", [30, 100_000])
def test_spacy_finds_the_labels_asked_for(pipeline, max_chars):
    recognizer = SpacyRecognizer(model=pipeline, max_chars=max_chars)
    recognizer.load()
    people = [(0, "Zoë Müller", "person"), (0, "Ann Lee", "person"), (3, "Ann Lee", "person")]
    assert names(recognizer.find(TEXTS)) == people
    towns = SpacyRecognizer(model=pipeline, labels={"GPE": "town"}, max_chars=max_chars)
    assert towns.kinds == ("town",)
    assert names(towns.find(TEXTS)) == [(2, "Nobody", "town")]
    assert towns.find(pa.array([], pa.string())).num_rows == 0


def test_a_pipeline_that_is_not_there_is_told():
    with pytest.raises(UsageError, match="spaCy has no pipeline 'no_such'"):
        SpacyRecognizer(model="no_such").load()


def test_presidio_finds_with_a_pipeline_and_without(pipeline):
    pytest.importorskip("presidio_analyzer")
    people = PresidioRecognizer(model=pipeline)
    people.load()
    assert names(people.find(TEXTS)) == [
        (0, "Zoë Müller", "person"), (0, "Ann Lee", "person"), (3, "Ann Lee", "person")
    ]  # fmt: skip
    plain = PresidioRecognizer(entities={"US_ITIN": "us_itin"}, max_chars=40)
    plain.load()
    texts = pa.array(["é " * 30 + "my ITIN is 911-70-1234", "none"])
    (row,) = plain.find(texts).to_pylist()
    assert row["row"] == 0
    assert row["kind"] == "us_itin"
    assert texts[0].as_py()[row["begin"] : row["end"]] == "911-70-1234"


def test_presidio_tells_an_entity_that_it_has_not():
    pytest.importorskip("presidio_analyzer")
    with pytest.raises(UsageError, match="presidio finds no UNICORN in 'en'"):
        PresidioRecognizer(entities={"UNICORN": "unicorn"}).load()
