"""The metrics file."""

import json
from pathlib import Path

from training.metrics import MetricsFile


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_steps(metrics: MetricsFile, *steps: int) -> None:
    for step in steps:
        metrics.write("step", step, loss=step / 3)
    metrics.sync()
    metrics.close()


def test_resuming_cuts_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_steps(MetricsFile(path, None), 1, 2, 3, 4)
    with path.open("a") as file:
        file.write('{"kind": "step", "st')  # the process was killed here
    write_steps(MetricsFile(path, 2), 3, 4, 5)
    assert [line["step"] for line in lines(path)] == [1, 2, 3, 4, 5]
    assert [line["loss"] for line in lines(path)] == [step / 3 for step in range(1, 6)]


def test_a_new_run_starts_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_steps(MetricsFile(path, None), 1, 2)
    write_steps(MetricsFile(path, None), 1)
    assert len(lines(path)) == 1


def test_other_ranks_write_nowhere(tmp_path: Path) -> None:
    write_steps(MetricsFile(None, 3), 1, 2)
    assert list(tmp_path.iterdir()) == []
