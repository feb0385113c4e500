"""`train report`: a page of real runs, of what is left of runs, and of any number of steps."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import HOSTILE
from tests.training.runs import Train, metrics, stop_after
from training.cli import main
from training.reporting.numbers import figure, percent
from training.reporting.page import report_page, sections, write_report
from training.reporting.reading import read_run

MAX_BYTES = 3_000_000


def page_of(out: Path) -> str:
    return report_page(read_run(out))


def journal(out: Path, lines: list[dict[str, Any]]) -> Path:
    """A run of which only the journal is left."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


def step(number: int, **figures: Any) -> dict[str, Any]:
    return {"kind": "step", "step": number, "loss": 3.0, **figures}


def test_a_run_leaves_its_page_when_it_ends(spoken: Train, tmp_path: Path) -> None:
    assert spoken(steps=4, report="true") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The run is done." in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


def test_figures_are_those_of_the_journal_and_of_forgetting_json(finished_run: Path) -> None:
    page = page_of(finished_run)
    found = json.loads((finished_run / "forgetting.json").read_text())["sources"]
    for name in ("domain", "general"):
        perplexity = found[name]["perplexity"]
        low, high = perplexity["change_percent_interval"]
        assert figure(perplexity["before"]) in page
        assert figure(perplexity["after"]) in page
        assert f"{percent(low)} to {percent(high)}" in page
    steps = metrics(finished_run, "step")
    tokens = sum(line["num_tokens"] for line in steps)
    assert f"{tokens:,.0f}" in page
    assert figure(steps[-1]["loss"]) in page


def test_shares_of_the_mix_are_those_of_the_steps(finished_run: Path) -> None:
    lines = [line["source_targets"] for line in metrics(finished_run, "step")]
    total = {name: sum(line[name] for line in lines) for name in ("domain", "general")}
    share = 100 * total["domain"] / sum(total.values())
    page = page_of(finished_run)
    assert f"{share:.1f} %" in page
    assert f"{total['general']:,.0f}" in page


def test_the_page_has_a_section_for_all_there_is(finished_run: Path) -> None:
    found = [section.id for section in sections(read_run(finished_run))]
    assert found == [
        *("overview", "learning", "forgetting", "gate", "samples", "mix"),
        *("optimisation", "speed", "origin"),
    ]


def test_text_of_documents_is_escaped(finished_run: Path) -> None:
    samples = (finished_run / "samples.jsonl").read_text()
    assert HOSTILE in samples
    page = page_of(finished_run)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_names_of_sources_are_escaped(tmp_path: Path) -> None:
    scores = {"loss": 1.0, "perplexity": 2.7, "bits_per_byte": 1.0}
    name = "<img src=x onerror=alert(1)>$\\frac$"
    line = {"kind": "eval", "step": 0, "sources": {name: scores}}
    assert "<img src=x" not in page_of(journal(tmp_path, [line, {**line, "step": 4}]))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "Nothing was validated"),
        ([step(1)], "The run is not done"),
        ([{"kind": "eval", "step": 0, "sources": {}}], "The run is not done"),
        ([step(n, loss=None) for n in range(1, 3)], "The run is not done"),
    ],
)
def test_a_run_that_wrote_little_has_a_page(
    tmp_path: Path, lines: list[dict[str, Any]], says: str
) -> None:
    assert says in page_of(journal(tmp_path, lines))


def test_a_diverged_run_says_so_and_names_the_steps(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [step(1, grad_norm=1.0)]
    for number in range(2, 7):
        lines += [
            step(number, loss=None, grad_norm=None, refused=True),
            {"kind": "skipped", "step": number, "reason": "loss nan", "first_row": 0, "rows": {}},
        ]
    page = page_of(journal(tmp_path, lines))
    assert "The run diverged" in page
    assert "5 refused steps" in page


def test_spikes_rewinds_and_overflows_are_counted(tmp_path: Path) -> None:
    lines = [
        step(1, overflowed=True),
        {"kind": "spike", "step": 2, "loss": 9.0},
        {"kind": "control", "step": 2, "event": {"kind": "skip", "first": 4, "last": 8}},
        {"kind": "passed", "step": 2, "first_row": 4, "num_rows": 4},
    ]
    page = page_of(journal(tmp_path, lines))
    assert "1 spikes, 1 overflows of the loss scale, 1 steps passed over, 1 rewinds." in page


def test_the_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    out = journal(tmp_path, [step(1), step(2)])
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    assert read_run(out).last_step == 2


def test_a_damaged_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = journal(tmp_path, [step(1)])
    text = (out / "metrics.jsonl").read_text()
    (out / "metrics.jsonl").write_text("{no\n" + text)
    assert main(["report", str(out)]) == 1
    assert "metrics.jsonl:1" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "no metrics.jsonl here" in capsys.readouterr().err


def test_a_stopped_run_and_its_resumption_are_told_apart(
    spoken: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 4)
    assert spoken() == 0
    out = tmp_path / "run"
    assert "The run is not done" in page_of(out)
    monkeypatch.undo()
    assert spoken() == 0
    run = read_run(out)
    assert [part["step"] for part in run.record["parts"]] == [0, 4]
    assert run.status == "finished"
    assert "in 2 parts" in page_of(out)


def test_many_steps_make_no_large_page(tmp_path: Path) -> None:
    sources = {f"source{n}": 2.0 for n in range(8)}
    line = step(1, grad_norm=1.0, sources=sources, source_targets=sources, seconds=1.0)
    lines = [{**line, "step": n, "loss": 3.0 + (n % 7)} for n in range(1, 20_001)]
    page = page_of(journal(tmp_path, lines))
    assert len(page.encode()) < MAX_BYTES
    assert "Each point is the mean of 67 steps" in page


def test_without_matplotlib_there_is_a_sentence(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shutil.copytree(finished_run, tmp_path / "run", symlinks=True)
    assert main(["report", str(tmp_path / "run")]) == 1
    assert "matplotlib is not installed; pip install" in capsys.readouterr().err
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_same_run_has_the_same_page(finished_run: Path, tmp_path: Path) -> None:
    first, second = (write_report(finished_run, tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
