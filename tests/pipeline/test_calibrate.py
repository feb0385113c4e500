"""`prepare calibrate`: figures that a plain count confirms, and thresholds that do as they say."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from filters.protocol import Bound, bounds_of
from filters.registry import create, describe
from pipeline.calibration.knobs import Knob, changes_of, find_knobs
from pipeline.calibration.labels import read_labels
from pipeline.calibration.manifest import changed, write_manifest
from pipeline.calibration.measuring import Measurement, measure
from pipeline.calibration.proposals import propose_filter, propose_labels, propose_share, score
from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.refining import build_refinery
from pipeline.report.calibration import NUM_BINS, histogram
from pipeline.sampling import sample
from tests.pipeline.corpora import Corpus, mixed_corpus
from tests.pipeline.plugins import register


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    corpus = mixed_corpus(tmp_path_factory.mktemp("calibrate"), tokenizer_folder)
    corpus.save()
    return corpus


@pytest.fixture(scope="module")
def plan(corpus: Corpus) -> Plan:
    return Plan(load_manifest(corpus.folder / "m.yaml"), corpus.folder, corpus.out)


@pytest.fixture(scope="module")
def measured(plan: Plan) -> Measurement:
    return measured_of(plan)


def measured_of(plan: Plan) -> Measurement:
    return measure(plan, [(one.source, one.documents) for one in sample(plan, 10_000)])


def with_filters(plan: Plan, *specs: dict[str, Any]) -> Plan:
    return replace(plan, manifest=plan.manifest.model_copy(update={"filters": specs}))


def test_all_together_keep_what_a_run_keeps(plan: Plan, measured: Measurement) -> None:
    wanted = []
    for one in sample(plan, 10_000):
        refined = build_refinery(plan, one.source)(one.documents)
        wanted += refined.kept["id"].to_pylist()
    found = measured.documents.filter(measured.kept_by_all())["id"].to_pylist()
    assert found == wanted
    assert 0 < len(found) < measured.documents.num_rows


def test_each_filter_alone_is_asked_of_every_document(plan: Plan, measured: Measurement) -> None:
    for place, spec in enumerate(plan.manifest.filters):
        alone = measured_of(with_filters(plan, *plan.manifest.filters[place : place + 1]))
        assert alone.kept()[0].tolist() == measured.kept()[place].tolist()
        assert create(spec)[0] == measured.names[place]
    short = measured.values(0, "num_chars") < 50
    assert (~measured.kept()[0] == short).all()


def test_the_rules_of_a_filter_part_what_it_drops(measured: Measurement) -> None:
    for place in range(3):
        masks = [mask for _, mask in measured.rules(place)]
        total = np.sum(masks, axis=0) if masks else 0
        assert (total == ~measured.kept()[place]).all()


def test_expensive_filters_measure_what_others_drop_and_are_fitted(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    specs = ({"use": "length", "min_chars": 800}, {"use": "letter", "letter": "e"})
    found = measured_of(with_filters(plan, *specs))
    assert not np.isnan(found.values(1, "num")).any()
    for part in found.parts:
        if part.place == 1:
            kept = found.kept()[0][part.rows]
            mean = found.values(1, "num")[part.rows][kept].mean()
            assert part.spec["minimum"] == int(mean)


def test_a_filter_of_one_source_decides_on_that_alone(plan: Plan) -> None:
    specs = (
        {"use": "length", "min_chars": 600, "sources": ["general"]},
        {"use": "length", "min_chars": 500},
    )
    found = measured_of(with_filters(plan, *specs))
    general = pc.equal(found.documents["source"], "general").to_numpy(zero_copy_only=False)
    assert found.names == ("length", "length#2")
    assert (found.scope(0) == general).all()
    assert found.kept()[0][~general].all()
    knobs = find_knobs(with_filters(plan, *specs).manifest, found)
    assert [(knob.place, knob.name) for knob in knobs] == [(0, "min_chars"), (1, "min_chars")]
    assert knobs[0].inside(1e9)[~general].all()


def test_thresholds_that_are_set_are_moved_and_no_others(plan: Plan, measured: Measurement) -> None:
    names = [(knob.place, knob.name, knob.is_given) for knob in find_knobs(plan.manifest, measured)]
    assert names[:2] == [(0, "min_chars", True), (1, "min_score", True)]
    assert (2, "max_symbol_word_ratio", False) in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9])
def test_the_wanted_share_is_kept_and_hardly_more(
    plan: Plan, measured: Measurement, wanted: float
) -> None:
    knobs = find_knobs(plan.manifest, measured)
    found = propose_share(measured, knobs, wanted)
    real = measured.kept_by_all(changes_of(knobs, found.thresholds)).mean()
    assert found.is_reached
    assert real == pytest.approx(found.share)
    assert found.share >= wanted
    assert found.next_share is not None
    assert found.next_share < wanted


def test_a_threshold_that_would_drop_the_same_stays(plan: Plan) -> None:
    one = with_filters(plan, {"use": "c4_quality", "max_lorem_ipsum": 3})
    found = measured_of(one)
    knobs = find_knobs(one.manifest, found)
    assert found.values(0, "num_lorem_ipsum").max() == 0
    thresholds = propose_share(found, knobs, 0.9).thresholds
    by_name = {knob.name: limit for knob, limit in zip(knobs, thresholds, strict=True)}
    assert by_name["max_lorem_ipsum"] == 3
    assert by_name["min_sentences"] != 3


REQUIRED: dict[str, dict[str, Any]] = {
    "classifier": {"model": "m.ftz", "min_score": 0.5, "max_score": 0.9},
    "language": {"keep": ["en"], "min_margin": 0.1},
    "length": {"max_chars": 10, "max_words": 10},
    "perplexity": {"model": "m", "min_perplexity": 1.0, "max_perplexity": 9.0, "max_oov_rate": 0.1},
    "regex": {"refuse": ["x"], "max_matches": 3},
    "toxicity": {"words": {"en": ["bad"]}, "max_listed_word_ratio": 0.1},
}
BOUNDED = [
    *REQUIRED,
    *("boilerplate", "c4_quality", "fineweb_quality", "gopher_quality", "gopher_repetition"),
    "refinedweb",
]


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_name_the_thresholds_that_set_them(name: str) -> None:
    known = describe(name)
    thresholds = {each.name for each in known.parameters if each.is_threshold}
    spec = {"use": name, **REQUIRED.get(name, {})}
    bounds = bounds_of(create(spec)[1])
    assert {bound.signal for bound in bounds} <= {signal.name for signal in known.signals}
    sides = [(b.minimum_name, b.minimum) for b in bounds if b.minimum is not None]
    sides += [(b.maximum_name, b.maximum) for b in bounds if b.maximum is not None]
    assert sides
    defaults = {each.name: each.default for each in known.parameters}
    for parameter, limit in sides:
        assert parameter in thresholds
        assert limit == spec.get(parameter, defaults[parameter])
    tighter = {
        parameter: limit / 2 if isinstance(limit, float) else limit + 1
        for parameter, limit in sides
        if parameter.startswith("max") or isinstance(limit, float)
    }
    for bound in bounds_of(create({**spec, **tighter})[1]):
        assert bound.minimum == tighter.get(str(bound.minimum_name), bound.minimum)
        assert bound.maximum == tighter.get(str(bound.maximum_name), bound.maximum)


@given(
    threshold=st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda t: not 0 < abs(t) < 1e-200),
    is_minimum=st.booleans(),
)
def test_rounding_drops_nothing_more(threshold: float, is_minimum: bool) -> None:
    knob = Knob(0, "x", is_minimum, 0.0, True, False, (), (), np.zeros(0, np.bool_))
    found = knob.rounded(threshold)
    assert found <= threshold if is_minimum else found >= threshold
    assert found == pytest.approx(threshold, rel=2e-3)


def test_no_language_is_let_in_to_keep_more(plan: Plan, measured: Measurement) -> None:
    german = with_filters(plan, {"use": "language", "keep": ["de"], "min_score": 0.3})
    found = measured_of(german)
    knobs = find_knobs(german.manifest, found)
    proposal = propose_share(found, knobs, 0.8)
    assert not proposal.is_reached
    assert proposal.share < 0.5


def test_examples_find_the_threshold_that_tells_them_apart(plan: Plan) -> None:
    one = with_filters(plan, {"use": "length", "min_chars": 100, "min_words": 1})
    found = measured_of(one)
    knobs = find_knobs(one.manifest, found)
    good = found.values(0, "num_chars") >= 900
    thresholds, reached = propose_labels(found, knobs, good)
    assert reached.f1 > 0.97
    assert propose_filter(found, knobs, 0, good)[1] == reached
    kept = found.kept_by_all(changes_of(knobs, thresholds))
    assert score(kept, good) == reached
    assert score(found.kept_by_all(), good).f1 < reached.f1


def test_scores_are_those_of_the_textbook() -> None:
    kept = np.array([True, True, True, False, False])
    good = np.array([True, True, False, True, False])
    assert score(kept, good) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert score(~kept & kept, good) == (0.0, 0.0, 0.0)


def test_histograms_hold_all_values_and_mark_the_thresholds() -> None:
    bars, marks, axis = histogram(np.linspace(0, 1, 601), Bound("x", 0.25, 0.75))
    assert len(bars) == len(marks) == NUM_BINS
    assert [place for place, mark in enumerate(marks) if mark != " "] == [14, 45]
    assert " " not in bars
    assert axis == "0.01 to 0.99"
    bars, marks, _ = histogram(np.zeros(5), Bound("x"))
    assert bars.strip() == "█"
    assert not marks.strip()
    assert histogram(np.array([1.0, 2, 3, 90_000]), Bound("x"))[2].endswith(", log")


FLOW = """\
version: 1  # first
filters:
  - {use: length, min_chars: 50}   # a comment
  - use: gopher_quality  # why
    min_words: 20
    max_words: 900
  - {use: language, keep: [en]}
