"""Thresholds fitted on all that was measured: exact, recorded, and the same however they came."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from filters.errors import FilterError
from pipeline import fitting
from pipeline.fitting import refine
from pipeline.manifest import load_manifest
from pipeline.plan import Plan, RefineItem, refined_fingerprint
from pipeline.records import Record
from pipeline.refilter import finished_plan, refilter
from pipeline.report.terminal import print_outcome
from pipeline.run import run
from pipeline.stage import Context
from tests.pipeline.plugins import FITTED, MEASURED, Letter, NoReporter, register
from tests.pipeline.test_refilter import context_of, prepare, prose, tree

__all__ = ["prose"]  # the fixture: a folder with a manifest and 160 rows

# Two filters to fit, the second on what the first keeps; one source of two has the first.
UNFITTED = (
    "filters=[{use: length, min_chars: 450}, {use: letter, letter: e}, "
    "{use: gopher_quality, min_words: 60}, "
    "{use: letter, letter: t, sources: [general]}, {use: sum, maximum: 400}]"
)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def by_hand(texts: list[str], letter: str) -> int:
    """The mean, rounded down, as the test's filter is fitted."""
    return sum(text.count(letter) for text in texts) // len(texts)


def stored(out: Path, source: str) -> list[dict[str, object]]:
    """All documents of a source, kept and dropped."""
    rows = []
    for path in sorted((out / "refined" / source).glob("*.arrow")):
        if path.name.split(".")[1] in ("kept", "dropped"):
            with pa.memory_map(str(path)) as file:
                rows += pa.ipc.open_file(file).read_all().to_pylist()
    return rows


def test_each_source_is_fitted_on_the_documents_that_reach_the_filter(prose: Path) -> None:
    outcome = prepare(prose, UNFITTED)
    found = {(fit.source, fit.filter): fit for fit in outcome.fits}
    assert set(found) == {("domain", "letter"), ("general", "letter"), ("general", "letter#2")}
    for source in ("domain", "general"):
        rows = stored(prose / "out", source)
        reached = [row["text"] for row in rows if len(str(row["text"])) >= 450]
        minimum = by_hand(reached, "e")
        assert found[source, "letter"].parameters == {"minimum": minimum}
        assert found[source, "letter"].num_documents == len(reached)
        rules = {row["rule"]: row["threshold"] for row in rows if row.get("rule")}
        assert rules["letter.num"] == minimum
    kept = [
        row["text"] for row in stored(prose / "out", "general") if row["letter#2.num"] is not None
    ]
    assert all(text.count("e") >= found["general", "letter"].parameters["minimum"] for text in kept)
    assert found["general", "letter#2"].parameters == {"minimum": by_hand(kept, "t")}


def test_a_fit_is_as_if_its_values_stood_in_the_manifest(prose: Path) -> None:
    outcome = prepare(prose, UNFITTED)
    values = {(fit.source, fit.filter): fit.parameters["minimum"] for fit in outcome.fits}
    domain, general = values["domain", "letter"], values["general", "letter"]
    # The names of a source's filters are of its own list, so one entry for each source is the same.
    given = (
        "filters=[{use: length, min_chars: 450}, "
        f"{{use: letter, letter: e, minimum: {domain}, sources: [domain]}}, "
        f"{{use: letter, letter: e, minimum: {general}, sources: [general]}}, "
        "{use: gopher_quality, min_words: 60}, "
        f"{{use: letter, letter: t, minimum: {values['general', 'letter#2']}, sources: [general]}},"
        " {use: sum, maximum: 400}]"
    )
    prepare(prose, given, out="given")
    ours, wanted = tree(prose / "out"), tree(prose / "given")
    assert ours.keys() == wanted.keys()
    different = {name for name in ours if ours[name] != wanted[name]}
    assert different == {"manifest.yaml", "run.json", "shards/index.json"}  # they name the manifest


def test_nothing_is_read_measured_or_fitted_twice(prose: Path) -> None:
    plan = Plan(load_manifest(prose / "m.yaml", [UNFITTED]), prose, prose / "out")
    context = context_of(plan)
    run(context)
    assert isinstance(context.reporter, NoReporter)
    assert [name for name in context.reporter.stages if name.startswith("ref")] == [
        "refine",
        "refilter",
        "refilter",
    ]
    num_long = {
        source: sum(len(str(row["text"])) >= 450 for row in stored(prose / "out", source))
        for source in ("domain", "general")
    }
    assert MEASURED["e"] == sum(num_long.values())
    assert 0 < MEASURED["t"] < num_long["general"]
    assert len(FITTED) == 3
    assert prepare(prose, UNFITTED).nothing_to_do
    assert len(FITTED) == 3


