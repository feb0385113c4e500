"""What is shown while a run goes on: for a person, in a log, for a machine."""

import io
import json
import math

import pytest
from rich.console import Console

from training.screen import Screen, StepLine


def line(step: int, **changes: object) -> StepLine:
    values = {"num_steps": 100, "loss": 2.5, "learning_rate": 1e-5, "tokens_per_second": 123.0}
    return StepLine(**({"step": step} | values | changes))  # type: ignore[arg-type]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("training.screen.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_mix_is_the_share_of_the_tokens_that_were_learned(clock: Clock) -> None:
    screen = Screen(enabled=True, style="quiet")
    bar = screen.add("train", 100)
    bar.show(line(1, num_targets={"domain": 300, "general": 100}))
    bar.show(line(2, num_targets={"domain": 100, "general": 300, "late": 200}))
    assert screen.mix() == pytest.approx({"domain": 0.4, "general": 0.4, "late": 0.2})


def test_steps_that_learn_nothing_have_no_mix(clock: Clock) -> None:
    screen = Screen(enabled=True, style="quiet")
    assert screen.mix() == {}
    screen.show(line(1, num_targets={"domain": 0}))
    assert screen.mix() == {}


def test_the_time_left_counts_what_happens_between_the_steps(clock: Clock) -> None:
    screen = Screen(enabled=True, style="quiet")
    assert screen.eta_seconds() is None
    screen.show(line(40))
    assert screen.eta_seconds() is None
    clock.now += 30.0  # ten steps and an evaluation
    screen.show(line(50))
    assert screen.eta_seconds() == pytest.approx(150.0)


def test_machines_get_an_event_a_second_and_the_last_step(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(enabled=True, style="json")
    screen.say("some [red]note")
    bar = screen.add("train", 100)
    for step in range(96, 101):
        clock.now += 0.4
        bar.show(line(step, loss=math.nan, num_targets={"a": 1, "b": 3}, data_fraction=0.25))
    screen.tell("for a person")
    found = events(capsys.readouterr().out)
    assert [event["event"] for event in found] == ["note", "step", "step"]
    assert found[0]["text"] == "some [red]note"
    assert [event["step"] for event in found[1:]] == [98, 100]
    assert found[1]["loss"] is None  # JSON has no NaN
    assert found[1]["mix"] == {"a": 0.25, "b": 0.75}
    assert found[1]["data_fraction"] == 0.25


def test_quiet_tells_the_result_alone(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(enabled=True, style="quiet")
    screen.say("note")
    with screen.working("loading"), screen.bars():
        screen.add("train", 1).show(line(100))
    screen.event("step", step=1)
    screen.tell("the [result]")
    caught = capsys.readouterr()
    assert (caught.out, caught.err) == ("the [result]\n", "")


def test_other_ranks_tell_nothing_in_any_style(capsys: pytest.CaptureFixture[str]) -> None:
    for style in ("auto", "json", "quiet"):
        screen = Screen(enabled=False, style=style)  # type: ignore[arg-type]
        screen.say("note")
        screen.tell("result")
        screen.event("step")
    assert capsys.readouterr() == ("", "")


def test_a_log_has_no_control_characters_whatever_colours_are_forced(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Screen(enabled=True)
    with screen.working("loading the model"), screen.bars():
        bar = screen.add("train", 100)
        for step in (98, 99, 100):
            clock.now += 31.0
            bar.show(line(step, num_targets={"domain": 3, "general": 1}))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.splitlines() == [
        "loading the model ...",
        "step 98/100 · loss 2.5000 · lr 1.00e-05 · 123 tokens/s · waiting for data 0 % · "
        "mix domain 75.0 % · general 25.0 %",
        "step 99/100 · loss 2.5000 · lr 1.00e-05 · 123 tokens/s · waiting for data 0 % · "
        "mix domain 75.0 % · general 25.0 % · ETA 0:00:31",
        "step 100/100 · loss 2.5000 · lr 1.00e-05 · 123 tokens/s · waiting for data 0 % · "
        "mix domain 75.0 % · general 25.0 %",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_live_lines_fit_a_terminal(width: int) -> None:
    text = io.StringIO()
    screen = Screen(enabled=True)
    screen.console = Console(file=text, force_terminal=True, width=width, highlight=False)
    targets = {f"source-{number}": 100 - number for number in range(12)}
    with screen.bars():
        bar = screen.add("train", 2000)
        bar.show(line(400, num_steps=2000, mfu=0.41, data_fraction=0.02, num_targets=targets))
        frame = Console(width=width).render_lines(screen._frame())
    shown = ["".join(segment.text for segment in row) for row in frame]
    assert all(len(row) <= width for row in shown)
    assert "400/2000" in shown[0]
    assert "ETA" in shown[0]
    assert shown[1].startswith("loss 2.5000 · lr 1.00e-05 · 123 tokens/s · MFU 41 %")
    assert shown[2].startswith("mix source-0 8.8 % · source-1 8.7 %")


def test_names_of_sources_do_nothing_to_a_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    screen, name = Screen(enabled=True), "\x1b]0;owned\x07\u202e"
    screen.say(f"{name}: 3 rows")
    screen.tell(f"model: {name}")
    screen.show(line(100, num_targets={name: 1, "b": 3}))
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert out.count("␛]0;owned␇") == 3


def test_the_time_left_is_known_after_a_run_went_back(clock: Clock) -> None:
    screen = Screen(enabled=True, style="quiet")
    for step in (50, 51, 40, 42):
        clock.now += 10.0
        screen.show(line(step))
    assert screen.eta_seconds() == pytest.approx(290.0)
