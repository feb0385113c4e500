"""`prepare run` end to end on a corpus: MB of text per second and core, and peak memory.

Memory is the proportional set size of all processes together (a page that two of them share counts
once), sampled from /proc ten times a second.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

MEGABYTE = 1e6


def manifest(corpus: Path, tokenizer: Path, copies: int) -> dict[str, object]:
    """All stages on, for a folder of .jsonl.zst; `copies` reads it again under other names."""
    source = {"format": "jsonl", "paths": [f"{corpus}/docs-*.jsonl.zst"], "id_field": "id"}
    return {
        "version": 1,
        "name": "benchmark",
        "output": "out",
        "sources": [
            {"name": f"kit{n}", "validation_fraction": 0.01, **source} for n in range(copies)
        ],
        "filters": [
            {"use": "length", "min_chars": 100},
            {"use": "language", "keep": ["en"], "min_score": 0.5},
            {"use": "gopher_quality"},
        ],
        "tokenizer": {"path": str(tokenizer)},
    }


def measure(folder: Path, values: dict[str, object], workers: int) -> dict[str, float]:
    """Run `prepare run` on a manifest in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(folder / "m.yaml")]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_bytes(process.pid))
        time.sleep(0.1)
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"benchmark: `prepare run` ended with {process.returncode}")
    ledger = json.loads((folder / "out" / "ledger.json").read_text())
    num_bytes = sum(entry["num_read_bytes"] for entry in ledger.values())
    return {
        "text MB": num_bytes / MEGABYTE,
        "seconds": seconds,
        "MB/s per core": num_bytes / MEGABYTE / seconds / workers,
        "peak memory MB": peak / MEGABYTE,
    }


def memory_bytes(root: int) -> int:
    """Proportional set size of a process and all below it."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between two reads
        lines = (line.split() for line in rollup.splitlines())
        total += sum(int(line[1]) * 1024 for line in lines if line[0] == "Pss:")
    return total
