"""kill -9 of a whole run at random moments: the next run ends in the same bytes.

Elsewhere: an erasure that is killed (tests/pipeline/erasing/test_kill.py), exports and imports
(tests/pipeline/formats), a run of `train` (tests/training/test_checkpoint.py).
"""

import random
from pathlib import Path

import pytest

from tests.faults.runs import Running, Undisturbed, complete, moments, reached, start

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes as Linux tells them"),
]

NUM_MOMENTS = 50
TRIES = 5


def run_until_killed(
    folder: Path, random_: random.Random, like: Undisturbed, *, whole_group: bool
) -> Running:
    """Prepare anew and kill it at a random moment; an earlier one where it had ended by then."""
    until = 1.0
    for _ in range(TRIES):
        running = start(like.fresh(folder))
        (moment,) = moments(random_, like, 1, until)
        if reached(running, moment):
            running.kill() if whole_group else running.kill_parent()
            return running
        assert running.wait() == 0, running.messages
        until *= 0.7
    pytest.fail("every moment came after the end of the run")


@pytest.mark.parametrize("number", range(NUM_MOMENTS))
def test_a_killed_run_is_completed_to_the_same_bytes(
    number: int, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """One in five loses its parent alone; one in three is killed again while it goes on."""
    random_ = random.Random(f"run {number}")
    running = run_until_killed(tmp_path / "run", random_, undisturbed, whole_group=bool(number % 5))
    corpus, killed = running.corpus, [running]
    if number % 3 == 0:
        killed.append(start(corpus))
        (moment,) = moments(random_, undisturbed, 1, 0.8)
        if reached(killed[-1], moment):
            killed[-1].kill()
        else:
            assert killed[-1].wait() == 0, killed[-1].messages
    complete(corpus)
    for one in killed:
        one.await_end()
    undisturbed.check(corpus)
    if number % 5:
        assert list(corpus.out.rglob(".tmp-*")) == []
