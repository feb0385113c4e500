"""`prepare filters`: one description of each filter, on a terminal, in a pipe and as pages."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from filters.registry import describe, names
from pipeline.cli import main
from pipeline.report.filters import (
    INDEX_NAME,
    RATES_NAME,
    page,
    pages,
    print_filter,
    print_filters,
    write_pages,
)
from tests.pipeline.plugins import register

PAGES = Path(__file__).parents[2] / "docs" / "filters"


def test_the_committed_pages_are_those_of_the_filters() -> None:
    wanted = pages(PAGES / RATES_NAME)
    found = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert found.keys() == wanted.keys(), "run: prepare filters --markdown docs/filters"
    stale = [name for name in wanted if found[name] != wanted[name]]
    assert stale == [], "run: prepare filters --markdown docs/filters"


@pytest.mark.parametrize("name", names())
def test_a_page_names_every_parameter_signal_and_paper(name: str) -> None:
    known, text = describe(name), page(describe(name))
    lines = text.splitlines()
    assert lines[0] == f"# {name}"
    for parameter in known.parameters:
        (row,) = [line for line in lines if line.startswith(f"| {parameter.name} | ")]
        assert row.endswith("| keep |" if parameter.is_threshold else "measure |")
    for signal in known.signals:
        assert any(line.startswith(f"| {name}.{signal.name} | {signal.type}") for line in lines)
    assert all(f"- {paper}" in lines for paper in known.papers)
    assert known.documentation in text


def test_a_page_says_whether_texts_are_always_edited() -> None:
    edits = "- Edits: it changes texts before anything is measured"
    assert f"{edits}." in page(describe("c4_quality"))
    assert f"{edits}, if its parameters ask for it." in page(describe("boilerplate"))
    assert "- Edits:" not in page(describe("length"))


def test_pages_are_written_with_keep_rates_where_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    rate = {"documents": 0.5, "bytes": 0.754, "parameters": {"letter": "e"}}
    rates = {"corpus": "twelve lines", "filters": {"letter": rate}}
    (tmp_path / RATES_NAME).write_text(json.dumps(rates))
    paths = write_pages(tmp_path)
    assert {path.name for path in paths} == {INDEX_NAME, *(f"{name}.md" for name in names())}
    text = (tmp_path / "letter.md").read_text()
    line = '- Keep rate with {"letter": "e"}: 50.0% of the documents and 75.4% of the bytes of '
    assert f"{line}twelve lines." in text
    assert "- {use: letter, letter: ...}" in text
    assert "| minimum | int \\| None | null | keep |" in text
    assert "- Somebody et al. 1999" in text
    assert "Keep rate" not in (tmp_path / "sum.md").read_text()
    assert "changes texts" in (tmp_path / "cut.md").read_text()
    before = {path: path.read_bytes() for path in paths}
    write_pages(tmp_path)
    assert {path: path.read_bytes() for path in paths} == before


def test_the_list_is_plain_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names())
    assert [line.split()[1] for line in lines if line.startswith("length ")] == ["cheap"]


def test_one_filter_in_a_pipe_is_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filters", "length"]) == 0
    assert capsys.readouterr().out == page(describe("length"))
    assert main(["filters", "lenght"]) == 2
    assert "did you mean length?" in capsys.readouterr().err


def test_a_terminal_gets_tables() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, record=True)
    print_filters(console)
    print_filter("length", console)
    text = console.export_text()
    assert "│" in text
    assert all(name in text for name in names())
    assert "length.num_chars" in text
    assert "min_words" in text
