"""What a person sees."""

import io
import json
from pathlib import Path

from rich.console import Console

from training.evaluate import Score
from training.report import Screen, StepLine, forgetting, forgetting_table, write_forgetting
from training.state import TrainState

STATE = TrainState(
    step=9,
    baseline={"domain": Score(nats=200, num_targets=100, num_bytes=400)},
    latest={"domain": Score(nats=100, num_targets=100, num_bytes=400)},
)


def screen(*, terminal: bool) -> tuple[Screen, io.StringIO]:
    shown, text = Screen(enabled=True), io.StringIO()
    shown.console = Console(file=text, force_terminal=terminal, width=120)
    return shown, text


def test_changes_are_relative_to_step_0(tmp_path: Path) -> None:
    loss = forgetting(STATE)["sources"]["domain"]["loss"]
    assert loss == {"before": 2.0, "after": 1.0, "change_percent": -50.0}
    write_forgetting(tmp_path / "forgetting.json", STATE)
    assert json.loads((tmp_path / "forgetting.json").read_text()) == forgetting(STATE)


def test_the_table_shows_before_after_and_change() -> None:
    shown, text = screen(terminal=False)
    shown.console.print(forgetting_table(STATE))
    (row,) = (line for line in text.getvalue().splitlines() if "domain" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["domain", "7.389", "2.718", "-63.21 %", "0.721", "0.361", "-50.00 %"]


def test_a_source_without_targets_changes_by_nothing() -> None:
    empty = {"a": Score(nats=0, num_targets=0, num_bytes=0)}
    values = forgetting(TrainState(baseline=empty, latest=empty))["sources"]["a"]
    assert values["loss"]["change_percent"] == 0


def test_a_terminal_gets_a_bar_with_the_figures() -> None:
    shown, text = screen(terminal=True)
    with shown.bars():
        bar = shown.add("train", 10)
        bar.show(
            StepLine(step=4, num_steps=10, loss=2.5, learning_rate=1e-5, tokens_per_second=123)
        )
    assert "4/10" in text.getvalue()
    assert "loss 2.5000" in text.getvalue()
    assert "123 tokens/s" in text.getvalue()


def test_elsewhere_lines_come_now_and_then_and_at_the_end() -> None:
    shown, text = screen(terminal=False)
    with shown.bars():
        bar = shown.add("train", 3)
        for step in (1, 2, 3):
            bar.show(StepLine(step=step, num_steps=3, loss=1, learning_rate=1, tokens_per_second=1))
    assert text.getvalue().splitlines() == ["step 3/3 · loss 1.0000 · lr 1.00e+00 · 1 tokens/s"]


def test_other_ranks_are_silent(capsys: object) -> None:
    quiet = Screen(enabled=False)
    quiet.say("nothing")
    assert quiet.console.quiet
