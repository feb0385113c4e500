"""datatrove's four stages of MinHash deduplication over the Parquet files of a folder.

    python datatrove_dedup.py FOLDER WORK WORKERS

Run by an interpreter that has datatrove 0.10, spaCy, xxhash and pyarrow. One task a file, its
default parameters (14 buckets of 8 hashes, 5-grams, 64 bits, English), kept documents as JSONL
without compression. Prints the seconds of each stage and the number of documents that stay, as one
JSON object on the last line.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter


def main() -> None:
    """Run the stages one after the other."""
    folder, work, num_workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    num_files = len(list(folder.glob("*.parquet")))
    reader = ParquetReader(str(folder), text_key="text", id_key="id", glob_pattern="*.parquet")
    at = {
        name: str(work / name)
        for name in ("signatures", "buckets", "clusters", "kept", "removed", "logs")
    }
    stages = {
        "signature": ([reader, MinhashDedupSignature(at["signatures"])], num_files),
        "buckets": (
            [MinhashDedupBuckets(at["signatures"], at["buckets"])],
            MinhashConfig().num_buckets,
        ),
        "cluster": ([MinhashDedupCluster(at["buckets"], at["clusters"])], 1),
        "filter": (
            [
                reader,
                MinhashDedupFilter(
                    at["clusters"], exclusion_writer=JsonlWriter(at["removed"], compression=None)
                ),
                JsonlWriter(at["kept"], compression=None),
            ],
            num_files,
        ),
    }
    seconds = {}
    for name, (pipeline, num_tasks) in stages.items():
        started = time.perf_counter()
        LocalPipelineExecutor(
            pipeline, tasks=num_tasks, workers=num_workers, logging_dir=f"{at['logs']}/{name}"
        ).run()
        seconds[name] = time.perf_counter() - started
    num_kept = sum(sum(1 for _ in path.open("rb")) for path in Path(at["kept"]).rglob("*.jsonl"))
    print(json.dumps({"seconds": seconds, "num_kept": num_kept}))


if __name__ == "__main__":
    main()
