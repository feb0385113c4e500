"""What all filters of a manifest measure of some documents, whether others drop them or not.

Documents are cleaned, anonymised and edited as in `refine`; then every filter measures every one of
them, the expensive filters too. What each filter would drop alone, under any thresholds, follows
from the signals. Documents without text, which no filter sees, are only counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import Chain, needs_fit
from filters.protocol import Filter, checked_keep, checked_measure, first_failures
from filters.registry import NAME_KEY, create
from filters.statistics import TextStatistics
from pipeline.arrow import num_value_bytes
from pipeline.manifest import SOURCES_KEY, Manifest, plugin_spec
from pipeline.plan import Plan
from pipeline.refining import Refinery, build_refinery
from pipeline.text.pii.stored import with_tags

BATCH_ROWS = 1000
HEAD_CHARS = 120  # of a text, for a person

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Changes = Mapping[int, Mapping[str, Any]]  # parameters by the place of the filter in the manifest


@dataclass(frozen=True, slots=True)
class Part:
    """What one filter measured of the documents of one source."""

    place: int  # of the filter in the manifest
    spec: dict[str, Any]  # with the thresholds that were fitted on these documents
    base: Path  # that its paths are relative to
    rows: npt.NDArray[np.int64]  # of the documents
    signals: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Measurement:
    """Documents and what every filter measured of them.

    `documents`: `id` string, `source` string, `num_bytes` int64 of the stored text, `head` string,
    its first 120 characters in one line. `names`: of the filters, by their place in the manifest; a
    second `length` is `length#2`.
    """

    names: tuple[str, ...]
    documents: pa.RecordBatch
    parts: tuple[Part, ...]
    num_empty: int

    @property
    def num_bytes(self) -> npt.NDArray[np.int64]:
        sizes: npt.NDArray[np.int64] = self.documents["num_bytes"].to_numpy()
        return sizes

    def scope(self, place: int) -> Mask:
        """Documents of the sources that the filter is for."""
        mask = np.zeros(self.documents.num_rows, np.bool_)
        for part in self._parts(place):
            mask[part.rows] = True
        return mask

    def values(self, place: int, signal: str) -> Numbers:
        """A signal of all documents; NaN where it is no finite number or was not measured."""
        values = np.full(self.documents.num_rows, np.nan)
        for part in self._parts(place):
            column = part.signals[signal].cast(pa.float64(), safe=False)
            values[part.rows] = column.to_numpy(zero_copy_only=False)
        return np.where(np.isfinite(values), values, np.nan)

    def signals(self, place: int) -> dict[str, pa.DataType]:
        """The numeric signals of a filter; none where no document is of its sources."""
        for part in self._parts(place):
            return {
                field.name: field.type
                for field in part.signals.schema
                if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
            }
        return {}

    def kept(self, changes: Changes | None = None) -> Mask:
        """What each filter alone keeps, (filters, documents); `changes` are other thresholds."""
        mask = np.ones((len(self.names), self.documents.num_rows), np.bool_)
        for part in self.parts:
            kept = checked_keep(self._rule(part, changes), part.signals)
            mask[part.place, part.rows] = kept.to_numpy(zero_copy_only=False)
        return mask

    def kept_by_all(self, changes: Changes | None = None) -> Mask:
        """What all filters together keep."""
        mask: Mask = np.logical_and.reduce(self.kept(changes))
        return mask

    def rules(self, place: int, changes: Changes | None = None) -> list[tuple[str, Mask]]:
        """The documents that each rule of a filter drops, those that it drops first, by name."""
        found: dict[str, Mask] = {}
        for part in self._parts(place):
            failed = first_failures(self._rule(part, changes), self.names[place], part.signals)[
                "rule"
            ]
            for rule in sorted(pc.drop_null(pc.unique(failed)).to_pylist()):
                mask = found.setdefault(rule, np.zeros(self.documents.num_rows, np.bool_))
                hit = pc.fill_null(pc.equal(failed, rule), False)
                mask[part.rows] |= hit.to_numpy(zero_copy_only=False)
        return sorted(found.items())

    def _parts(self, place: int) -> list[Part]:
        return [part for part in self.parts if part.place == place]

    @staticmethod
    def _rule(part: Part, changes: Changes | None) -> Filter:
        return create({**part.spec, **(changes or {}).get(part.place, {})}, part.base)[1]


def measure(plan: Plan, batches: Iterable[tuple[str, pa.RecordBatch]]) -> Measurement:
    """Measure DOCUMENT batches, each of the source that it is named with.

    Raises as filters do.
    """
    manifest = plan.manifest
    documents, parts = [], []
    num_rows = num_empty = 0
    for source, batch in batches:
        refinery = build_refinery(plan, source)
        refinery.chain.load()
        heads, signals, empty = _measured(refinery, batch)
        num_empty += empty
        rows = np.arange(num_rows, num_rows + heads.num_rows)
        num_rows += heads.num_rows
        documents.append(heads)
        if heads.num_rows:
            places = _places(manifest, source)
            specs = _fitted([plugin_spec(manifest.filters[n]) for n in places], plan.base, signals)
            parts += [
                Part(place, spec, plan.base, rows, measured)
                for place, spec, measured in zip(places, specs, signals, strict=True)
            ]
    return Measurement(names(manifest), pa.concat_batches(documents), tuple(parts), num_empty)


def names(manifest: Manifest) -> tuple[str, ...]:
    """What the filters of a manifest are called here, in order."""
    seen: Counter[str] = Counter()
    found = []
    for spec in manifest.filters:
        name = spec[NAME_KEY]
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(found)


def _places(manifest: Manifest, source: str) -> list[int]:
    """The filters of a source, by their places in the manifest."""
    return [
        place
        for place, spec in enumerate(manifest.filters)
        if spec.get(SOURCES_KEY) is None or source in spec[SOURCES_KEY]
    ]


def _measured(
    refinery: Refinery, documents: pa.RecordBatch
) -> tuple[pa.RecordBatch, list[pa.RecordBatch], int]:
    """Of the documents with text: who they are, each filter's signals; how many have none."""
    heads, signals, num_empty = [], [], 0
    for start in range(0, max(documents.num_rows, 1), BATCH_ROWS):
        stored = refinery.stored(documents.slice(start, BATCH_ROWS), start)
        full = pc.greater(pa.array(num_value_bytes(stored["text"])), 0)
        num_empty += len(full) - (full.true_count or 0)
        stored = with_tags(stored.filter(full))
        heads.append(_heads(stored))
        if stored.num_rows:
            signals.append(_signals(refinery.chain, stored))
    joined = [pa.concat_batches(column) for column in zip(*signals, strict=True)]
    return pa.concat_batches(heads), joined, num_empty


