"""The page that a run leaves when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.config import TrainConfig
from training.errors import TrainError
from training.parallel import Workers
from training.reporting.page import FILE_NAME, write_report
from training.reporting.reading import JOURNAL, OUTCOME, SAMPLES
from training.screen import Screen


@contextmanager
def reported(config: TrainConfig, workers: Workers, screen: Screen) -> Iterator[None]:
    """Draw the page of the run when the inside ends, by whatever error too; the main rank does.

    The run is not refused for its page: what is in the way of it is said.
    """
    try:
        yield
    finally:
        if config.report and workers.is_main and (config.out / JOURNAL).is_file():
            try:
                screen.say(f"report: {write_report(config.out)}")
            except (TrainError, OSError) as exc:
                screen.say(f"no report: {exc}")


def remove_stale(out: Path, *, is_new: bool) -> None:
    """Take away what an earlier run, or part of this one, says in `out` of how it ended.

    A run that is killed leaves neither a page nor an outcome that is not its own.
    """
    for name in (FILE_NAME, OUTCOME, *([JOURNAL, SAMPLES] if is_new else [])):
        (out / name).unlink(missing_ok=True)
