"""The supervised pool, with real processes that are really killed."""

import os
import signal
import time
from pathlib import Path

import pytest

from pipeline.errors import SourceError, WorkerError
from pipeline.graph.pool import MAX_ATTEMPTS, Pool


def double(number: int) -> int:
    return 2 * number


def die_once(task: tuple[str, int]) -> int:
    """Kill this process the first time that a task is met."""
    folder, number = task
    marker = Path(folder) / str(number)
    if number % 3 == 0 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def fail(number: int) -> int:
    raise SourceError(f"file {number}: got nothing") if number else KeyError("a bug")


def record_pid(task: tuple[str, float]) -> int:
    folder, seconds = task
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(seconds)
    return os.getpid()


def test_every_task_has_one_result() -> None:
    with Pool(double, 2) as pool:
        assert sorted(pool.map(range(20))) == [2 * n for n in range(20)]
        assert sorted(pool.map([7])) == [14]
        assert list(pool.map([])) == []


def test_killed_processes_are_replaced_and_their_tasks_done_again(tmp_path: Path) -> None:
    with Pool(die_once, 2) as pool:
        assert sorted(pool.map([(str(tmp_path), n) for n in range(10)])) == list(range(10))
        assert pool.num_replaced == 4


def test_a_task_that_always_kills_ends_the_run() -> None:
    with Pool(always_die, 2) as pool, pytest.raises(WorkerError, match=f"{MAX_ATTEMPTS} times"):
        list(pool.map([1]))


def test_user_errors_keep_their_message_and_bugs_their_type() -> None:
    with Pool(fail, 1) as pool, pytest.raises(ValueError, match="file 3") as caught:
        list(pool.map([3]))
    assert str(caught.value) == "file 3: got nothing"
    with Pool(fail, 1) as pool, pytest.raises(WorkerError, match="KeyError: 'a bug'") as bug:
        list(pool.map([0]))
    assert "in fail" in "".join(bug.value.__notes__)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    parent = os.fork()
    if parent == 0:
        with Pool(record_pid, 2) as pool:
            list(pool.map([(str(tmp_path), 60.0)] * 2))
        os._exit(0)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
