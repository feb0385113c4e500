"""How long `prepare run` takes to find that there is nothing left to do.

A finished output of many items, one per input file, and the command as a person calls it: a process
of its own, imports included, again and again.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

from benchmarks import process_peak
from benchmarks.process_peak import Ran
from benchmarks.shards.output import prepare


def measure(folder: Path, tokenizer: Path, num_items: int, rounds: int) -> list[Ran]:
    """Make the output in an empty folder and resume it."""
    (folder / "in").mkdir(parents=True)
    for number in range(num_items):
        row = {"id": str(number), "text": f"What the file number {number:,} of many says."}
        (folder / "in" / f"{number:06d}.jsonl").write_text(json.dumps(row) + "\n")
    source = {"name": "many", "format": "jsonl", "paths": ["in/*.jsonl"], "id_field": "id"}
    with patch("pipeline.plan.ITEM_BYTES", 1):  # else small files share an item
        prepare(folder, [source], tokenizer)
    command = [sys.executable, "-m", "pipeline.cli", "run", folder / "m.yaml"]
    ran = [process_peak.run(command) for _ in range(rounds)]
    if not all("Nothing to do" in each.output for each in ran):
        raise SystemExit(f"benchmark: a finished output had something to do: {ran[0].output}")
    return ran
