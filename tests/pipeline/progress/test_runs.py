"""`prepare run` in a real terminal, in a pipe, and for machines."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.pipeline.progress.conftest import (
    COLUMNS,
    ROWS,
    Ended,
    environment,
    in_terminal,
    prepare,
)

# `prepare`, though what starts in the background of a shell ignores Ctrl-C
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def ledger_sums(folder: Path) -> dict[str, int]:
    """Those of `ledger.json` over all sources."""
    sources = json.loads((folder / "out" / "ledger.json").read_text()).values()
    plain = {"num_documents": "num_read", "num_bytes": "num_read_bytes", "num_kept": "num_kept"}
    sums = {name: sum(one[key] for one in sources) for name, key in plain.items()}
    for name in ("dropped", "quarantined", "removed"):
        sums[f"num_{name}"] = sum(sum(one[name].values()) for one in sources)
    return sums


def screen_of(ended: Ended) -> pyte.Screen:
    """The terminal as it looks in the end, scrolled as far as it was."""
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.ByteStream(screen).feed(ended.written)
    return screen


def plain(written: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode(errors="replace"))


def test_a_terminal_gets_one_panel_that_is_gone_in_the_end(folder: Path) -> None:
    ended = in_terminal(folder, "run", "m.yaml", "--workers", "1")
    assert ended.code == 0
    drawn = plain(ended.written)
    sums = ledger_sums(folder)
    last = drawn.rpartition("╭─ prepare small ")[2]
    for stage in ("inputs", "refine", "candidates", "tokenise", "pack"):
        assert re.search(rf"✔ {stage}[ 0-9]* +(\d+)/\1 ━", last), stage
    assert (
        f"kept {sums['num_kept']:,} · dropped {sums['num_dropped']:,} · "
        f"quarantined {sums['num_quarantined']:,}" in last
    )
    assert re.search(r"memory [\d.]+ [MG]B · elapsed 0:\d\d:\d\d", last)
    screen = screen_of(ended)
    shown = "\n".join(screen.display)
    assert "╭" not in shown
    assert "refine" in shown  # the line that stays
    assert not screen.cursor.hidden
    assert "next: prepare report out · prepare verify out · train --shards out" in shown
    # Nothing is left to do: no panel, no worker, and the same table.
    again = in_terminal(folder, "run", "m.yaml")
    assert again.code == 0
    assert "Nothing to do" in plain(again.written)


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["inputs", "▶ refine"])
def test_ctrl_c_ends_with_130_a_clean_screen_and_how_to_go_on(folder: Path, mark: str) -> None:
    ended = in_terminal(
        folder, "run", "m.yaml", "--workers", "2", until=lambda seen: mark in plain(seen)
    )
    assert ended.code == 130
    screen = screen_of(ended)
    shown = "".join("".join(screen.display).split())
    assert "Traceback" not in plain(ended.written)
    assert "╭" not in shown
    assert not screen.cursor.hidden
    told = "interrupted; what is done is kept, go on with: prepare run m.yaml --workers 2"
    assert told.replace(" ", "") in shown
    assert prepare(folder, "run", "m.yaml", "--workers", "1").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"COLUMNS": "40"}]
)
def test_a_pipe_gets_lines_without_control_characters(
    folder: Path, changes: dict[str, str]
) -> None:
    done = prepare(folder, "run", "m.yaml", "--workers", "1", **changes)
    assert done.returncode == 0
    assert not set(done.stderr) & {*range(0x0A), *range(0x0B, 0x20), 0x7F}
    lines = done.stderr.decode().splitlines()
    stages = [line.split()[0] for line in lines if re.search(r" s  \d+ items", line)]
    assert [stage for stage in stages if stage != "candidates"] == [
        "inputs",
        "refine",
        "tokenise",
        "pack",
    ]
    (refined,) = (line for line in lines if line.startswith("refine"))
    sums = ledger_sums(folder)
    assert refined.endswith(
        f"kept {sums['num_kept']} · dropped {sums['num_dropped']} · "
        f"quarantined {sums['num_quarantined']}"
    )
    if "FORCE_COLOR" not in changes:
        assert b"\x1b" not in done.stdout


def test_events_are_all_of_stdout_and_meet_the_ledger(folder: Path) -> None:
    done = prepare(folder, "run", "m.yaml", "--workers", "1", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    outcome = events[-1]
    ledger = json.loads((folder / "out" / "ledger.json").read_text())
    sums = ledger_sums(folder)
    assert outcome["event"] == "outcome"
    assert outcome["ledger"] == ledger
    assert {name: outcome[name] for name in sums} == sums
    (refined,) = (e for e in events if e["event"] == "stage_done" and e["stage"] == "refine")
    assert {name: refined[name] for name in sums if name != "num_removed"} == {
        name: value for name, value in sums.items() if name != "num_removed"
    }
    started = [event["stage"] for event in events if event["event"] == "stage_started"]
    assert started[:2] == ["inputs", "refine"]
    assert started[-2:] == ["tokenise", "pack"]
    again = prepare(folder, "run", "m.yaml", "--json")
    (only,) = (json.loads(line) for line in again.stdout.splitlines())
    assert (only["event"], only["nothing_to_do"], only["ledger"]) == ("outcome", True, ledger)


@pytest.mark.slow
def test_a_run_that_goes_on_shows_the_sums_of_all_of_it(folder: Path) -> None:
    assert prepare(folder, "run", "m.yaml", "--workers", "1").returncode == 0
    gone = sorted((folder / "out" / "state" / "pack").glob("*.json"))[0]
    gone.unlink()
    (folder / "out" / "state" / "seal.json").unlink()
    ended = in_terminal(folder, "run", "m.yaml", "--workers", "1")
    assert ended.code == 0
    last = plain(ended.written).rpartition("╭─ prepare small ")[2]
    sums = ledger_sums(folder)
    assert f"read {sums['num_documents']:,} " in last
    assert f"kept {sums['num_kept']:,} · dropped {sums['num_dropped']:,}" in last
    assert re.search(r"✔ refine +(\d+)/\1 ━", last)


def test_a_failure_is_the_last_event_and_a_message(folder: Path) -> None:
    (folder / "good.jsonl").unlink()
    done = prepare(folder, "run", "m.yaml", "--json")
    assert done.returncode == 2
    event = json.loads(done.stdout.splitlines()[-1])
    assert (event["event"], event["exit_code"]) == ("failed", 2)
    assert done.stderr.decode().strip() == f"prepare: {event['message']}"


@pytest.mark.slow
def test_ctrl_c_is_the_last_event_and_all_others_are_whole(folder: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, "run", "m.yaml", "--workers", "2", "--json"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        events = []
        for line in running.stdout:
            events.append(json.loads(line))
            if (events[-1]["event"], events[-1].get("stage")) == ("stage_started", "refine"):
                os.killpg(running.pid, signal.SIGINT)
        told = running.stderr.read().decode()
    assert running.returncode == 130
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("failed", 130)
    assert told.strip() == f"prepare: {events[-1]['message']}"
    assert [event for event in events if event["event"] == "failed"] == events[-1:]


def test_quiet_leaves_stderr_empty_and_the_table(folder: Path) -> None:
    done = prepare(folder, "run", "m.yaml", "--workers", "1", "--quiet")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Where the documents went" in done.stdout.decode()
