"""Signing texts in memory, on one core: `sign`, beside what other libraries do of the same texts.

What is measured is seconds of CPU of all threads from texts in memory (Arrow for ours, `str` for
the others) to signatures: nothing is read, and only datatrove's stage writes, as it always does.
All sign the same documents in turn, each in its own process, several times.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from benchmarks.filters import num_bytes, sample
from benchmarks.peers.rounds import ANSWER
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.signature import sign

SCRIPTS = ("datatrove", "text_dedup", "rensa")
TARGETS = {"datatrove": 150, "text-dedup": 50, "rensa": 5}
OWN_TARGET = 150  # MB/s
OURS = "Headwater"
OWN_CALLS = 8  # in a round beside the others: what takes them seconds takes us 30 ms
Row = tuple[str, str, str]


class Rates(NamedTuple):
    """MB of text per second, of several rounds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 20 else 2
        spread = f"{self.least:.{digits}f} to {self.most:.{digits}f}"
        return f"{self.median:.{digits}f} MB/s ({spread})"


def rates(megabytes: float, seconds: Sequence[float]) -> Rates:
    """Median and spread of rounds over so many megabytes."""
    found = [megabytes / each for each in seconds]
    return Rates(statistics.median(found), min(found), max(found))


def megabytes_of(batches: Sequence[pa.RecordBatch]) -> float:
    """Of UTF-8."""
    return float(num_bytes(batches)) / 1e6


def thinned(batches: Sequence[pa.RecordBatch], fraction: float) -> list[pa.RecordBatch]:
    """The first documents of each batch, so that all files have their share."""
    return [batch.slice(0, max(1, round(len(batch) * fraction))) for batch in batches]


def sign_all(batches: Sequence[pa.RecordBatch], num_calls: int = 1) -> float:
    """CPU seconds to sign them once."""
    config = DedupConfig()
    started = time.process_time()
    for _ in range(num_calls):
        for batch in batches:
            sign(batch["text"], config)
    return (time.process_time() - started) / num_calls


class Peer:
    """A script of `benchmarks/peers` that waits in its own interpreter for rounds to do."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.names: list[str] = self._answer()

    def seconds(self, name: str) -> float:
        """CPU seconds of one round of one of `names`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                return json.loads(line.removeprefix(ANSWER))
        raise SystemExit(f"benchmark: {self._process.args!r} ended with {self._process.wait()}")


@contextmanager
def started(python: Path, script: str, texts: Path) -> Iterator[Peer]:
    """A peer's process, on one thread."""
    path = Path(__file__).parents[1] / "peers" / f"{script}_signatures.py"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    one = os.environ | dict.fromkeys(names, "1")
    with subprocess.Popen(
        [python, path, texts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=one
    ) as process:
        yield Peer(process)


def beside(
    python: Path, batches: Sequence[pa.RecordBatch], num_rounds: int
) -> dict[str, list[float]]:
    """CPU seconds of each round of each library and of ours, in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        texts = folder / "texts.json"
        texts.write_text(json.dumps([text for b in batches for text in b["text"].to_pylist()]))
        peers = [stack.enter_context(started(python, script, texts)) for script in SCRIPTS]
        seconds: dict[str, list[float]] = {OURS: []}
        for _ in range(num_rounds):
            seconds[OURS].append(sign_all(batches, OWN_CALLS))
            for peer in peers:
                for name in peer.names:
                    seconds.setdefault(name, []).append(peer.seconds(name))
    return seconds


def measure(
    corpus: Path, peer: Path | None, megabytes: float, peer_megabytes: float, num_rounds: int
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of the table, and the seconds behind them."""
    own = sample(corpus, megabytes)
    sign_all(own[:1])  # compiles
    size = megabytes_of(own)
    seconds = [sign_all(own) for _ in range(num_rounds)]
    rate = rates(size, seconds)
    rows = [(f"sign, {size:.0f} MB, one core", str(rate), f">= {OWN_TARGET} MB/s")]
    raw: dict[str, Any] = {"own": {"megabytes": size, "seconds": seconds}}
    if peer is None:
        return rows, raw
    shared = thinned(own, peer_megabytes / size)
    size = megabytes_of(shared)
    found = beside(peer, shared, num_rounds)
    raw["beside"] = {"megabytes": size, "seconds": found}
    ours = rates(size, found[OURS])
    rows.append((f"sign, the {size:.1f} MB of the others", str(ours), ""))
    for name, theirs in found.items():
        if name != OURS:
            rate = rates(size, theirs)
            ratios = [other / own for other, own in zip(theirs, found[OURS], strict=True)]
            target = next(TARGETS[each] for each in TARGETS if name.startswith(each))
            label = f"  beside {name}: {rate}"
            spread = f"{min(ratios):.0f} to {max(ratios):.0f}"
            rows.append((label, f"{statistics.median(ratios):.1f}x ({spread})", f">= {target}x"))
    return rows, raw