name: x
"""


def test_only_the_values_of_a_manifest_change() -> None:
    found = changed(
        FLOW,
        {
            0: {"min_chars": 7, "max_chars": 99},
            1: {"max_words": 800, "min_stop_words": 1},
            2: {"min_score": 1e-05},
        },
    )
    wanted = FLOW.replace("min_chars: 50", "min_chars: 7, max_chars: 99")
    wanted = wanted.replace("# why\n", "# why\n    min_stop_words: 1\n").replace("900", "800")
    assert found == wanted.replace("[en]", "[en], min_score: 1.0e-05")


def test_a_manifest_that_cannot_be_edited_is_written_anew() -> None:
    text = "filters:\n  - &a {use: length, min_chars: 5}\n  - *a\n"
    found = yaml.safe_load(changed(text, {1: {"min_chars": 9}}))
    assert [spec["min_chars"] for spec in found["filters"]] == [5, 9]


def test_a_new_manifest_stands_beside_the_old_one(corpus: Corpus, tmp_path: Path) -> None:
    path = corpus.folder / "m.yaml"
    with pytest.raises(UsageError, match="the manifest itself"):
        write_manifest(path, path, {}, [])
    with pytest.raises(UsageError, match="relative to its folder"):
        write_manifest(path, tmp_path / "n.yaml", {}, [])


@pytest.mark.slow
def test_what_it_writes_a_run_accepts_and_keeps_that_share(
    corpus: Corpus, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    new = corpus.folder / "new.yaml"
    command = ["calibrate", str(corpus.folder / "m.yaml"), "--keep", "0.8", "--examples", "2"]
    assert main([*command, "--write", str(new)]) == 0
    text = capsys.readouterr().out
    for wanted in (
        "domain: all documents",
        "gopher_quality.min_words",
        "What is dropped",
        "all together",
        "Of what a row's filter drops",
        "kept at 50",
        "num_words: >= 20 (min_words), <= 100,000 (max_words)",
    ):
        assert wanted in text
    assert "ann@example.org" not in text
    before = new.read_text()
    assert before.startswith("# m.yaml with thresholds that `prepare calibrate --keep 0.8`")
    assert "#   filters.2.min_words: 20\n" in before
    assert "#   filters.2.max_words: 100000, the default\n" in before
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", str(new), "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept, dropped = (corpus.table(kind).num_rows for kind in ("kept", "dropped"))
    assert kept / (kept + dropped) == pytest.approx(0.8, abs=0.02)


def labels_file(path: Path, measured: Measurement, limit: int = 900) -> Path:
    names = measured.documents["id"].to_pylist()
    sizes = measured.values(0, "num_chars").tolist()
    rows = [{"id": n, "good": size >= limit} for n, size in zip(names, sizes, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[::3]))
    return path


def test_examples_by_id_are_found_in_the_inputs(
    corpus: Corpus,
    measured: Measurement,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = labels_file(tmp_path / "labels.jsonl", measured)
    command = ["calibrate", str(corpus.folder / "m.yaml"), "--documents", "100"]
    assert main([*command, "--labels", str(path)]) == 0
    text = capsys.readouterr().out
    number = len(path.read_text().splitlines())
    assert f"{number:,} of {number:,} examples found" in text
    assert "Keeping the good examples" in text
    assert "Thresholds for all together" in text


def test_examples_may_be_texts(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    rows = [{"text": "word " * 40, "good": True}, {"text": "x", "good": False, "source": "general"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = read_labels(path, plan)
    found = measure(plan, labels.documents(plan))
    assert found.documents["source"].to_pylist() == ["domain", "general"]
    assert labels.good(found.documents["id"]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("nonsense", "not JSON"),
        ('{"id": "a"}', "want"),
        ('{"text": "a", "good": true, "source": "no"}', "got the source 'no'"),
        ('{"id": "a", "good": true}', "good examples and bad ones"),
    ],
)
def test_bad_examples_are_refused(plan: Plan, tmp_path: Path, line: str, match: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=match):
        read_labels(path, plan)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--keep", "1.5"], "--keep: got 1.5"),
        (["--documents", "0"], "--documents: got 0"),
        (["--examples", "-1"], "--examples: got -1"),
        (["--write", "n.yaml"], "want --keep SHARE or --labels FILE"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    corpus: Corpus, capsys: pytest.CaptureFixture[str], options: list[str], match: str
) -> None:
    assert main(["calibrate", str(corpus.folder / "m.yaml"), *options]) == 2
    assert match in capsys.readouterr().err
