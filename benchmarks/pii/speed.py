"""PII on one core: all kinds on text with few hits, and beside datatrove and Presidio.

Seconds are of CPU, all threads, from texts in memory (Arrow for ours, `str` for the others) to
texts in memory; Presidio is only asked for spans. All work on the same documents in turn, each in
its own process, several rounds; compiling and the first document are left out.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.dedup.signatures import Peer, megabytes_of, rates, thinned
from benchmarks.pii.finders import ENVIRONMENT, PEERS
from benchmarks.pii.kinds import PRESIDIO, kind_of
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.registry import DEFAULT_KINDS

OWN_GOAL = 40  # MB/s
OWN_CALLS = 8  # in a round beside the others: what takes them seconds takes us 50 ms
GOALS = {"datatrove": 5, "presidio": 50}
SHARES = {
    "datatrove": 1.0,
    "presidio": 0.25,
}  # of the peers' megabytes: Presidio reads 0.05 a second
Row = tuple[str, str, str]
Table = list[Row]
Batches = Sequence[pa.RecordBatch]


def same_kinds() -> Mapping[str, tuple[str, ...]]:
    """Which kinds of ours a peer is compared with: datatrove's two with all of ours."""
    presidio = (kind for kind in DEFAULT_KINDS if kind in map(kind_of, PRESIDIO))
    return {"datatrove": DEFAULT_KINDS, "presidio": tuple(presidio)}


def seconds_of(batches: Batches, kinds: tuple[str, ...], num_calls: int = 1) -> float:
    """CPU seconds to write tags for those kinds once."""
    config = PiiConfig(kinds=kinds)
    started = time.process_time()
    for _ in range(num_calls):
        for batch in batches:
            anonymise(batch["text"], config)
    return (time.process_time() - started) / num_calls


@contextmanager
def waiting(python: Path, name: str, texts: Path) -> Iterator[Peer]:
    """A peer's process, on one thread."""
    with subprocess.Popen(
        [python, PEERS / f"{name}_pii.py", texts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    ) as process:
        yield Peer(process)


def beside(python: Path, name: str, batches: Batches, num_rounds: int) -> dict[str, Any]:
    """The seconds of a peer and ours, round by round."""
    kinds = same_kinds()[name]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps([text for b in batches for text in b["text"].to_pylist()]))
        with waiting(python, name, texts) as peer:
            for _ in range(num_rounds):
                ours.append(seconds_of(batches, kinds, OWN_CALLS))
                theirs.append(peer.seconds(name))
    return {"megabytes": megabytes_of(batches), "kinds": kinds, "ours": ours, "theirs": theirs}


def measure(
    own: Batches, peer: Path | None, peer_megabytes: float, num_rounds: int
) -> tuple[Table, dict[str, Any]]:
    """The table, its first row the header, and the seconds behind it.

    `own` are batches with a column `text`; the peers get the first documents of each.
    """
    every = DEFAULT_KINDS
    seconds_of(own[:1], every)  # compiles
    size = megabytes_of(own)
    seconds = [seconds_of(own, every) for _ in range(num_rounds)]
    rate = rates(size, seconds)
    rows: Table = [("what", "measured", "goal")]
    label = f"PII, {len(every)} kinds, {size:.0f} MB, {_hits_per_megabyte(own):.0f} hits per MB"
    rows.append((label, str(rate), f">= {OWN_GOAL} MB/s"))
    raw: dict[str, Any] = {"own": {"megabytes": size, "kinds": every, "seconds": seconds}}
    raw["alone"] = {kind: seconds_of(own, (kind,)) for kind in every}
    rows += [
        (f"  {kind} alone", f"{size / spent:.0f} MB/s", "") for kind, spent in raw["alone"].items()
    ]
    if peer is None:
        return rows, raw
    for name, share in SHARES.items():
        shared = _joined(thinned(own, share * peer_megabytes / size))
        raw[name] = beside(peer, name, shared, num_rounds)
        rows.append(_beside_row(name, **raw[name]))
    return rows, raw


def _joined(batches: Batches) -> Batches:
    """As one: slices of a few documents would measure what a call costs."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()  # type: ignore[no-any-return]


def _hits_per_megabyte(batches: Batches) -> float:
    counts = (anonymise(batch["text"], PiiConfig(kinds=DEFAULT_KINDS)).counts for batch in batches)
    total = sum(int(column.to_numpy().sum()) for each in counts for column in each.columns)
    return total / megabytes_of(batches)


def _beside_row(
    name: str, megabytes: float, kinds: Sequence[str], ours: list[float], theirs: list[float]
) -> Row:
    ratios = [each / own for each, own in zip(theirs, ours, strict=True)]
    own, other = rates(megabytes, ours), rates(megabytes, theirs)
    label = f"{len(kinds)} kinds, {megabytes:.1f} MB: {own}, beside {name}'s {other}"
    spread = f"{min(ratios):.0f} to {max(ratios):.0f}"
    return label, f"{statistics.median(ratios):.1f}x ({spread})", f">= {GOALS[name]}x"
