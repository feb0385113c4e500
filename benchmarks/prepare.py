"""`prepare run` end to end on a corpus: MB of text per second and core, and peak memory.

Memory is the proportional set size of all processes together (a page that two of them share counts
once), sampled from /proc ten times a second.
"""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Measured:
    """One run of `prepare run`."""

    text_bytes: int
    seconds: float
    peak_bytes: int
    num_workers: int

    @property
    def rate(self) -> float:
        """Bytes of text read per second and worker."""
        return self.text_bytes / self.seconds / self.num_workers


def manifest(corpus: Path | None, tokenizer: Path, num_copies: int) -> dict[str, object]:
    """All stages on; `num_copies` sources read the same files under other names."""
    kit = {"format": "jsonl", "paths": [f"{corpus}/docs-*.jsonl.zst"], "id_field": "id"}
    code = {"format": "python-environment", "part": "stdlib"}
    source = {"validation_fraction": 0.01, **(kit if corpus else code)}
    return {
        "version": 1,
        "name": "benchmark",
        "output": "out",
        "sources": [{"name": f"copy{n}", **source} for n in range(num_copies)],
        "filters": [
            {"use": "length", "min_chars": 100},
            {"use": "language", "keep": ["en"], "min_score": 0.5},
            {"use": "gopher_quality"},
        ],
        "tokenizer": {"path": str(tokenizer)},
    }


def measure(folder: Path, values: dict[str, object], num_workers: int) -> Measured:
    """Run `prepare run` on a manifest in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(folder / "m.yaml")]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--workers", str(num_workers)], stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, memory_bytes(process.pid))
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"benchmark: `prepare run` ended with {process.returncode}")
    ledger = json.loads((folder / "out" / "ledger.json").read_text())
    text_bytes = sum(entry["num_read_bytes"] for entry in ledger.values())
    return Measured(text_bytes, seconds, peak_bytes, num_workers)


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
