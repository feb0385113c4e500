"""Peak memory of tokenising and packing an output, in a process of its own.

    python -m benchmarks.shards.memory FOLDER

prints the largest resident set in bytes, with the files that are mapped. FOLDER is of
`benchmarks.shards.output.make`. One process does all items one after the other, as a worker does.
(`getrusage` would tell of the process that began this one, where that is larger.)
"""

import re
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
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak) * 1024)
