"""Two runs on one output at once: the second stops with a message, the first is not disturbed.

The same with a lock that the test holds: tests/pipeline/test_bad_input.py.
"""

from pathlib import Path

import pytest

from pipeline.cli import main
from tests.faults.runs import Undisturbed, reached, start

pytestmark = pytest.mark.faults


def test_the_second_run_stops_and_the_first_goes_on(
    tmp_path: Path, undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = undisturbed.fresh(tmp_path / "run")
    running = start(corpus)
    assert reached(running, lambda one: one.look() > 3)
    assert main(["run", str(corpus.folder / "m.yaml"), "--workers", "1"]) == 2
    told = capsys.readouterr().err
    assert f"{corpus.out}: another `prepare` is writing here; wait for it or stop it" in told
    assert running.wait() == 0, running.messages
    undisturbed.check(corpus)
