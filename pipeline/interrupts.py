"""Ctrl-C in the middle of what has to be done whole: a panel half drawn, a folder half deleted."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def uninterrupted(*numbers: signal.Signals) -> Iterator[None]:
    """Signals inside (SIGINT where none is named) are answered at the end, by who would have been.

    Blocking them would not do: another thread takes a signal, and Python still raises in the main
    one. No other thread is ever interrupted; there, and where a signal is ignored or ends the
    process, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Handler] = {}
    for asked in numbers or (signal.SIGINT,):
        if callable(handler := signal.getsignal(asked)):
            before[asked] = handler
    came: list[tuple[int, FrameType | None]] = []
    for number in before:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            before[came[0][0]](*came[0])
