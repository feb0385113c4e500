"""The tutorial, block by block, from an empty directory."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.running import Reader, is_run

PAGE = ROOT / "docs" / "tutorial.md"


def test_nothing_in_the_tutorial_is_passed_over() -> None:
    found = blocks(PAGE)
    assert [str(block) for block in found if not is_run(block) and block.language != "yaml"] == []
    assert sum(block.language == "console" for block in found) >= 8


@pytest.mark.slow
def test_the_tutorial_runs_from_an_empty_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(tmp_path)
    for block in blocks(PAGE):
        if is_run(block):
            reader.run(block, monkeypatch)
    for made in ("build/files/report.html", "runs/adapted/report.html", "runs/adapted/last"):
        assert (tmp_path / made).exists(), made
