"""Any dataset of the `datasets` library, streamed or from its memory-mapped cache.

Batches come in its Arrow format, so that no row becomes a Python object. `datasets` stops at the
first row that it cannot parse: the rows before it are kept, the rest of that shard is one
quarantined row. With the formats of Headwater's own readers only the bad row is lost.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.errors import SourceError
from pipeline.sources.config import SourceConfig
from pipeline.sources.documents import BATCH_ROWS, Bad, Builder
from pipeline.sources.files import is_local
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows

SAVED = "state.json"  # of a dataset written by `save_to_disk`
SHARD = "/shard-"


@dataclass(frozen=True, kw_only=True)
class HuggingFaceReader:
    """Streamed: an input per shard of the dataset, `source_row` the row within the shard.
    Otherwise: one input, `source_row` the row of the dataset, which is the unit of slices.
    """

    source: SourceConfig
    base: Path
    max_document_bytes: int
    split_bytes: int = SPLIT_BYTES

    def inputs(self) -> list[Input]:
        dataset = _load(self.source, self.base)
        name = (
            "/".join(["hf:/", str(self.source.dataset), self.source.config_name or "default"])
            + f"/{self.source.split}"
        )
        if not self.source.streaming:
            return [Input(path=name, relative=name, size_bytes=dataset.data.nbytes)]
        num_shards = dataset.num_shards
        names = [f"{name}{SHARD}{index:05d}-of-{num_shards:05d}" for index in range(num_shards)]
        return [Input(path=shard, relative=shard) for shard in names]

    def is_splittable(self, item: Input) -> bool:
        return not self.source.streaming

    def split(self, item: Input) -> list[Slice]:
        if self.source.streaming:
            return [Slice(input=item)]
        dataset = _load(self.source, self.base)
        row_bytes = max(1, dataset.data.nbytes // max(1, dataset.num_rows))
        num_rows = max(1, self.split_bytes // row_bytes)
        starts = range(0, max(1, dataset.num_rows), num_rows)
        ends = [*starts[1:], None]
        return [Slice(input=item, start=s, end=e) for s, e in zip(starts, ends, strict=True)]

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        row = piece.start
        batches = iter(_batches(_load(self.source, self.base), piece))
        while True:
            try:
                table = next(batches)
            except StopIteration:
                return
            except (_datasets().exceptions.DatasetsError, pa.ArrowException, ValueError) as exc:
                detail = f"`datasets` cannot read on from row {row}: {exc}"
                yield builder.only_bad([Bad(row, "unreadable", detail)])
                return
            columns = {name: table[name].combine_chunks() for name in _wanted(table, self.source)}
            yield from builder.build(np.arange(row, row + table.num_rows), columns)
            row += table.num_rows

    def fingerprint(self, item: Input) -> str:
        digest = xxhash.xxh3_128(self.source.model_dump_json().encode())
        if not self.source.streaming:
            digest.update(_load(self.source, self.base)._fingerprint.encode())
        else:
            digest.update(_builder_identity(self.source, self.base).encode())
        digest.update(item.relative.encode())
        return str(digest.hexdigest())


def _datasets() -> Any:
    """The library, imported on first use: it takes a second, and most sources do without."""
    import datasets

    return datasets


def _wanted(table: pa.Table, source: SourceConfig) -> list[str]:
    return [name for name in source.columns if name in table.column_names]


def _batches(dataset: Any, piece: Slice) -> Iterator[pa.Table]:
    _, is_shard, shard = piece.input.relative.rpartition(SHARD)
    if is_shard:
        index, _, num_shards = shard.partition("-of-")
        dataset = dataset.shard(num_shards=int(num_shards), index=int(index), contiguous=True)
    else:
        end = dataset.num_rows if piece.end is None else piece.end
        dataset = dataset.select(range(piece.start, end))
    batches: Iterator[pa.Table] = dataset.with_format("arrow").iter(batch_size=BATCH_ROWS)
    return batches


def _arguments(source: SourceConfig, base: Path) -> dict[str, Any]:
    local = base / str(source.dataset)
    files = [os.path.normpath(base / f) if is_local(f) else f for f in source.data_files]
    return {
        "path": str(local) if local.exists() else source.dataset,
        "name": source.config_name,
        "data_files": files or None,
    }


@lru_cache(maxsize=8)
def _load(source: SourceConfig, base: Path) -> Any:
    """The dataset, once per process: opening takes 0.1 to 1 s, and a slice about a second."""
    datasets = _datasets()
    arguments = _arguments(source, base)
    where = f"source {source.name!r}: dataset {source.dataset!r}"
    try:
        if (base / str(source.dataset) / SAVED).is_file():
            dataset = datasets.load_from_disk(arguments["path"])
            return dataset.to_iterable_dataset() if source.streaming else dataset
        return datasets.load_dataset(**arguments, split=source.split, streaming=source.streaming)
    except (datasets.exceptions.DatasetsError, OSError, ValueError, StopIteration) as exc:
        cause = exc.__cause__ or exc
        raise SourceError(
            f"{where}: split {source.split!r} cannot be loaded ({type(cause).__name__}: {cause}); "
            "want a folder or files relative to the manifest, a builder with data_files, or a "
            "dataset of the hub"
        ) from exc


def _builder_identity(source: SourceConfig, base: Path) -> str:
    """What a streamed dataset is made of: the builder's hash, its files and their etags."""
    arguments = _arguments(source, base)
    if (base / str(source.dataset) / SAVED).is_file():
        return (base / str(source.dataset) / SAVED).read_text(encoding="utf-8")
    builder = _datasets().load_dataset_builder(**arguments)
    files = builder.config.data_files or {}
    origins = {split: getattr(found, "origin_metadata", None) for split, found in files.items()}
    return f"{builder.hash} {builder.config_id} {files} {origins}"
