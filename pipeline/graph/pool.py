"""A supervised pool of processes: a killed process is replaced and its work done again.

`concurrent.futures` gives up the whole pool when one process dies, `multiprocessing.Pool` waits for
ever, and so does Beam's `multi_processing` mode; a worker that the kernel kills for its memory must
cost one item's time, no more.
"""

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Generic, TypeVar

from pipeline.errors import OutputError, PrepareError, UsageError, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_ATTEMPTS = 3  # a task that killed three processes would kill a fourth
PARENT_POLL_SECONDS = 0.5
BEAM_SUFFIX = re.compile(r" \[while running '[^']*'\]")  # Beam adds it to every message


@dataclass(slots=True)
class _Failure:
    """An exception in a worker, as text: it may not pickle."""

    kind: str
    message: str
    error: type[PrepareError]  # what the supervisor raises
    traceback: str


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    task: int | None = None


class Pool(Generic[Task, Result]):
    """Processes that each call `function(task)`; use it as a context manager.

    `function`, tasks and results are pickled. Processes are spawned, not forked: threads of Arrow
    and of tokenizers do not survive a fork.
    """

    def __init__(self, function: Callable[[Task], Result], num_workers: int) -> None:
        self._function = function
        self._context = get_context("spawn")
        self._num_workers = num_workers
        self._workers: list[_Worker] = []
        self.num_replaced = 0

    def __enter__(self) -> "Pool[Task, Result]":
        self._workers = [self._spawn() for _ in range(self._num_workers)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()

    def map(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """Results as they come, in no order. Raises `WorkerError`, or the worker's `UsageError`."""
        waiting, attempts = deque(range(len(tasks))), [0] * len(tasks)
        num_open = len(tasks)
        while num_open:
            for worker in self._workers:
                if worker.task is None and waiting:
                    worker.task = waiting.popleft()
                    attempts[worker.task] += 1
                    _send(worker.connection, tasks[worker.task])
            for worker in self._ready():
                index, worker.task = worker.task, None
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):  # its end, a reset, or an answer that breaks off
                    self._replace(worker)
                    if index is not None:
                        _check_attempts(tasks[index], attempts[index], worker.process.exitcode)
                        waiting.appendleft(index)
                    continue
                if isinstance(answer, _Failure):
                    raise _error(answer)
                num_open -= 1
                yield answer

    def _ready(self) -> list[_Worker]:
        by_handle: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        return [by_handle[handle] for handle in wait(list(by_handle))]

    def _spawn(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._function, os.getpid()), daemon=True
        )
        with _without_interrupts(), _without_main_module():
            process.start()
        theirs.close()  # so that a dead worker reads as the end of the stream
        return _Worker(process, ours)

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        worker.connection.close()
        self.num_replaced += 1
        self._workers[self._workers.index(worker)] = self._spawn()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never sees SIGINT, from its first instruction on.

    Ctrl-C reaches every process of a terminal: each worker would print a traceback of its own. The
    supervisor alone stops, and takes the workers with it.
    """
    resource_tracker.ensure_running()  # it lets SIGINT through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """What is started here does not import the script that starts it.

    It would run all of a script that calls `prepare` without `if __name__ == "__main__"`, and so
    start processes in turn; nothing that a worker needs is defined there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _send(connection: Connection, task: Any) -> None:
    try:
        connection.send(task)
    except (BrokenPipeError, ConnectionResetError):
        return  # the process is dead: `recv` sees the end of its stream and replaces it


def _check_attempts(task: object, num_attempts: int, exit_code: int | None) -> None:
    if num_attempts >= MAX_ATTEMPTS:
        raise WorkerError(
            f"{task}: killed its worker process {num_attempts} times (exit code {exit_code}; -9 is "
            "often the kernel out of memory); give fewer --workers or more memory"
        )


def _error(failure: _Failure) -> Exception:
    message = BEAM_SUFFIX.sub("", failure.message)
    if failure.error is WorkerError:
        message = f"{failure.kind}: {message}"
    error = failure.error(message)
    error.add_note(failure.traceback)
    return error


def _serve(connection: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """The worker's loop. Ends when the parent closes the pipe, or is gone."""
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            answer = function(task)
        # The worker's boundary: whatever happened is carried to the supervisor, which raises it.
        except Exception as exc:  # noqa: BLE001
            answer = _Failure(
                type(exc).__name__, str(exc), _error_type(exc), traceback.format_exc()
            )
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _error_type(error: Exception) -> type[PrepareError]:
    """What a person is told: their own mistake, a full disk, or that the work failed."""
    known = (kind for kind in (UsageError, OutputError) if isinstance(error, kind))
    return next(known, WorkerError)


def _exit_with_parent(parent: int) -> None:
    """A killed supervisor must not leave workers that go on writing."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
