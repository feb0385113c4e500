"""What a person sees."""

import io
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from training.evaluate import Evaluation
from training.measures.baseline import Baseline
from training.measures.bootstrap import Comparison, compare_all
from training.measures.documents import Documents
from training.report import (
    Outcome,
    forgetting,
    forgetting_table,
    write_forgetting,
)
from training.screen import Screen, StepLine


def documents(nats: float, count: int, spread: float = 0.0) -> Documents:
    return Documents(
        keys=np.stack([np.arange(count)] * 2, axis=1).astype(np.uint64),
        nats=100 * nats * np.linspace(1 - spread, 1 + spread, count),
        num_targets=np.full(count, 100),
        num_bytes=np.full(count, 400.0),
    )


def compared(
    after: dict[str, float], *, count: int = 21, steps: dict[str, int] | None = None
) -> dict[str, Comparison]:
    """Against 2 nats per target in all sources."""
    baseline = Baseline(
        documents={name: documents(2.0, count) for name in after},
        steps=dict.fromkeys(after, 0) | (steps or {}),
    )
    now = {name: documents(nats, count, 0.02) for name, nats in after.items()}
    return compare_all(baseline, Evaluation(documents=now), seed=1)


def outcome(comparisons: dict[str, Comparison], **changes: object) -> Outcome:
    values: dict[str, object] = {"step": 9, "num_skipped": 0, "best_step": 6, "gate": {}}
    return Outcome(**(values | {"comparisons": comparisons} | changes))  # type: ignore[arg-type]


def screen(*, terminal: bool, width: int = 120) -> tuple[Screen, io.StringIO]:
    shown, text = Screen(enabled=True), io.StringIO()
    shown.console = Console(
        file=text, force_terminal=terminal, width=width, highlight=False, soft_wrap=True
    )
    return shown, text


def printed(result: Outcome, width: int = 80) -> list[str]:
    shown, text = screen(terminal=False, width=width)
    shown.console.print(forgetting_table(result))
    return text.getvalue().splitlines()


def test_changes_are_relative_to_step_0_and_have_intervals(tmp_path: Path) -> None:
    result = outcome(compared({"domain": 1.0}))
    values = forgetting(result)["sources"]["domain"]
    assert values["loss"]["before"] == 2.0
    assert values["loss"]["after"] == pytest.approx(1.0)
    for name, key, change in (
        ("loss", "change", -1.0),
        ("loss", "change_percent", -50.0),
        ("perplexity", "change_percent", 100 * math.expm1(-1)),
        ("bits_per_byte", "change", -0.25 / math.log(2)),
        ("bits_per_byte", "change_percent", -50.0),
    ):
        low, high = values[name][f"{key}_interval"]
        assert low < values[name][key] < high
        assert values[name][key] == pytest.approx(change)
    assert (values["num_targets"], values["num_bytes"]) == (2100, 8400)
    assert (values["num_documents"], values["step_of_baseline"]) == (21, 0)
    write_forgetting(tmp_path / "forgetting.json", result)
    assert json.loads((tmp_path / "forgetting.json").read_text()) == forgetting(result)
    assert [path.name for path in tmp_path.iterdir()] == ["forgetting.json"]


def test_the_file_has_domains_and_the_gate() -> None:
    comparisons = compared({"d/x": 2.0, "d/y": 2.5, "general": 1.9})
    values = forgetting(outcome(comparisons, gate={"d": 0.05, "general": 0.03}, gate_failure="d"))
    assert list(values["sources"]) == ["d/x", "d/y", "general"]
    assert list(values["domains"]) == ["d"]
    assert values["domains"]["d"]["num_documents"] == 42
    assert values["gate"]["d"]["passed"] is False
    assert values["gate"]["general"]["passed"] is True
    assert values["gate"]["d"]["limit_percent"] == 5.0
    assert values["gate_failure"] == "d"


def test_unknown_bounds_are_null_in_the_file(tmp_path: Path) -> None:
    write_forgetting(tmp_path / "f.json", outcome(compared({"a": 1.0}, count=1)))
    values = json.loads((tmp_path / "f.json").read_text())["sources"]["a"]
    assert values["loss"]["change_interval"] == [None, None]
    assert values["few_documents"] is True


