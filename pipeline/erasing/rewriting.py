"""The files of one record, rewritten without erased documents, beside the record that is then true.

The record of a rewritten file has its new hash, the one that it was made with as `made` (by which
later stages name their items, so that they need not be done again), and as `erased` how many rows
went.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.blanking import (
    blank_documents,
    blank_removals,
    blank_signatures,
    blank_tokens,
)
from pipeline.erasing.matching import OF_DOCUMENTS, OF_QUARANTINED, Matcher
from pipeline.erasing.part import blank_part as write_blank_part
from pipeline.erasing.part import holds
from pipeline.erasing.staging import Staging
from pipeline.erasing.tombstones import Tombstones
from pipeline.files import arrow_writer, file_hash
from pipeline.records import Record, describe, write_record
from pipeline.refined import RowReader
from pipeline.shards import SPLITS


@dataclass(slots=True)
class Applied:
    """What was rewritten."""

    num_rows: dict[str, int] = field(default_factory=dict)  # by kept, dropped, quarantined
    num_parts: int = 0
    num_all_parts: int = 0
    num_tokens: int = 0  # of the shards
    num_files: int = 0
    num_bytes: int = 0  # written


@dataclass(slots=True)
class Changes:
    """New files and records; `parts` by their path, of the shards."""

    out: Path
    staging: Staging
    done: Applied
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    parts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def file(self, path: str) -> Path:
        return self.staging.path(path)

    def commit(
        self, record: Record, files: Mapping[str, Path], erased: Mapping[str, int], **counts: Any
    ) -> None:
        """A record whose outputs of these names are `files` now."""
        outputs = dict(record["outputs"])
        for name, path in files.items():
            new, old = describe(path, self.out), outputs[name]
            made = old.get("made", old["xxh3"])
            outputs[name] = {**new, "path": old["path"], "made": made}
            self.done.num_files += 1
            self.done.num_bytes += new["bytes"]
        total = Counter(record.get("erased", {})) + Counter(erased)
        stage, name = record["stage"], record["fingerprint"]
        values = {**record["counts"], **counts}
        new_record = {**record, "outputs": outputs, "counts": values, "erased": dict(total)}
        self.records[stage, name] = new_record
        write_record(self.staging.path(f"state/{stage}/{name}.json"), new_record)


def take_refined(changed: Changes, record: Record, matcher: Matcher) -> pa.FixedSizeBinaryArray:
    """Take the rows of one work item; returns the keys of its erased documents."""
    out, source, files, erased = changed.out, record["source"], {}, {}
    keys = [matcher.stones.keys[:0]]
    for kind in ("kept", "dropped", "quarantined"):
        path = out / record["outputs"][kind]["path"]
        masks = _masks(path, kind, source, matcher)
        if not any(mask.any() for mask in masks):
            continue
        erased[kind] = int(sum(mask.sum() for mask in masks))
        num_rows = changed.done.num_rows
        num_rows[kind] = num_rows.get(kind, 0) + erased[kind]
        if kind != "quarantined":
            found = zip(RowReader(path, "key").batches(), masks, strict=True)
            keys += [batch["key"].filter(pa.array(mask)) for batch, mask in found]
        files[kind] = changed.file(record["outputs"][kind]["path"])
        _rewrite(path, files[kind], masks, blank_documents)
        if kind == "kept":
            target = record["outputs"]["signatures"]["path"]
            files["signatures"] = changed.file(target)
            _rewrite(out / target, files["signatures"], masks, blank_signatures)
    found_keys = pa.concat_arrays(keys)
    samples, has_fewer = _samples(record, found_keys)
    if files or has_fewer:
        changed.commit(record, files, erased, pii_samples=samples)
    return found_keys


def _masks(path: Path, kind: str, source: str, matcher: Matcher) -> list[np.ndarray]:
    """Which rows are erased, by record batch; texts are not read."""
    if kind == "quarantined":
        reader = RowReader(path, *OF_QUARANTINED)
        return [matcher.quarantined(batch, source) for batch in reader.batches()]
    reader = RowReader(path, *OF_DOCUMENTS)
    return [matcher.documents(batch, source) for batch in reader.batches()]


def _rewrite(path: Path, target: Path, masks: Sequence[np.ndarray], blank: Any) -> None:
    """The file with its record batches as they are, rows of the masks blank."""
    reader = RowReader(path)
    with arrow_writer(target, reader.schema) as writer:
        for batch, mask in _aligned(reader.batches(), masks):
            writer.write_batch(blank(batch, mask).cast(reader.schema))


def _aligned(
    batches: Iterator[pa.RecordBatch], masks: Sequence[np.ndarray]
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch with the mask of its rows, which may be of a file that is cut otherwise."""
    flat, first = np.concatenate([np.zeros(0, np.bool_), *masks]), 0
    for batch in batches:
        yield batch, flat[first : first + batch.num_rows]
        first += batch.num_rows


