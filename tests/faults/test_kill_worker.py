"""kill -9 of single workers at random moments: the run goes on, or stops and says why.

The pool by itself is tested in tests/pipeline/test_pool.py.
"""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.runs import Running, Undisturbed, complete, moments, reached, start

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes as Linux tells them"),
]

NUM_RUNS, NUM_KILLED = 25, 2  # 50 moments
TRIES = 5


def run_with_kills(
    folder: Path, random_: random.Random, like: Undisturbed
) -> tuple[Running, list[int]]:
    """A run of which workers are killed, one at each moment; moments that it reaches."""
    until = 0.9
    for _ in range(TRIES):
        running, killed = start(like.fresh(folder)), []
        for moment in moments(random_, like, NUM_KILLED, until):
            if not reached(running, moment):
                break
            if workers := running.workers():
                killed.append(random_.choice(workers))
                with suppress(ProcessLookupError):  # the run has just ended
                    os.kill(killed[-1], signal.SIGKILL)
        if len(killed) == NUM_KILLED:
            return running, killed
        assert running.wait() == 0, running.messages
        until *= 0.7
    pytest.fail("no run lasted until its moments")


@pytest.mark.parametrize("number", range(NUM_RUNS))
def test_a_run_survives_the_loss_of_workers_or_says_why_not(
    number: int, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    running, killed = run_with_kills(
        tmp_path / "run", random.Random(f"worker {number}"), undisturbed
    )
    code = running.wait()
    assert len(killed) == NUM_KILLED
    assert "Traceback" not in running.messages
    if code:  # a task that has lost three workers is given up
        assert code == 1
        assert "killed its worker process" in running.messages
        complete(running.corpus)
    undisturbed.check(running.corpus)
