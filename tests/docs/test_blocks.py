"""Every block of every page is of a kind that a test checks; what is cheap is checked here."""

import ast
import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.docs import configs, synopses
from tests.docs.blocks import NOT_RUN, Block, all_blocks, fault, parse

BLOCKS = all_blocks()


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def test_there_are_blocks_of_every_language() -> None:
    assert Counter(block.language for block in BLOCKS).keys() >= {"bash", "python", "text", "yaml"}


def test_every_info_string_is_one_that_a_test_knows() -> None:
    assert [found for block in BLOCKS if (found := fault(block))] == []


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("perl", "page.md:3: no test knows what to do with 'perl'; want of bash, console"),
        ("", "no test knows what to do with ''"),
        ('bash { skip="yes" }', "no test knows what to do with 'skip'"),
        ("bash skip", "got the info string 'bash skip', want LANGUAGE"),
    ],
)
def test_another_info_string_is_a_fault(info: str, message: str) -> None:
    (block,) = parse("page.md", f"a\n\n```{info}\nls\n```\n")
    assert message in (fault(block) or "")


def test_known_info_strings_are_none() -> None:
    for info in ("bash", 'yaml title="m.yaml"', 'bash { data-not-run="needs four devices" }'):
        (block,) = parse("page.md", f"```{info}\nls\n```\n")
        assert fault(block) is None


def test_blocks_in_lists_and_with_attributes_are_found() -> None:
    text = '- a\n\n  ```yaml title="m.yaml"\n  a: 1\n  b:\n    c: 2\n  ```\n'
    (block,) = parse("page.md", text)
    assert (block.language, block.get("title"), block.line) == ("yaml", "m.yaml", 3)
    assert block.text == "a: 1\nb:\n  c: 2\n"


def test_what_is_not_run_has_a_reason_and_is_counted() -> None:
    reasons = {str(block): block.get(NOT_RUN) or "" for block in BLOCKS if not block.is_run}
    assert all(len(reason.split()) >= 3 for reason in reasons.values()), reasons
    pages = Counter(name.partition(":")[0] for name in reasons)
    assert pages == Counter(NOT_RUN_BLOCKS), reasons


# How many blocks of a page cannot be run by a test. To add one is to lower a promise.
NOT_RUN_BLOCKS = {
    "README.md": 2,
    "docs/first_manifest.md": 1,
    "docs/forgetting.md": 1,
    "docs/howto/run_on_a_cluster.md": 2,
    "docs/plan.md": 1,
}


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_a_manifest_or_a_train_config(block: Block, tmp_path: Path) -> None:
    configs.check(block.text, tmp_path)


def test_json_and_toml_parse() -> None:
    for block in of("json"):
        json.loads(block.text)
    for block in of("toml"):
        tomllib.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_parses(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", of("bash", "console", "text"), ids=str)
def test_commands_have_options_that_exist(block: Block) -> None:
    for words in synopses.commands(block.text):
        synopses.check(words)


def test_a_synopsis_with_an_option_that_does_not_exist_is_found() -> None:
    words = next(synopses.commands("prepare run MANIFEST [--wrokers N] [-- BEAM OPTIONS]"))
    with pytest.raises(SystemExit):
        synopses.check(words)
