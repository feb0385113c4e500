"""The pages on cleaning and PII: their examples are true, and they name all that there is."""

import ast
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from pipeline.text.clean import CHANGES, CleanConfig, clean
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.registry import KINDS, OPT_IN

DOCS = Path(__file__).parents[2] / "docs"
CLEAN = (DOCS / "clean.md").read_text()
KIND = re.compile(r"^- \*\*`(\w+)`\*\* (.*)$", re.MULTILINE)
EXAMPLE = re.compile(r"(?<= )`([^`]+)`")


def kinds() -> dict[str, dict[str, list[str]]]:
    """By kind: what is found of it, and what stays."""
    found = {}
    for kind, line in KIND.findall((DOCS / "pii.md").read_text()):
        parts = re.split(r"(Found|Stays|Missed):", line)
        found[kind] = {
            name: EXAMPLE.findall(part) for name, part in zip(parts[1::2], parts[2::2], strict=True)
        }
    return found


def tagged(text: str, *only: str) -> str:
    config = PiiConfig(kinds=only or tuple(KINDS))
    return str(anonymise(pa.array([text]), config).texts[0])


def test_modes_of_the_page_are_what_a_manifest_makes_of_them() -> None:
    """YAML reads `off` as false."""
    block = (DOCS / "pii_modes.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    modes = yaml.safe_load(block)["pii"]["modes"]
    config = PiiConfig.model_validate({"modes": modes})
    assert config.modes == {kind: mode or "off" for kind, mode in modes.items()}


def test_the_page_describes_every_kind() -> None:
    assert kinds().keys() == KINDS.keys()
    assert all(described["Found"] and described["Stays"] for described in kinds().values())
    assert f"all but {', '.join(OPT_IN)}" in (DOCS / "pii.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_examples_of_a_kind_are_found_or_stay_as_its_page_says(kind: str) -> None:
    described = kinds()[kind]
    for text in described["Found"]:
        assert f"[{kind.upper()}]" in tagged(text), text
    for text in described["Stays"]:
        assert tagged(text, kind) == text


def test_changes_are_what_the_page_on_cleaning_shows() -> None:
    rows = re.findall(r'^\| `(\w+)` \| `(".*")` \| `(".*")` \|$', CLEAN, re.MULTILINE)
    assert len(rows) == 10
    for key, before, after in rows:
        config = CleanConfig(dehyphenate=key == "dehyphenate")
        cleaned = clean(pa.array([ast.literal_eval(before)]), config)
        assert cleaned.texts.to_pylist() == [ast.literal_eval(after)], key


def test_the_page_on_cleaning_names_every_key_count_and_default() -> None:
    names = [*CleanConfig.model_fields, *CHANGES.names]
    assert [name for name in names if f"`{name}`" not in CLEAN] == []
    shown = yaml.safe_load(CLEAN.partition("```yaml\n")[2].partition("```")[0])
    assert shown == {"clean": CleanConfig().model_dump(mode="json")}
