"""Real runs that are watched from outside, killed, completed and compared with one left alone."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.run import run
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus
from tests.pipeline.here import context_of

POLL_SECONDS = 0.003
MAX_SECONDS = 1800  # of one run, of 10 on a free machine: what takes longer has found a hang
TOLD_TIME = ("seconds", "checksum")  # a record's checksum is of its seconds, too


def everything(out: Path) -> dict[str, str]:
    """A hash of every file of an output, but for the time that work took.

    Left out: the lock, the seal (of sizes, which such times change) and what is being written.
    """
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name not in ("lock", "state/seal.json") and ".tmp-" not in name:
            data = path.read_bytes()
            if path.suffix == ".json":
                data = json.dumps(_without_time(json.loads(data)), sort_keys=True).encode()
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def _without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_time(v) for k, v in value.items() if not k.endswith(TOLD_TIME)}
    return [_without_time(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Undisturbed:
    """What a run came to that nobody disturbed, and how it went on."""

    corpus: Corpus
    tree: dict[str, str]
    first_seconds: float  # from the start to the first file of the output
    seconds: float
    num_paths: int  # names that were seen in the output, those of temporary files too

    def fresh(self, folder: Path) -> Corpus:
        """The same inputs in another folder, with the same times; nothing is prepared."""
        shutil.rmtree(folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("out", "m.yaml", "stderr.txt")
        shutil.copytree(self.corpus.folder, folder, ignore=ignored)
        return Corpus(folder, self.corpus.manifest)

    def check(self, corpus: Corpus) -> None:
        """Complete, in order, and the same bytes: nothing is lost, doubled or left over."""
        found = everything(corpus.out)
        assert {name: found.get(name) for name in self.tree} == self.tree
        assert sorted(found) == sorted(self.tree)
        assert list(faults(corpus.out)) == []


@dataclass
class Running:
    """A `prepare run` in a process group of its own; its messages go to a file.

    Not to a pipe: workers that outlive their parent for a moment would hold it open.
    """

    corpus: Corpus
    process: subprocess.Popen[bytes]
    log: Path
    before: frozenset[str]  # names that were in the output already
    seen: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def messages(self) -> str:
        return self.log.read_text()

    def look(self) -> int:
        """How many names have come into the output so far, as far as one could see."""
        self.seen.update(name for name in _names(str(self.corpus.out)) if name not in self.before)
        return len(self.seen)

    def wait(self) -> int:
        """The exit code. A run that does not end fails the test."""
        try:
            return self.process.wait(MAX_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9 of the whole group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.await_end()

    def kill_parent(self) -> None:
        """kill -9 of the parent alone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def await_end(self) -> None:
        """Until no process of the group is left: workers notice that their parent is gone."""
        deadline = time.monotonic() + MAX_SECONDS
        while any(group == self.process.pid for _, _, group, _ in _processes()):
            assert time.monotonic() < deadline, "workers live on without their parent"
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Process ids of the workers that are alive."""
        return sorted(
            process
            for process, parent, _, command in _processes()
            if parent == self.process.pid and b"spawn_main" in command
        )


def start(corpus: Corpus, *arguments: str, max_file_blocks: int | None = None) -> Running:
    """Start `prepare run`, perhaps allowed no larger files than of so many 512-byte blocks."""
    corpus.save()
    before = frozenset(_names(str(corpus.out)))
    log = corpus.folder / "stderr.txt"
    command = [sys.executable, "-m", "pipeline.cli", "run", "m.yaml", "--workers", "2", *arguments]
    if max_file_blocks is not None:
        command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', str(max_file_blocks), *command]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            cwd=corpus.folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    return Running(corpus, process, log, before)


def watch(corpus: Corpus) -> Undisturbed:
    """Prepare the corpus from nothing and watch it."""
    shutil.rmtree(corpus.out, ignore_errors=True)
    running, first = start(corpus), None
    while running.process.poll() is None:
        assert running.seconds < MAX_SECONDS
        if running.look() and first is None:
            first = running.seconds
        time.sleep(POLL_SECONDS)
    assert running.wait() == 0, running.messages
    assert first is not None
    return Undisturbed(
        corpus, everything(corpus.out), first, running.seconds, num_paths=len(running.seen)
    )


Moment = Callable[[Running], bool]  # whether it has come


def moments(random_: random.Random, like: Undisturbed, count: int, until: float) -> list[Moment]:
    """Some moments of a run, in order, all before this share of it.

    Two in five by the clock, from the first file of the output on; the others as soon as so many
    names have come into it, temporary ones among them, so that they fall into writing.
    """
    shares = sorted(until * random_.random() for _ in range(count))
    if random_.random() < 0.4:
        span = like.seconds - like.first_seconds
        return [_by_clock(like.first_seconds + share * span) for share in shares]
    return [_by_names(1 + int(share * like.num_paths)) for share in shares]


def _by_clock(seconds: float) -> Moment:
    return lambda running: running.seconds >= seconds


def _by_names(number: int) -> Moment:
    return lambda running: running.look() >= number


def reached(running: Running, moment: Moment) -> bool:
    """Wait for a moment; False where the run was over before it."""
    while not moment(running):
        if running.process.poll() is not None:
            return False
        assert running.seconds < MAX_SECONDS, running.messages
        time.sleep(POLL_SECONDS)
    return running.process.poll() is None


def complete(corpus: Corpus) -> None:
    """Run it again to its end, in this process: seconds less, and the same files."""
    corpus.save()
    plan = Plan(load_manifest(corpus.folder / "m.yaml"), corpus.folder, corpus.out)
    run(context_of(plan))


def _processes() -> Iterator[tuple[int, int, int, bytes]]:
    """Process, parent, group and command line of all that run, as Linux tells them."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent, group = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if state != "Z":
                yield int(entry.name), int(parent), int(group), command


def _names(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _names(entry.path)
                else:
                    yield entry.path
    except FileNotFoundError:
        return  # not there yet, or gone while we looked