def interrupt_fit(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let Ctrl-C come in the fit after so many."""
    fit = Letter.fit
    num_before = len(FITTED)

    def interrupted(self: Letter, measured: pa.RecordBatch) -> dict[str, object]:
        if len(FITTED) - num_before == after:
            raise KeyboardInterrupt
        return fit(self, measured)

    monkeypatch.setattr(Letter, "fit", interrupted)


def forget_fits(out: Path, source: str) -> None:
    for path in (out / "state" / "fit").iterdir():
        if json.loads(path.read_text())["counts"]["source"] == source:
            path.unlink()


def test_a_run_that_ends_between_the_fits_of_two_sources_goes_on_as_if_it_had_not(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prose, UNFITTED, out="whole")
    with monkeypatch.context() as patch:
        interrupt_fit(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            prepare(prose, UNFITTED)
    FITTED.clear()
    prepare(prose, UNFITTED)
    assert len(FITTED) == 2
    assert tree(prose / "out") == tree(prose / "whole")


def test_a_fit_of_one_source_leaves_nothing_wrong_of_the_other_whose_fit_is_known(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prose, UNFITTED)
    before = tree(prose / "out")
    forget_fits(prose / "out", "general")
    with monkeypatch.context() as patch:
        interrupt_fit(patch, after=0)  # what was refined for it stays
        with pytest.raises(KeyboardInterrupt):
            prepare(prose, UNFITTED)
    forget_fits(prose / "out", "domain")
    prepare(prose, UNFITTED)
    assert tree(prose / "out") == before


def test_only_sources_without_a_fit_are_refined_for_one_each_under_its_own_plan(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prose, UNFITTED)
    forget_fits(prose / "out", "general")
    sources = []

    def seen(context: Context, items: list[RefineItem]) -> dict[str, Record]:
        sources.append({item.source for item in items})
        for item in items:
            named = refined_fingerprint(context.plan, item.source, item.measured)
            assert item.fingerprint == named
        return refine(context, items)

    monkeypatch.setattr(fitting, "refine", seen)
    prepare(prose, UNFITTED)
    assert sources == [{"general"}, {"general"}, {"domain", "general"}]


def test_a_changed_threshold_before_the_fit_fits_again_and_one_after_does_not(prose: Path) -> None:
    prepare(prose, UNFITTED)
    MEASURED.clear()
    after = refilter(context_of(finished_plan(prose / "out", ["filters.4.maximum=300"])))
    assert len(FITTED) == 3
    assert not +MEASURED
    before = refilter(context_of(finished_plan(prose / "out", ["filters.0.min_chars=600"])))
    assert len(FITTED) == 6
    assert before.fits != after.fits
    overrides = (UNFITTED, "filters.4.maximum=300", "filters.0.min_chars=600")
    prepare(prose, *overrides, out="fresh")
    assert tree(prose / "out") == tree(prose / "fresh")


def test_a_person_sees_what_was_fitted(prose: Path) -> None:
    outcome = prepare(prose, UNFITTED)
    fit = outcome.fits[0]
    console = Console(record=True, width=200)
    print_outcome(outcome, prose / "out", console)
    line = f"domain: letter fitted to {fit.num_documents} documents that reached it: minimum "
    assert f"{line}{fit.parameters['minimum']}." in console.export_text()
    written = json.loads((prose / "out" / "run.json").read_text())
    assert written["fits"][0]["parameters"] == fit.parameters
    records = list((prose / "out" / "state" / "fit").iterdir())
    assert {path.stem for path in records} == {fit.fingerprint for fit in outcome.fits}


def test_without_a_document_nothing_is_fitted(prose: Path) -> None:
    outcome = prepare(prose, UNFITTED, "filters.0.min_chars=100000")
    assert FITTED == []
    assert {fit.num_documents for fit in outcome.fits} == {0}
    assert all(entry.num_kept == 0 for entry in outcome.ledger.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"letter": "x"}, "got letter, want thresholds: minimum"),
        ({"minimum": None}, "with which it still needs a fit"),
        ({"minimum": float("nan")}, "want values that JSON has"),
        ([3], "got list, want a mapping"),
    ],
)
def test_a_fit_that_breaks_the_contract_is_refused_by_source_and_filter(
    prose: Path, monkeypatch: pytest.MonkeyPatch, values: object, message: str
) -> None:
    monkeypatch.setattr(Letter, "fit", lambda *_: values)
    where = r"source domain: filter letter, fitted on \d+ documents: Letter\.fit: "
    with pytest.raises(FilterError, match=rf"{where}.*{message}.* in the manifest"):
        prepare(prose, UNFITTED)
    assert not (prose / "out" / "shards").exists()
