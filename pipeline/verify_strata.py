"""Strata against signals: each document stands in the shards of the stratum that its value says."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from pipeline.records import Record
from pipeline.shards import SPLITS, Shard, ShardIndex, find_shards
from pipeline.signals import DocumentFiles, Signal, read_signal
from pipeline.strata import StrataConfig, stratum_numbers


def wrong_strata(
    out: Path, records: Mapping[str, list[Record]], index: ShardIndex
) -> Iterator[str]:
    """Shards with documents of another stratum, and shards parted where they should not be."""
    strata = read_strata(out)
    for source in sorted({shard.source for shard in index.shards}):
        shards = [shard for shard in index.shards if shard.source == source]
        if strata is None or not strata.applies_to(source):
            for shard in shards:
                if shard.stratum is not None:
                    yield f"{shard.path}: of stratum {shard.stratum}, but {source} has no strata"
            continue
        signal = read_signal(strata.by, _files(out, records, source))
        for shard in shards:
            yield from _strangers(find_shards(out) / shard.path, shard, signal, strata)


def read_strata(out: Path) -> StrataConfig | None:
    """The strata of the manifest of a finished output."""
    values = yaml.safe_load((out / "manifest.yaml").read_text(encoding="utf-8")).get("strata")
    return StrataConfig.model_validate(values) if values else None


def _files(out: Path, records: Mapping[str, list[Record]], source: str) -> DocumentFiles:
    """The files of one source, which the folder of each tells."""
    kept = [record["outputs"]["kept"]["path"] for record in records["refine"]]
    tokens = [
        record["outputs"][split]["path"] for record in records["tokenise"] for split in SPLITS
    ]
    (removals,) = (record["outputs"]["removals"]["path"] for record in records["deduplicate"])
    return DocumentFiles(
        [out / path for path in kept if path.split("/")[1] == source],
        [out / path for path in tokens if path.split("/")[1] == source],
        out / removals,
    )


def _strangers(path: Path, shard: Shard, signal: Signal, strata: StrataConfig) -> Iterator[str]:
    with pa.memory_map(str(path)) as source:
        keys = pa.ipc.open_file(source).read_all()["doc_key"].combine_chunks().flatten()
    keys = keys.drop_null()  # of erased documents
    names = np.array(strata.all_names)
    found = names[stratum_numbers(signal.of(keys), strata.edges)]
    others = found[found != (shard.stratum or "")]
    if len(others):
        what = f"stratum {shard.stratum}" if shard.stratum else "no stratum"
        yield (
            f"{path}: of {what}, but {len(others):,} of its {len(keys):,} pieces are of documents "
            f"of {', '.join(sorted(set(others.tolist())))} by {strata.by}"
        )
