"""SIGTERM and SIGINT end a run between two steps, with a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class StopRequest:
    """Whether somebody asked the run to stop; set from the signal handler."""

    requested: bool = False


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, the first signal is noted and the second one does what it did before."""
    request, before = StopRequest(), dict[signal.Signals, Any]()

    def note(number: int, _frame: FrameType | None) -> None:
        request.requested = True
        signal.signal(number, before[signal.Signals(number)])

    for number in STOPPING:
        before[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
