"""Peak memory of tokenising and packing an output, in a process of its own.

    python -m benchmarks.shards.memory FOLDER

prints the largest resident set in bytes, with the files that are mapped. FOLDER is of
`benchmarks.shards.output.make`. One process does all items one after the other, as a worker does.
"""

import resource
import sys
from pathlib import Path

from benchmarks import process_peak
from benchmarks.shards.output import pack_again, plan_of


def measure(folder: Path) -> int:
    """Bytes of the process that tokenises and packs what is in the folder."""
    command = [sys.executable, "-m", "benchmarks.shards.memory", folder]
    return int(process_peak.run(command).output)


if __name__ == "__main__":
    pack_again(plan_of(Path(sys.argv[1])))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
