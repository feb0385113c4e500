"""Clocks that jump: no byte depends on what time it is, and nothing fails when it runs backwards.

Only clocks are replaced here; files and runs are real.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipeline.errors import UsageError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.progress.panel import PanelView
from pipeline.progress.plain import PlainView
from pipeline.run import run
from pipeline.stage import Context
from pipeline.verify import faults
from tests.faults.runs import everything
from tests.pipeline.here import run_here, small_manifest
from tests.pipeline.plugins import HereRunner

pytestmark = pytest.mark.faults

DAY, YEAR = 86_400.0, 31_557_600.0
NOW = 1_700_000_000.0


def fill(folder: Path) -> None:
    folder.mkdir()
    for name in ("domain-0", "general-0"):
        lines = [json.dumps({"id": f"{name}-{n}", "text": f"{n} of {name}"}) for n in range(20)]
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        os.utime(path, (NOW, NOW))


def jumping() -> Iterator[float]:
    """A day back, ten years on, and back again, at every look."""
    jumps = cycle([0.0, -DAY, 10 * YEAR, -10 * YEAR])
    return (NOW + next(jumps) + n for n in count())


def backwards() -> Iterator[float]:
    return (NOW - 1000.0 * n for n in count())


# A thread of Beam's, which looks for what was not used for a minute, now looks before all is made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("clock", [jumping, backwards])
def test_no_clock_changes_a_byte_or_stops_a_run(
    clock: Callable[[], Iterator[float]],
    tmp_path: Path,
    tokenizer_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = small_manifest(tokenizer_folder)
    for name in ("calm", "run"):
        fill(tmp_path / name)
    run_here(tmp_path / "calm", manifest)
    folder = tmp_path / "run"
    (folder / "m.yaml").write_text(yaml.safe_dump(manifest))
    plan = Plan(load_manifest(folder / "m.yaml"), folder, folder / "out")
    for name in ("time", "monotonic", "perf_counter"):
        ticks = clock()
        monkeypatch.setattr(time, name, lambda ticks=ticks: next(ticks))
    reporter = Progress(PlainView((tmp_path / "shown").open("w")))
    run(Context(plan, HereRunner(), reporter, 10**8))
    monkeypatch.undo()
    assert everything(folder / "out") == everything(tmp_path / "calm" / "out")
    assert list(faults(folder / "out")) == []
    assert "refine" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("clock", [jumping, backwards])
def test_progress_is_shown_whatever_the_clock_says(
    clock: Callable[[], Iterator[float]],
    is_terminal: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = clock()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    with (tmp_path / "shown").open("w") as file:
        console = Console(file=file, force_terminal=True)
        reporter = Progress(PanelView(console, "prepare") if is_terminal else PlainView(file))
        with reporter, reporter.stage("refine", 30, 10) as advance:
            for _ in range(20):
                advance(1)
    monkeypatch.undo()
    assert "refine" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("seconds", [NOW + 100 * YEAR, -YEAR])
def test_files_of_the_future_and_of_before_the_epoch_are_read(
    seconds: float, tmp_path: Path, tokenizer_folder: Path
) -> None:
    folder, manifest = tmp_path / "run", small_manifest(tokenizer_folder)
    fill(folder)
    os.utime(folder / "domain-0.jsonl", (seconds, seconds))
    assert run_here(folder, manifest).ledger["domain"].num_kept == 20
    assert run_here(folder, manifest).nothing_to_do


@pytest.mark.parametrize("seconds", [NOW - DAY, NOW + 10 * YEAR])
def test_other_contents_at_another_time_are_noticed_also_at_an_earlier_one(
    seconds: float, tmp_path: Path, tokenizer_folder: Path
) -> None:
    folder, manifest = tmp_path / "run", small_manifest(tokenizer_folder)
    fill(folder)
    run_here(folder, manifest)
    path = folder / "domain-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b" of ", b" OF "))
    os.utime(path, (seconds, seconds))
    with pytest.raises(UsageError, match=r"changed: domain-0\.jsonl"):
        run_here(folder, manifest)


def test_other_contents_of_the_same_size_and_time_are_not_noticed(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    """What is promised: size and modification time decide whether a file is hashed again."""
    folder, manifest = tmp_path / "run", small_manifest(tokenizer_folder)
    fill(folder)
    run_here(folder, manifest)
    before = everything(folder / "out")
    path = folder / "domain-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b" of ", b" OF "))
    os.utime(path, (NOW, NOW))
    assert run_here(folder, manifest).nothing_to_do
    assert everything(folder / "out") == before
    os.utime(path, (NOW + 1, NOW + 1))  # `touch` makes it be looked at
    with pytest.raises(UsageError, match=r"changed: domain-0\.jsonl"):
        run_here(folder, manifest)
