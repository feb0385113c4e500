"""Models and lists of filters: found beside the manifest, and known by what is in them."""

from pathlib import Path

import pytest
import yaml

from pipeline.calibration.measuring import measure
from pipeline.cli import main
from pipeline.manifest import load_manifest
from pipeline.plan import Plan, measuring_settings
from pipeline.refilter import finished_plan, refilter
from pipeline.run import Outcome
from pipeline.sampling import sample
from pipeline.signals import check_strata
from tests.filters.arpa import write_arpa
from tests.pipeline.plugins import register
from tests.pipeline.test_refilter import context_of, prepare, prose, tree

__all__ = ["prose"]  # the fixture: a folder with a manifest and 160 rows

LISTED = (
    "filters=[{use: toxicity, max_listed_words: 3, words: {en: lists/none.txt}, "
    "per_language: {de: {words: {de: lists/de.txt}}}}]",
    "filters.0.words.en=lists/en.txt",  # a value of --set is relative to the manifest, too
    "filters.0.per_language=null",
)


@pytest.fixture
def listed(prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The corpus with a list and a model, while the current folder has neither."""
    register(monkeypatch)
    (prose / "lists").mkdir()
    (prose / "lists" / "en.txt").write_text("the\nif\n")
    (prose / "lm").mkdir()
    write_arpa(prose / "lm" / "en.arpa")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return prose


def plan_of(folder: Path, *overrides: str) -> Plan:
    return Plan(load_manifest(folder / "m.yaml", overrides), folder, folder / "out")


def num_dropped(outcome: Outcome) -> int:
    return sum(sum(entry.dropped.values()) for entry in outcome.ledger.values())


def test_a_list_is_beside_the_manifest_for_a_run_and_for_refilter(listed: Path) -> None:
    dropped = num_dropped(prepare(listed, *LISTED, "strata=null"))
    assert dropped > 0
    plan = finished_plan(listed / "out", ["filters.0.max_listed_words=100000"])
    assert num_dropped(refilter(context_of(plan))) == 0
    assert num_dropped(prepare(listed, *LISTED, "strata=null")) == dropped


def test_lists_of_languages_are_beside_the_manifest(listed: Path) -> None:
    (listed / "lists" / "de.txt").write_text("der\n")
    by_language = (
        "filters=[{use: language, keep: [en, de], min_score: 0}, "
        "{use: toxicity, words: {en: lists/en.txt}, max_listed_words: 3, "
        "per_language: {en: {words: {en: lists/de.txt}}}}]"
    )
    rules = prepare(listed, by_language, "strata=null").ledger["general"].dropped
    assert "toxicity.num_listed_words" not in rules


def test_the_same_corpus_elsewhere_has_nothing_to_do_until_a_list_changes(
    listed: Path, tmp_path: Path
) -> None:
    prepare(listed, *LISTED, "strata=null")
    moved = tmp_path / "deep" / "moved"
    moved.parent.mkdir()
    listed.rename(moved)
    assert prepare(moved, *LISTED, "strata=null").nothing_to_do
    plan = plan_of(moved, *LISTED)
    settings = [measuring_settings(plan, source) for source in plan.manifest.sources]
    (moved / "lists" / "en.txt").write_text("another\n")
    changed = plan_of(moved, *LISTED)
    assert all(
        measuring_settings(changed, source) != before
        for source, before in zip(changed.manifest.sources, settings, strict=True)
    )
    assert not prepare(moved, *LISTED, "strata=null").nothing_to_do


def test_a_model_with_a_fit_is_beside_the_manifest_for_every_command(listed: Path) -> None:
    pytest.importorskip("kenlm", reason="needs the extra kenlm")
    scored = (
        "filters=[{use: perplexity, model: lm/en.arpa, keep_buckets: [head, middle], "
        "min_documents_to_fit: 1}]",
        "strata={by: perplexity.perplexity, edges: [50]}",
    )
    plan = plan_of(listed, *scored)
    check_strata(plan)
    samples = sample(plan, 1000)
    kept = measure(plan, [(one.source, one.documents) for one in samples]).kept_by_all()
    outcome = prepare(listed, *scored)
    assert {fit.source for fit in outcome.fits} == {"domain", "general"}
    assert kept.sum() == sum(entry.num_kept for entry in outcome.ledger.values())
    again = finished_plan(listed / "out", ["filters.0.keep_buckets=[head]"])
    assert num_dropped(refilter(context_of(again))) > num_dropped(outcome)
    prepare(listed, *scored, "filters.0.keep_buckets=[head]", out="fresh")
    assert tree(listed / "out") == tree(listed / "fresh")


@pytest.mark.slow
def test_the_commands_find_it_from_any_folder_and_calibrate_writes_it_as_it_was(
    listed: Path,
) -> None:
    values = yaml.safe_load((listed / "m.yaml").read_text()) | {"strata": None}
    spec = {"use": "toxicity", "words": {"en": "lists/none.txt"}, "max_listed_words": 3}
    (listed / "m.yaml").write_text(yaml.safe_dump(values | {"filters": [spec]}))
    (listed / "lists" / "none.txt").write_text("the\n")
    new = listed / "new.yaml"
    command = ["calibrate", str(listed / "m.yaml"), "--keep", "0.9", "--write", str(new)]
    assert main(command) == 0
    assert yaml.safe_load(new.read_text())["filters"][0]["words"] == spec["words"]
    to = ["--set", "filters.0.words.en=lists/en.txt", "--workers", "1"]
    assert main(["run", str(new), *to]) == 0
    assert main(["refilter", str(listed / "out"), "--set", "filters.0.max_listed_words=9"]) == 0