def _samples(record: Record, keys: pa.FixedSizeBinaryArray) -> tuple[dict[str, Any], bool]:
    """The contexts of PII of an item without those of erased documents, and whether there were."""
    gone = {key.hex() for key in keys.to_pylist()}
    before = record["counts"]["pii_samples"]
    after = {kind: [s for s in found if s["key"] not in gone] for kind, found in before.items()}
    return after, after != before


def take_removals(changed: Changes, record: Record, stones: Tombstones) -> None:
    target = record["outputs"]["removals"]["path"]
    reader = RowReader(changed.out / target)
    num_rows, batches = 0, []
    for batch in reader.batches():
        removed = stones.matches(batch["key"], batch["text_hash"])
        survivors = pc.is_in(batch["survivor_key"], value_set=stones.keys)
        stayed = survivors.to_numpy(zero_copy_only=False)
        num_rows += int((removed | stayed).sum())
        batches.append(blank_removals(batch, removed, stayed))
    if not num_rows:
        return
    path = changed.file(target)
    with arrow_writer(path, reader.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    changed.commit(record, {"removals": path}, {"removals": num_rows})


def take_tokens(
    changed: Changes, record: Record, stones: Tombstones, pad_id: int
) -> dict[bytes, tuple[int, int]]:
    """Take the rows of the token files of one item; returns the sizes of these documents."""
    sizes: dict[bytes, tuple[int, int]] = {}
    files, erased = {}, {}
    for split in SPLITS:
        target = record["outputs"][split]["path"]
        reader = RowReader(changed.out / target)
        masks = [stones.matches(b["doc_key"], b["text_hash"]) for b in reader.batches()]
        if not any(mask.any() for mask in masks):
            continue
        for batch, mask in zip(reader.batches(), masks, strict=True):
            sizes |= _sizes(batch, np.flatnonzero(mask))
        files[split] = changed.file(target)
        erased[split] = int(sum(mask.sum() for mask in masks))
        _rewrite(
            changed.out / target, files[split], masks, lambda b, mask: blank_tokens(b, mask, pad_id)
        )
    if files:
        changed.commit(record, files, erased)
    return sizes


def _sizes(batch: pa.RecordBatch, rows: np.ndarray) -> dict[bytes, tuple[int, int]]:
    num_tokens = np.diff(batch["tokens"].offsets.to_numpy())[rows]
    num_bytes = batch["num_bytes"].to_numpy()[rows]
    keys = batch["doc_key"].take(pa.array(rows)).to_pylist()
    return dict(zip(keys, zip(num_tokens.tolist(), num_bytes.tolist(), strict=True), strict=True))


def take_part(
    changed: Changes,
    record: Record,
    stones: Tombstones,
    sizes: Mapping[bytes, tuple[int, int]],
    pad_id: int,
) -> None:
    target = record["outputs"]["part"]["path"]
    if not holds(changed.out / target, stones):
        return
    path = changed.file(target)
    gone = write_blank_part(changed.out / target, path, stones, sizes, pad_id)
    counts = {
        "num_bytes": record["counts"]["num_bytes"] - gone.num_bytes,
        "num_documents": record["counts"]["num_documents"] - gone.num_documents,
        "sha256": file_hash(path, "sha256"),
        "num_erased": record["counts"].get("num_erased", 0) + gone.num_documents,
    }
    changed.commit(record, {"part": path}, {"pieces": gone.num_pieces}, **counts)
    changed.parts[target.removeprefix("shards/")] = counts
    changed.done.num_parts += 1
    changed.done.num_tokens += gone.num_tokens
