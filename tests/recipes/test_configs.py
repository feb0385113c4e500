"""Manifests and train configs of the recipes fit each other, the stand-in text and the pages."""

import re
from pathlib import Path

import pytest

from examples.recipes import clinical, german, python_code
from examples.recipes.stand_in import RECIPES as MAKERS
from examples.recipes.texts import Texts
from pipeline.manifest import Manifest, load_manifest
from tests.recipes.running import NAMES, RECIPES, ROOT
from training.config import TrainConfig, read_config

each = pytest.mark.parametrize("name", NAMES)


def both(name: str) -> tuple[Manifest, TrainConfig]:
    folder = RECIPES / name
    return load_manifest(folder / "manifest.yaml"), read_config(folder / "train.yaml")


def inside(path: str | Path) -> str:
    """A path of a manifest as the train config writes it: from the root."""
    return (RECIPES / "any" / path).resolve().relative_to(ROOT).as_posix()


def test_there_is_stand_in_text_and_a_page_for_every_recipe() -> None:
    pages = (ROOT / "docs" / "recipes").glob("*.md")
    assert sorted(MAKERS) == NAMES
    assert sorted(page.stem for page in pages if page.stem != "index") == NAMES


def test_make_recipes_runs_every_recipe() -> None:
    line = re.search(r"^RECIPES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    assert sorted(line[1].split()) == NAMES


@each
def test_what_is_prepared_is_what_is_trained_on(name: str) -> None:
    manifest, config = both(name)
    assert manifest.name == name
    assert [str(path) for path in config.shards] == [inside(manifest.output)]
    assert config.model_path == inside(manifest.tokenizer.path)
    assert str(config.out) == f"runs/recipes/{name}"


@each
def test_every_source_is_mixed_or_replayed_and_measured(name: str) -> None:
    manifest, config = both(name)
    sources = {source.name for source in manifest.sources}
    replayed = {config.replay.source} if config.replay else set()
    assert {*(config.mix or {}), *replayed} == sources
    assert set(config.gate) <= sources
    assert all(source.validation_fraction > 0 for source in manifest.sources)


@each
def test_stand_in_text_is_written_where_the_manifest_reads(name: str, tmp_path: Path) -> None:
    manifest, _ = both(name)
    row = {"id": "a/b.py", "text": 'def f():\n    """' + "Says what it does. " * 9 + '"""\n'}
    made = MAKERS[name](Texts([row], [row], [row]), tmp_path)
    paths = [inside(path) for source in manifest.sources for path in source.paths]
    assert paths == [f"build/recipes/{name}/raw/{source}.jsonl.zst" for source in made]


def test_invented_text_is_the_same_every_time() -> None:
    for make in (clinical.notes, german.reports, python_code.settings_modules):
        assert make(5, 1) == make(5, 1) != make(5, 2)


def test_a_question_has_a_signature_and_its_docstring_as_the_answer() -> None:
    answer = (
        "Add one, and say so in a sentence that is long enough to be worth an answer of a model."
    )
    code = f'def grow(n, by=1):\n    """{answer}"""\n    return n + by\n\ndef bare(): pass\n'
    (pair,) = python_code.questions(code)
    assert pair[0].endswith("def grow(n, by=1):\n\nAnswer: ")
    assert pair[1] == answer
    assert list(python_code.questions("print 'not Python'")) == []
