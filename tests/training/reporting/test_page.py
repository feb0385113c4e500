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
from training import decisions, loop
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
    assert "1 spike, 1 overflow of the loss scale, 1 step passed over, 1 rewind." in page


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


@pytest.mark.parametrize("second", [13, 5])
def test_spikes_that_the_run_went_back_on_stay_in_the_journal(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: int
) -> None:
    """Also where the second way back goes behind the first one."""
    look_back, told = decisions.look_back, []

    def at_two_steps(run: Any, state: Any, result: Any) -> Any:
        is_due = len(told) < 2 and state.step == (10, second)[len(told)]
        monkeypatch.setattr(decisions, "is_spike", lambda *_: is_due)
        told.extend([state.step] if is_due else [])
        return look_back(run, state, result)

    monkeypatch.setattr(loop, "look_back", at_two_steps)
    sets = {"spikes": "{action: rewind, skip_steps: 3}", "save_every": 4, "keep_last": 9}
    assert train(steps=16, **sets) == 0
    assert told == [10, second]
    run = read_run(tmp_path / "run")
    spikes = [(each["at_step"], each["loss"]) for each in run.events if each["kind"] == "spike"]
    assert [at for at, _ in spikes] == told
    assert all(loss > 0 for _, loss in spikes)
    page = page_of(tmp_path / "run")
    assert "2 spikes" in page
    assert "2 rewinds" in page
    assert "the run went back to step" in page


def test_what_stopped_the_run_before_is_not_how_it_stands_now(
    spoken: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"lr.peak": 0.5, "report": "true"}
    assert spoken(gate='{"general": 0.0001}', **sets) == 1
    out = tmp_path / "run"
    outcome = (out / "forgetting.json").read_text()
    assert read_run(out).status == "gate"
    stop_after(monkeypatch, 6)
    assert spoken(gate='{"general": 1000000}', **sets) == 0
    assert read_run(out).status == "unfinished"
    assert not (out / "forgetting.json").exists()
    (out / "forgetting.json").write_text(outcome)  # as an older version left it
    assert read_run(out).status == "unfinished"


def test_a_killed_run_leaves_nothing_of_the_one_that_was_there_before(
    spoken: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spoken(steps=4, report="true") == 0
    out = tmp_path / "run"
    for checkpoint in out.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    (out / "last").unlink()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "take_step", killed)
    assert spoken(steps=8, samples="null") == 130
    left = {path.name for path in out.iterdir()}
    assert not left & {"report.html", "forgetting.json", "samples.jsonl"}


def test_samples_after_the_step_that_a_run_goes_on_from_are_cut_without_new_ones(
    spoken: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 7)
    assert spoken() == 0
    monkeypatch.undo()
    out = tmp_path / "run"
    for number in (6, 7):
        shutil.rmtree(out / f"checkpoint-{number}", ignore_errors=True)
    assert spoken(samples="null", steps=8) == 0
    assert {line["step"] for line in read_run(out).samples} == {0}


def test_a_line_without_its_end_is_not_joined_to_the_next_one(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 4)
    assert train() == 0
    monkeypatch.undo()
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    assert train() == 0
    assert read_run(tmp_path / "run").steps.numbers.tolist() == list(range(1, 9))


@pytest.mark.parametrize("line", ['{"kind": "step", "step": null}', '{"kind": "eval", "step": ""}'])
def test_a_line_whose_step_is_no_number_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    out = journal(tmp_path, [step(1)])
    with (out / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n" + json.dumps(step(2)) + "\n")
    assert main(["report", str(out)]) == 1
    assert "metrics.jsonl:2" in capsys.readouterr().err


def sampled(number: int, prompt: str, text: str) -> dict[str, Any]:
    line = {"kind": "sample", "step": number, "source": "a", "document": "", "reference": ""}
    return {**line, "prompt": prompt, "text": text, "num_tokens": 1}


def test_prompts_that_were_continued_once_are_not_called_the_same(tmp_path: Path) -> None:
    out = journal(tmp_path, [step(1)])
    lines = [sampled(0, "p", "x"), sampled(0, "only before", "x"), sampled(4, "p", "y")]
    (out / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = page_of(out)
    assert "of 1 prompts at step 0 and at step 4; 0 of them are the same" in page
    assert "1 more were continued once" in page


def test_text_that_utf_8_has_not_is_escaped(tmp_path: Path) -> None:
    out = journal(tmp_path, [step(1)])
    (out / "samples.jsonl").write_text(json.dumps(sampled(0, "p", "\udcff")) + "\n")
    assert "\\udcff" in write_report(out).read_text(encoding="utf-8")


def test_names_in_any_script_are_in_the_legends_and_warn_of_nothing(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    scores = {"loss": 1.0, "perplexity": 2.7, "bits_per_byte": 1.0}
    names = ("_hidden", "日本語", "bell\x07")
    line = {"kind": "eval", "step": 0, "sources": dict.fromkeys(names, scores)}
    page = page_of(journal(tmp_path, [line, {**line, "step": 4}]))
    assert not [str(each.message) for each in recwarn if "Glyph" in str(each.message)]
    drawn = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", page))
    assert all(name in drawn for name in names[:2])
