"""The corpus' own segment of a deduplication index, without erased documents.

Their rows keep their numbers and lose key, text hash and id; their buckets and minhashes go, and
they count as deleted, so that no later corpus meets them. Segments of other corpora are theirs.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.blanking import blank_signatures, nulled
from pipeline.erasing.staging import FOLDER
from pipeline.erasing.tombstones import Tombstones, read_tombstones
from pipeline.errors import PrepareError, UsageError
from pipeline.explaining.output import open_output
from pipeline.files import arrow_writer, file_hash
from pipeline.index.segments import (
    DELETED,
    DELETED_NAME,
    DOCUMENTS_NAME,
    SIGNATURES_NAME,
    Segment,
    content_fingerprint,
    joined,
    publish,
    read,
    read_segment,
    segments,
)
from pipeline.indexing import index_config
from pipeline.plan import Plan
from pipeline.refined import RowReader

BLANK = ("key", "text_hash", "id")


def own_segment(plan: Plan) -> Segment | None:
    """What the corpus of a plan has in the index of its manifest."""
    config = index_config(plan)
    if config is None:
        return None
    index = (plan.base / config.path).resolve()
    return read_segment(index, config.segment or plan.manifest.name)


def other_segments(plan: Plan) -> list[Segment]:
    """Those of the other corpora in the same index."""
    own = own_segment(plan)
    return [] if own is None else [s for s in segments(own.index) if s.name != own.name]


def num_went_for(segment: Segment, stones: Tombstones) -> int | None:
    """How many documents of another corpus went for erased ones; None where its output is gone."""
    try:
        removals = open_output(segment.out).removals
    except (PrepareError, UsageError):
        return None
    found = pc.and_(
        pc.is_in(removals["survivor_key"], value_set=stones.keys), removals["key"].is_valid()
    )
    return int(pc.sum(found).as_py() or 0)


def purge_own_segment(plan: Plan) -> int:
    """Take the documents of the output's tombstones out of its segment; returns how many went.

    The index is locked. Nothing is written where they are gone already.
    """
    segment, stones = own_segment(plan), read_tombstones(plan.out)
    if segment is None or not stones.stones:
        return 0
    numbers, is_blank = _numbers(segment, stones)
    fresh = np.setdiff1d(numbers, segment.deleted())
    if is_blank and not len(fresh):
        return 0
    folder = plan.out / FOLDER / "segment"
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in segment.contents.file_bytes}
    for name, path in files.items():
        _write(segment.data / name, path, numbers)
    contents = replace(
        segment.contents,
        fingerprint=content_fingerprint({name: file_hash(path) for name, path in files.items()}),
        file_bytes={name: path.stat().st_size for name, path in files.items()},
    )
    publish(segment.index, segment.name, contents, files, _deleted(segment, numbers))
    shutil.rmtree(folder)
    return len(fresh)


def _numbers(segment: Segment, stones: Tombstones) -> tuple[np.ndarray, bool]:
    """Documents that are erased, or were when the segment was made: those have no key.

    Also whether all of them have none. One that was deleted from the index still has its key.
    """
    found, first, is_blank = [np.zeros(0, np.uint32)], 0, True
    for batch in RowReader(segment.data / DOCUMENTS_NAME, "key", "text_hash").batches():
        mask = stones.matches(batch["key"], batch["text_hash"])
        is_blank &= not mask.any()
        mask |= batch["key"].is_null().to_numpy(zero_copy_only=False)
        found.append((np.flatnonzero(mask) + first).astype(np.uint32))
        first += batch.num_rows
    return np.concatenate(found), is_blank


def _deleted(segment: Segment, numbers: np.ndarray) -> pa.Table:
    """What was deleted before, and these; of an erased document there is no text hash."""
    path = segment.data / DELETED_NAME
    before = read(path) if path.is_file() else DELETED.empty_table()
    others = before.filter(pa.array(~np.isin(before["number"].to_numpy(), numbers)))
    erased = pa.table([pa.array(numbers), pa.nulls(len(numbers), DELETED[1].type)], schema=DELETED)
    return joined([others, erased])


def _write(path: Path, target: Path, numbers: np.ndarray) -> None:
    """One file of the segment anew, without what it holds of these documents."""
    reader = RowReader(path)
    with arrow_writer(target, reader.schema) as writer:
        for first, batch in _numbered(reader):
            if path.name == DOCUMENTS_NAME:
                writer.write_batch(_documents(batch, _mask(batch, first, numbers)))
            elif path.name == SIGNATURES_NAME:
                rows = blank_signatures(batch, _mask(batch, first, numbers))
                writer.write_batch(rows.cast(reader.schema))
            else:
                stays = ~np.isin(batch["number"].to_numpy(), numbers)
                writer.write_batch(batch.filter(pa.array(stays)))


def _numbered(reader: RowReader) -> Iterator[tuple[int, pa.RecordBatch]]:
    first = 0
    for batch in reader.batches():
        yield first, batch
        first += batch.num_rows


def _mask(batch: pa.RecordBatch, first: int, numbers: np.ndarray) -> np.ndarray:
    """Rows of a batch that are among these numbers."""
    return np.isin(np.arange(first, first + batch.num_rows), numbers)


def _documents(batch: pa.RecordBatch, mask: np.ndarray) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {
        name: nulled(batch[name], mask) if name in BLANK else batch[name]
        for name in batch.schema.names
    }
    columns["validates"] = pc.and_(batch["validates"], pa.array(~mask))
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
