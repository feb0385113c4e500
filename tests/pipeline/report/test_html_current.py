"""The page in an output is of what the output holds: a change of it takes the page away."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.erasing import applying, erase
from pipeline.errors import UsageError
from pipeline.report.html.build import write_report
from pipeline.stage import locked
from tests.pipeline.corpora import docstrings
from tests.pipeline.here import run_here, small_manifest
from tests.pipeline.report.pages import write_rows

MARK = "Nobody else says that of the seventh copper kettle. "


@pytest.fixture
def made(tmp_path: Path, tokenizer_folder: Path) -> dict[str, Any]:
    """A manifest whose output, `out`, is finished and has a page with a text that is `MARK`ed."""
    rows = [{"id": f"d{n}", "text": text[:300]} for n, text in enumerate(docstrings()[:30])]
    rows.append({"id": "marked", "text": f"{MARK:-<99}"})
    write_rows(tmp_path / "domain.jsonl", rows)
    write_rows(tmp_path / "general.jsonl", rows[:3])
    manifest = small_manifest(tokenizer_folder, filters=[{"use": "length", "min_chars": 100}])
    run_here(tmp_path, manifest)
    assert main(["report", str(tmp_path / "out")]) == 0
    assert MARK in (tmp_path / "out" / "report.html").read_text()
    return manifest


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(name="other"),
        lambda manifest: manifest.update(filters=[{"use": "length", "min_chars": 90}]),
        lambda manifest: manifest["sources"].pop(),
        lambda manifest: manifest.update(limits={"max_quarantined_fraction": 0.5}),
    ],
    ids=["name", "threshold", "source", "limit"],
)
def test_a_run_of_another_manifest_takes_the_page_away(
    tmp_path: Path, made: dict[str, Any], change: Callable[[dict[str, Any]], object]
) -> None:
    change(made)
    run_here(tmp_path, made)
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_run_that_finds_nothing_to_do_leaves_it(tmp_path: Path, made: dict[str, Any]) -> None:
    before = (tmp_path / "out" / "report.html").read_bytes()
    assert run_here(tmp_path, made).nothing_to_do
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_an_erasure_that_is_killed_leaves_no_page_with_what_it_took(
    tmp_path: Path, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erase, "_mend_reports", die)  # all that follows what cannot be undone
        with pytest.raises(KeyboardInterrupt):
            erase.erase(out, ["marked"])
    run_here(tmp_path, made)
    assert not (out / "report.html").exists()
    assert applying.read_state(out)  # it was taken out
    assert main(["report", str(out)]) == 0
    assert MARK not in (out / "report.html").read_text()


def test_no_page_is_written_into_an_output_that_is_being_changed(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "copy.html"
    (out / "report.html").unlink()
    with locked(out):
        with pytest.raises(UsageError, match="is writing here"):
            write_report(out, out / "report.html")
        write_report(out, elsewhere)  # where nothing else is written it needs no lock
    assert not (out / "report.html").exists()
    assert elsewhere.is_file()
