"""The page that a run leaves when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from training.config import TrainConfig
from training.errors import TrainError
from training.parallel import Workers
from training.reporting.page import write_report
from training.reporting.reading import JOURNAL
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
