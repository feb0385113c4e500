"""The generated reference has every key, option and error, each with a meaning."""

import argparse
import importlib
import re
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.cli import build_parser
from pipeline.manifest import Manifest, manifest_schema
from reference import pages
from reference.commands import leaves, section, train_parsers
from reference.errors import TREES, errors, exit_code
from reference.keys import keys, parts
from reference.sources import outside, source_page
from training.config import FREE_KEYS, TrainConfig

PAGES = pages()
ROOT = Path(__file__).parents[2]


def names(schema: dict[str, Any]) -> set[str]:
    """The keys of a JSON Schema and of all its definitions."""
    models = [schema, *schema.get("$defs", {}).values()]
    return {name for model in models for name in model.get("properties", {})}


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """A model and all that its keys lead to."""
    if model not in seen:
        seen.add(model)
        for key in keys(model):
            for _, part in parts(key):
                models(part, seen)
    return seen


@pytest.mark.parametrize(
    ("page", "schema"),
    [
        ("reference/manifest.md", manifest_schema()),
        ("reference/train_config.md", TrainConfig.model_json_schema()),
    ],
    ids=["manifest", "train"],
)
def test_every_key_is_in_the_reference(page: str, schema: dict[str, Any]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| `", PAGES[page], re.MULTILINE))
    assert names(schema) - rows == set()
    assert len(rows) > 30


@pytest.mark.parametrize("model", [Manifest, TrainConfig])
def test_every_key_has_a_meaning(model: type[BaseModel]) -> None:
    """In its description, or in the text of its section."""
    for each in models(model, set()):
        unsaid = [k.name for k in keys(each) if not k.meaning and f"`{k.name}" not in each.__doc__]
        assert unsaid == [], each.__name__


def test_types_and_defaults_are_those_of_yaml() -> None:
    train = {key.name: key for key in keys(TrainConfig)}
    assert (train["seed"].type, train["seed"].default) == ("integer", "17")
    assert train["gate"].type == "mapping of text to number > 0"
    assert train["size_exponent"].type == "number >= 0 and <= 1"
    assert train["model"].type == "text or section"
    assert train["model"].default == "required"
    assert train["compile"].default == "false"
    manifest = {key.name: key for key in keys(Manifest)}
    assert [name for name, _ in parts(manifest["sources"])] == ["sources[]"]
    assert [name for name, _ in parts(train["mix"])] == ["mix.NAME"]


def commands() -> list[argparse.ArgumentParser]:
    return [*leaves(build_parser()), *train_parsers()]


@pytest.mark.parametrize("parser", commands(), ids=lambda parser: parser.prog)
def test_every_option_of_a_command_is_in_the_reference(parser: argparse.ArgumentParser) -> None:
    assert f"### {parser.prog}\n" in PAGES["reference/commands.md"]
    own = section(parser)
    assert own in PAGES["reference/commands.md"]
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", parser.format_usage()))
    assert [option for option in options if f"`{option}" not in own] == []


@pytest.mark.parametrize(("command", "module"), TREES.items())
def test_every_public_error_has_a_meaning_a_cure_and_its_code(command: str, module: str) -> None:
    page = PAGES["reference/errors.md"]
    part = page.partition(f"## {command}\n")[2].partition("\n## ")[0]
    found = importlib.import_module(module)
    public = {
        name
        for name, item in getmembers(found, isclass)
        if issubclass(item, Exception) and item.__module__ == module
    }
    assert set(re.findall(r"^### (\w+)$", part, re.MULTILINE)) == public
    for known in errors(module):
        assert known.meaning, known.name
        assert known.cure.endswith("."), known.name
        assert f"**Exit code** {exit_code(getattr(found, known.name))}." in part


def test_the_codes_of_errors_are_those_that_the_commands_end_with() -> None:
    from filters.errors import FilterConfigError, FilterError, FilterLoadError
    from pipeline.errors import LedgerError, ManifestError

    codes = {e: exit_code(e) for e in (FilterError, FilterLoadError, LedgerError)}
    assert codes == {FilterError: 1, FilterLoadError: 2, LedgerError: 1}
    assert exit_code(ManifestError) == exit_code(FilterConfigError) == 2


def test_a_cure_changes_in_a_resumed_run_only_what_may_change() -> None:
    for known in errors("training.errors"):
        named = {key.partition(".")[0] for key in re.findall(r"`([a-z_]+)[.:`]", known.cure)}
        fixed = (named & TrainConfig.model_fields.keys()) - FREE_KEYS
        assert fixed == set() or "new run" in known.cure, (known.name, fixed)


def test_where_an_error_is_raised_is_found_in_the_code() -> None:
    known = {each.name: each for each in errors("pipeline.errors")}
    assert "pipeline.manifest" in known["ManifestError"].places
    for place in known["ShardError"].places:
        text = (ROOT / f"{place.replace('.', '/')}.py").read_text()
        assert "ShardError(" in text


def test_links_out_of_the_documentation_lead_to_pages_with_the_files() -> None:
    assert outside("anywhere.md", "../examples/plugin") == "examples/plugin"
    assert outside("howto/write_a_filter.md", "../../examples/plugin") == "examples/plugin"
    assert outside("howto/write_a_filter.md", "../web.md") is None
    assert outside("anywhere.md", "https://example.com/a") is None
    text = source_page("data_manifests/web-archives.yaml")
    assert text.startswith("# data_manifests/web-archives.yaml\n\n````yaml\n")
    assert "## headwater_reading_ease.py" in source_page("examples/plugin")
