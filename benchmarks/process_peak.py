"""A command in a process of its own: its seconds, its peak memory, what it printed."""

import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.prepare import memory_bytes

SAMPLE_SECONDS = 0.25
LOG_CHARACTERS = 4_000


class Ran(NamedTuple):
    """Of one command."""

    seconds: float  # of wall time, from its start to its end, imports included
    cpu_seconds: float  # of its processes that their parents waited for
    peak_bytes: int  # proportional set size of all its processes together, sampled
    output: str  # of standard output


def run(command: Sequence[str | Path]) -> Ran:
    """Run a command to its end; raises SystemExit with the end of its log where it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        started, cpu_before, peak_bytes = time.monotonic(), _cpu_seconds(), 0
        with subprocess.Popen(command, stdout=output, stderr=log) as process:
            while process.poll() is None:
                peak_bytes = max(peak_bytes, memory_bytes(process.pid))
                time.sleep(SAMPLE_SECONDS)
        seconds, cpu_seconds = time.monotonic() - started, _cpu_seconds() - cpu_before
        output.seek(0)
        log.seek(0)
        if process.returncode:
            said = log.read()[-LOG_CHARACTERS:]
            raise SystemExit(f"benchmark: {command} ended with {process.returncode}\n{said}")
        return Ran(seconds, cpu_seconds, peak_bytes, output.read())


def _cpu_seconds() -> float:
    """Of all processes that were begun here, or by those, and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