def _signals(chain: Chain, stored: pa.RecordBatch) -> list[pa.RecordBatch]:
    """What each filter measures of all rows; it sees the signals of those before it."""
    shared = TextStatistics(stored["text"])
    found = []
    for name, rule in chain.filters:
        measured = checked_measure(rule, stored, shared)
        for signal, column in zip(measured.schema.names, measured.columns, strict=True):
            stored = stored.append_column(f"{name}.{signal}", column)
        found.append(measured)
    return found


def _heads(stored: pa.RecordBatch) -> pa.RecordBatch:
    line = pc.replace_substring_regex(
        pc.utf8_slice_codeunits(stored["text"], 0, HEAD_CHARS), r"\s+", " "
    )
    columns = {
        "id": stored["id"],
        "source": stored["source"],
        "num_bytes": pa.array(num_value_bytes(stored["text"]), pa.int64()),
        "head": line,
    }
    return pa.RecordBatch.from_pydict(columns)


def _fitted(
    specs: Sequence[dict[str, Any]], base: Path, signals: Sequence[pa.RecordBatch]
) -> list[dict[str, Any]]:
    """The filters with what they find from these documents, where they need a fit.

    As in a run, each is fitted on the documents that the filters before it keep.
    """
    kept: Any = pa.repeat(True, signals[0].num_rows) if signals else None
    found = []
    for spec, measured in zip(specs, signals, strict=True):
        rule: Any = create(spec, base)[1]
        reached = measured.filter(kept)
        fitted = dict(spec)
        if needs_fit(rule) and reached.num_rows:
            fitted |= _plain(rule.fit(reached))
            rule = create(fitted, base)[1]
        kept = pc.and_(kept, checked_keep(rule, measured))
        found.append(fitted)
    return found


def _plain(fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Fitted parameters as plain mappings and numbers."""
    return {key: dict(v) if isinstance(v, Mapping) else v for key, v in fitted.items()}
