"""The loop of a peer's script: one round of work for each name that comes on standard input."""

import json
import sys
import time
from collections.abc import Callable, Mapping

ANSWER = "seconds of CPU: "  # begins the lines that the benchmark reads; libraries print others


def texts() -> list[str]:
    """The documents: a JSON list in the file that the script was called with."""
    with open(sys.argv[1], encoding="utf-8") as handle:  # noqa: PTH123
        found: list[str] = json.load(handle)
    return found


def serve(rounds: Mapping[str, Callable[[], object]]) -> None:
    """Answer each name with the CPU seconds, of all threads, of one call."""
    print(ANSWER + json.dumps(list(rounds)), flush=True)
    for line in sys.stdin:
        started = time.process_time()
        rounds[line.strip()]()
        print(ANSWER + json.dumps(time.process_time() - started), flush=True)
