"""An output of `prepare run` to measure on, made in this process, and its stages done again.

What is measured is what a worker calls: the same functions on the same items, without the pool and
without Beam around them. Cleaning, PII and deduplication are off: all of the texts are packed.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.graph.each import EachItem
from pipeline.graph.runner import run_in_memory
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.progress import Advance
from pipeline.run import run
from pipeline.stage import Context

ROW_GROUP_BYTES = 16_000_000  # an item each
MEMORY_BYTES = 10**9
PACKING = ("tokenise", "pack")


@dataclass(slots=True)
class Here:
    """Runs items in this process, one after the other; seconds of CPU by stage."""

    num_workers: int = 1
    cpu_seconds: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """There is nothing to start."""

    def run(self, transform: Any, items: Sequence[Any], done: Advance) -> None:
        if not isinstance(transform, EachItem):
            run_in_memory((transform, items))
            return
        started = time.process_time()
        for item in items:
            transform.do(item)
        stage = transform.label.removesuffix("_item")
        self.cpu_seconds[stage] += time.process_time() - started


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: object = None
    ) -> Iterator[Advance]:
        yield lambda num: None

    def skip(self, name: str, num_items: int, watch: object) -> None:
        """Shows nothing of what was done before."""

    def note(self, text: str) -> None:
        """Tells nothing."""


def make(
    folder: Path, texts: Sequence[pa.StringArray], tokenizer: Path, copies: int = 1, **pack: int
) -> Plan:
    """Prepare the texts, as often as `copies` says, each time as a source of its own."""
    folder.mkdir(parents=True)
    table = pa.table({"text": pa.chunked_array(texts, pa.string())})
    mean_bytes = max(1, table.nbytes // max(1, len(table)))
    pq.write_table(table, folder / "texts.parquet", row_group_size=ROW_GROUP_BYTES // mean_bytes)
    source = {"format": "parquet", "paths": ["texts.parquet"]}
    return prepare(folder, [{"name": f"copy{n}", **source} for n in range(copies)], tokenizer, pack)


def prepare(
    folder: Path,
    sources: Sequence[Mapping[str, object]],
    tokenizer: Path,
    pack: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Run a manifest of these sources, written to the folder."""
    values = {
        "version": 1,
        "name": "benchmark",
        "output": "out",
        "sources": list(sources),
        "clean": {"html": "never", "fix_mojibake": False},
        "pii": {"mode": "off"},
        "dedup": {"exact": False, "minhash": None},
        "tokenizer": {"path": str(tokenizer)},
        "pack": dict(pack),
    }
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    plan = plan_of(folder)
    _run(plan)
    return plan


def plan_of(folder: Path) -> Plan:
    """Of what `make` left in a folder."""
    return Plan(load_manifest(folder / "m.yaml"), folder, folder / "out")


def pack_again(plan: Plan) -> float:
    """Tokenise and pack once more: the CPU seconds of both stages, of all items together."""
    for stage in PACKING:
        for record in (plan.out / "state" / stage).glob("*.json"):
            record.unlink()
    cpu_seconds = _run(plan)
    return sum(cpu_seconds[stage] for stage in PACKING)


def _run(plan: Plan) -> Counter[str]:
    runner = Here()
    run(Context(plan, runner, Silent(), MEMORY_BYTES))
    return runner.cpu_seconds
