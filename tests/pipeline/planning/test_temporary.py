"""The folder of a plan goes, however the plan ends."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from pipeline.planning.temporary import PREFIX, delete_left, temporary_folder
from tests.pipeline.here import small_manifest

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAITING = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from pipeline.planning.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "text").write_text("text")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.parametrize("number", ENDS)
def test_no_signal_that_can_be_heard_leaves_it(number: signal.Signals, temporary: Path) -> None:
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith(str(temporary))
        program.send_signal(number)
    assert program.returncode in (-number, 128 + number)
    assert not list(temporary.iterdir())


def test_signals_mean_afterwards_what_they_meant_before(temporary: Path) -> None:
    before = [signal.getsignal(number) for number in ENDS]
    with temporary_folder():
        pass
    assert [signal.getsignal(number) for number in ENDS] == before


def test_a_folder_that_a_killed_plan_left_goes_and_that_of_one_at_work_stays(
    temporary: Path,
) -> None:
    hour_ago = time.time() - 3600
    for name in ("left", "at-work", "young"):
        folder = temporary / f"{PREFIX}{name}"
        folder.mkdir()
        (folder / "text").write_text("text")
        if name != "young":
            os.utime(folder, (hour_ago, hour_ago))
    (temporary / f"{PREFIX}link").symlink_to(temporary)
    lock = os.open(temporary / f"{PREFIX}at-work", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    delete_left()
    os.close(lock)
    found = {path.name.removeprefix(PREFIX) for path in temporary.iterdir()}
    assert found == {"at-work", "young", "link"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_plan_that_is_stopped_leaves_neither_files_nor_processes(
    number: signal.Signals, tmp_path: Path, temporary: Path, tokenizer_folder: Path
) -> None:
    rows = '{"text": "one text"}\n{"text": "another text"}\n'
    (tmp_path / "domain.jsonl").write_text(rows)
    (tmp_path / "general.jsonl").write_text(rows)
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(small_manifest(tokenizer_folder)))
    command = [sys.executable, "-m", "pipeline.cli", "plan", str(tmp_path / "m.yaml")]
    command += ["--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        while not list(temporary.glob(f"{PREFIX}*/few")):
            assert program.poll() is None
            time.sleep(0.01)
        workers = children(program.pid)
        program.send_signal(number)
        told = program.stderr.read()
    assert workers
    assert program.returncode == 128 + number, told
    assert "Traceback" not in told
    assert not list(temporary.iterdir())
    assert not (tmp_path / "out").exists()
    until = time.monotonic() + 30  # the resource tracker ends when it finds itself alone
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < until
        time.sleep(0.1)


def children(process: int) -> list[int]:
    """Processes that it started, the resource tracker among them."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(one) for task in tasks for one in task.read_text().split()]