def test_the_table_shows_before_after_change_and_interval() -> None:
    result = outcome(compared({"domain": 1.0}))
    (first,) = (line.split() for line in printed(result) if "perplexity" in line)
    (second,) = (line.split() for line in printed(result) if "bits/byte" in line)
    interval = forgetting(result)["sources"]["domain"]["perplexity"]["change_percent_interval"]
    assert first[:5] == ["domain", "perplexity", "7.389", "2.718", "-63.21"]
    assert [first[5], first[7]] == [f"{bound:+.2f}" for bound in interval]
    assert second[:4] == ["bits/byte", "0.721", "0.361", "-50.00"]


def test_the_table_fits_80_columns_and_cuts_nothing() -> None:
    after = {"a-domain-with-a-long-name/a-stratum-with-one": 2.4, "general": 14.0, "tiny": 1.0}
    lines = printed(outcome(compared(after)))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    (width,) = (line.index("measure") for line in lines if "measure" in line)
    shown = "".join(line[:width].replace(" ", "") for line in lines)
    assert "a-domain-with-a-long-name/a-stratum-with-one" in shown
    assert any("1.2e+06" in line for line in lines)  # exp(14)


def test_footnotes_say_what_to_read_with_care() -> None:
    few = "\n".join(printed(outcome(compared({"a": 1.0, "b": 1.0}, count=4, steps={"b": 500}))))
    assert "a*" in few
    assert "* fewer than 10 documents" in few
    assert "b: against step 500" in few
    assert "fewer" not in "\n".join(printed(outcome(compared({"a": 1.0}))))
    alone = printed(outcome(compared({"a": 1.0}, count=1)))
    assert any("? to ?" in line for line in alone)


def test_markup_in_a_name_is_text() -> None:
    assert any("[red]a" in line for line in printed(outcome(compared({"[red]a": 1.0}))))


def test_nothing_measured_is_an_empty_report() -> None:
    values = forgetting(outcome({}))
    assert (values["sources"], values["domains"], values["gate"]) == ({}, {}, {})


def line(step: int, **changes: float) -> StepLine:
    values = {"num_steps": 10, "loss": 2.5, "learning_rate": 1e-5, "tokens_per_second": 123}
    return StepLine(**({"step": step} | values | changes))  # type: ignore[arg-type]


def test_a_terminal_gets_a_bar_with_the_figures() -> None:
    shown, text = screen(terminal=True)
    with shown.bars():
        bar = shown.add("train", 10)
        bar.show(line(4))
    assert "4/10" in text.getvalue()
    assert "━" in text.getvalue()
    assert "loss 2.5000" in text.getvalue()
    assert "123 tokens/s" in text.getvalue()


def test_a_narrow_terminal_gets_the_figures_whole() -> None:
    shown, text = screen(terminal=True, width=80)
    with shown.bars():
        bar = shown.add("train", 2000)
        bar.show(line(400, num_steps=2000, tokens_per_second=123_456, mfu=0.41))
    assert "loss 2.5000 · lr 1.00e-05 · 123,456 tokens/s · MFU 41 %" in text.getvalue()
    assert "…" not in text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_takes_seconds_is_said_before_it_is_done(terminal: bool) -> None:
    shown, text = screen(terminal=terminal)
    with shown.working("loading the model"):
        deadline = time.monotonic() + 10  # a thread of its own draws the spinner, in 0.1 s
        while "loading the model" not in text.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_elsewhere_lines_come_now_and_then_and_at_the_end() -> None:
    shown, text = screen(terminal=False)
    with shown.bars():
        bar = shown.add("train", 3)
        for step in (1, 2, 3):
            bar.show(line(step, num_steps=3, loss=1, learning_rate=1, tokens_per_second=1))
    assert text.getvalue().splitlines() == [
        "step 3/3 · loss 1.0000 · lr 1.00e+00 · 1 tokens/s · waiting for data 0 %"
    ]


def test_other_ranks_are_silent() -> None:
    quiet = Screen(enabled=False)
    quiet.say("nothing")
    with quiet.working("nothing"):
        pass
    assert quiet.console.quiet
