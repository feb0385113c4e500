"""Every command and every line of Python of every page runs, in the order of the page."""

import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.docs import folders
from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.running import Reader, in_kind, is_run, sessions
from tests.pipeline.conftest import job_service

# A session needs one, and pytest finds fixtures by their names here.
__all__ = ["job_service"]
TUTORIAL = "docs/tutorial.md"  # from an empty directory: test_tutorial.py


def to_run(name: str) -> list[Block]:
    """What is run of a page."""
    found = [block for block in blocks(ROOT / name) if is_run(block)]
    elsewhere = {"python"} if name in folders.TESTED_ELSEWHERE else set()
    return [block for block in found if block.language not in elsewhere]


NAMES = [path.relative_to(ROOT).as_posix() for path in pages()]
RUNNABLE = [name for name in NAMES if name != TUTORIAL and to_run(name)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.prepared_folder(tmp_path_factory.mktemp("reader"))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_a_page_runs(
    name: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    own = tmp_path / "reader"
    shutil.copytree(folder, own, symlinks=True)
    service = name in folders.NEEDS_JOB_SERVICE
    job = {"HOST:PORT": request.getfixturevalue("job_service")} if service else {}
    reader = Reader(own, {**folders.WORDS, **job})
    monkeypatch.chdir(own)
    exec(folders.GIVEN.get(name, ""), reader.values)
    before = folders.BEFORE.get(name, {})
    for number, block in zip(count(), to_run(name), strict=False):
        reader.shell(before.get(number, ""), where=f"before {block}")
        reader.run(block, monkeypatch)


def test_pages_that_are_tested_elsewhere_are() -> None:
    for name, test in folders.TESTED_ELSEWHERE.items():
        assert Path(name).name in (ROOT / test).read_text()


def test_what_is_prepared_for_a_page_is_for_one_that_runs() -> None:
    assert {*folders.BEFORE, *folders.GIVEN} <= set(RUNNABLE)


def test_lines_are_compared_in_kind() -> None:
    assert in_kind("│ read   │ 1,762 │ 31.5 │") == in_kind("│ read │  9 │  0.1 │")
    assert in_kind("step 3: loss 1.2e-05") == in_kind("step 12: loss 3")
    assert in_kind("08e96204fbc05aeb of kit") == in_kind("fecf925c498c6b9b of kit")
    assert in_kind("3 kept") != in_kind("3 dropped")
    assert sessions("$ a \\\n  b\nx\n...\n$ c\n") == [("a \\\n  b", ["x"]), ("c", [])]


def test_a_line_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    (block,) = [Block("page.md", 1, "console", "$ echo 3 kept\n4 kept\n")]
    reader.console(block)
    with pytest.raises(AssertionError, match="these lines did not come"):
        reader.console(Block("page.md", 1, "console", "$ echo 3 kept\n3 dropped\n"))
    with pytest.raises(AssertionError, match=r"page\.md:1: 1"):
        reader.console(Block("page.md", 1, "console", "$ false\n"))
    reader.console(Block("page.md", 1, 'console { data-exit="1" }', "$ true\n$ false\n"))
