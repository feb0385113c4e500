"""A small corpus, and `prepare run` as a person starts it: in a terminal, or into a file."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROWS, COLUMNS = 30, 80
DEADLINE_SECONDS = 300.0  # of one run, on a machine that does other things


@dataclass(frozen=True)
class Ended:
    """What a command wrote to its terminal, and its exit code."""

    code: int
    written: bytes


@pytest.fixture
def folder(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A manifest `m.yaml` of two sources, of which some rows are dropped and some quarantined."""
    for name in ("good", "mixed"):
        rows = [{"id": f"{name}-{n}", "text": f"{name} {n} " * (3 + n)} for n in range(40)]
        lines = [json.dumps(row) for row in rows]
        if name == "mixed":
            lines[7] = '{"id": "broken'
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    manifest = {
        "version": 1,
        "name": "small",
        "output": "out",
        "sources": [
            {"name": name, "format": "jsonl", "paths": [f"{name}.jsonl"], "id_field": "id"}
            for name in ("good", "mixed")
        ],
        "pii": {"mode": "off"},
        "filters": [{"use": "length", "min_chars": 60}],
        "dedup": {"exact": True, "minhash": None},
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 32},
        "limits": {"max_quarantined_fraction": 0.5},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(manifest))
    return tmp_path


def environment(**changes: str) -> dict[str, str]:
    """That of this process, as a terminal has it."""
    return {**os.environ, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1", **changes}


def prepare(folder: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """Run `prepare` with its output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


def in_terminal(
    folder: Path, *words: str, until: Callable[[bytes], bool] | None = None, **changes: str
) -> Ended:
    """Run `prepare` in a terminal of its own; press Ctrl-C when `until` says so."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # of a job in the background it is ignored
        command = [sys.executable, "-m", "pipeline.cli", *words]
        os.execve(sys.executable, command, environment(**changes))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    written, deadline = b"", time.monotonic() + DEADLINE_SECONDS
    try:
        while (piece := _read(terminal, deadline)) is not None:
            written += piece
            if until is not None and until(written):
                os.write(terminal, b"\x03")
                until = None
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    return Ended(os.waitstatus_to_exitcode(status), written)


def _read(terminal: int, deadline: float) -> bytes | None:
    """What was written meanwhile; None when the other side is closed."""
    while not select.select([terminal], [], [], 1.0)[0]:
        assert time.monotonic() < deadline, "the command does not end"
    try:
        return os.read(terminal, 1 << 16) or None
    except OSError:  # Linux's way to say that nobody holds the other side
        return None
