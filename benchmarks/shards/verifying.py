"""`prepare verify` on one core: CPU seconds of its checks, against the bytes of the shards.

MB are those of the parts (`shards/**/*.arrow`) and of nothing else. Verifying the shards alone
reads just these, and the keys and lengths of the token files: sha256, the ledger, and that each
token of each document stands once. The whole of verify reads besides all refined files (the texts,
twice: the file's hash, then keys and text hashes of its rows) and all token files.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline import verify
from pipeline.plan import Plan
from pipeline.shards import read_index
from pipeline.verify_index import wrong_counts
from pipeline.verify_tokens import misplaced_tokens


class Verified(NamedTuple):
    """Bytes, and CPU seconds of the fastest round."""

    shard_bytes: int
    other_bytes: int  # of the refined files and token files
    shards_seconds: float
    whole_seconds: float


def measure(plan: Plan, rounds: int) -> Verified:
    """Verify an output, which is whole, a few times."""
    out = plan.out
    return Verified(
        _size(out / "shards"),
        _size(out / "refined") + _size(out / "tokens"),
        min(_timed(lambda: _shards_alone(out)) for _ in range(rounds)),
        min(_timed(lambda: verify.faults(out)) for _ in range(rounds)),
    )


def _shards_alone(out: Path) -> Iterable[str]:
    index, names = read_index(out), verify.read_names(out)
    records = {stage: verify.read_records(out, stage, names[stage]) for stage in verify.STAGES}
    yield from verify.wrong_parts(out, records["pack"], index)
    yield from wrong_counts(out, index)
    yield from verify.unbalanced_items(out, records)
    yield from verify.wrong_ledger(out, records)
    yield from misplaced_tokens(out, records["tokenise"], index)


def _timed(check: Callable[[], Iterable[str]]) -> float:
    started = time.process_time()
    found = list(check())
    seconds = time.process_time() - started
    if found:
        raise SystemExit(f"benchmark: the output has faults: {found[0]}")
    return seconds


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.arrow"))
