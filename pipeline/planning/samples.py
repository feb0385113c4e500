"""A plan whose sources are the sample: everything else in a run is as it will be."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from pipeline.manifest import Manifest
from pipeline.plan import Plan
from pipeline.planning.drawing import Stratum
from pipeline.sources.protocol import Input, Reader, Slice
from pipeline.sources.schema import QUARANTINE, Rows

NO_BAD_ROWS = pa.RecordBatch.from_pylist([], schema=QUARANTINE)


@dataclass(frozen=True, slots=True)
class SampleReader:
    """The strata of one source; each is an input, and a work item of its own."""

    strata: tuple[Stratum, ...]
    max_rows: int | None = None  # of each stratum

    def inputs(self) -> list[Input]:
        return [Input(path=f"sample://{one.name}", relative=one.name) for one in self.strata]

    def is_splittable(self, item: Input) -> bool:
        return True

    def split(self, item: Input) -> list[Slice]:
        return [Slice(input=item)]

    def read(self, piece: Slice) -> Iterator[Rows]:
        (stratum,) = (one for one in self.strata if one.name == piece.input.relative)
        left = self.max_rows
        with pa.memory_map(str(stratum.path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number).slice(0, left)
                yield Rows(batch, NO_BAD_ROWS)
                left = None if left is None else left - batch.num_rows

    def fingerprint(self, item: Input) -> str:
        return str(xxhash.xxh3_128_hexdigest(f"{item.relative} {self.max_rows}".encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan(Plan):
    """A plan that reads the strata instead of its sources' files."""

    strata: tuple[Stratum, ...]
    max_rows: int | None = None

    def reader(self, name: str) -> Reader:
        mine = tuple(one for one in self.strata if one.source == name)
        return SampleReader(mine, self.max_rows)


def sample_plan(
    plan: Plan, strata: tuple[Stratum, ...], out: Path, max_rows: int | None
) -> SamplePlan:
    """The plan of a run over the sample into `out`. It stops at nothing, and adds to no index."""
    return SamplePlan(
        _lenient(plan.manifest, strata), plan.base, out, strata=strata, max_rows=max_rows
    )


def _lenient(manifest: Manifest, strata: tuple[Stratum, ...]) -> Manifest:
    limits = manifest.limits.model_copy(update={"max_quarantined_fraction": 1.0})
    dedup = manifest.dedup.model_copy(update={"index": None})
    drawn = {one.source for one in strata}
    sources = tuple(source for source in manifest.sources if source.name in drawn)
    values = {"limits": limits, "dedup": dedup, "sources": sources}
    return manifest.model_copy(update=values)
