"""What happens to the documents of one batch: clean, anonymise, filter, sign.

A pure function over a DOCUMENT batch; nothing here reads or writes a file. The order is part of
the contract: what changes text comes before what measures it, and what measures it before what
signs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.protocol import FAILURES, Filter, apply, first_failures
from filters.registry import create
from filters.statistics import TextStatistics
from pipeline.arrow import num_value_bytes
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.ranks import policy_rank
from pipeline.dedup.signature import band_hashes, sign
from pipeline.keys import document_keys, hash_values, key_words
from pipeline.manifest import Manifest
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import PiiConfig, anonymise

EMPTY_RULE = "empty"


@dataclass(frozen=True, slots=True)
class Refined:
    """The documents of one batch, each in exactly one place.

    `kept`: the document, `key`, `text_hash`, counts of changes and of PII, every filter's signals
    (`<filter>.<signal>`). `signatures`: a row for each kept one, in the same order. `dropped`: as
    `kept`, signals not reached are null, and rule, value, threshold.
    """

    kept: pa.RecordBatch
    signatures: pa.RecordBatch
    dropped: tuple[pa.RecordBatch, ...]


@dataclass(frozen=True, slots=True)
class Refinery:
    """The configured chain of one source. Build it once per process: filters may hold models."""

    clean: CleanConfig
    pii: PiiConfig
    filters: tuple[tuple[str, Filter], ...]
    dedup: DedupConfig
    priority: int

    def __call__(self, documents: pa.RecordBatch) -> Refined:
        batch = self._stored(documents)
        dropped = []
        empty = pc.equal(num_value_bytes(batch["text"]), 0)
        if pc.any(empty).as_py():
            dropped.append(_with_rule(batch.filter(empty), EMPTY_RULE, 0, 1))
            batch = batch.filter(pc.invert(empty))
        shared = TextStatistics(batch["text"])
        for name, rule in self.filters:
            measured, mask = apply(rule, batch, shared)
            batch = _with_columns(batch, measured, f"{name}.")
            if mask.true_count < len(mask):
                failed = pc.invert(mask)
                reasons = first_failures(rule, name, measured.filter(failed))
                dropped.append(_with_columns(batch.filter(failed), reasons))
                batch, shared = batch.filter(mask), shared.filter(mask)
        return Refined(batch, self._signed(batch), tuple(dropped))

    def _stored(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The documents with the text that is stored, its hash and key, and what was changed."""
        cleaned = clean(documents["text"], self.clean)
        anonymised = anonymise(cleaned.texts, self.pii)
        text_hash = hash_values(anonymised.texts)
        place = documents.schema.get_field_index("text")
        batch = documents.set_column(place, documents.schema.field("text"), anonymised.texts)
        batch = batch.append_column("key", document_keys(batch, text_hash))
        batch = batch.append_column("text_hash", text_hash)
        batch = _with_columns(batch, cleaned.changes, "clean.")
        return _with_columns(batch, anonymised.counts, "pii.")

    def _signed(self, kept: pa.RecordBatch) -> pa.RecordBatch:
        signatures = sign(kept["text"], self.dedup)
        rank_high, rank_low = policy_rank(
            np.full(kept.num_rows, self.priority),
            num_value_bytes(kept["text"]),
            key_words(kept["key"]),
            self.dedup.survivor,
        )
        columns = {"rank_high": rank_high, "rank_low": rank_low, "exact": signatures.exact_hash}
        arrays = [pa.array(column, pa.uint64()) for column in columns.values()]
        if self.dedup.minhash is not None:
            hashes = band_hashes(signatures.minhashes, self.dedup.minhash)
            short = pa.array(signatures.num_shingles == 0)
            flat = pa.array(hashes.reshape(-1), pa.uint64())
            bands = pa.FixedSizeListArray.from_arrays(flat, hashes.shape[1], mask=short)
            return pa.RecordBatch.from_arrays([*arrays, bands], names=[*columns, "bands"])
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def build_refinery(manifest: Manifest, source: str) -> Refinery:
    """The chain of one source of a manifest."""
    config = next(entry for entry in manifest.sources if entry.name == source)
    return Refinery(
        clean=manifest.clean,
        pii=manifest.pii,
        filters=tuple(_named(manifest.filters_of(source))),
        dedup=manifest.dedup,
        priority=config.priority,
    )


def _named(specs: Sequence[Mapping[str, Any]]) -> list[tuple[str, Filter]]:
    """Filters with names that are unique in the chain: a second `length` is `length#2`."""
    named: list[tuple[str, Filter]] = []
    for spec in specs:
        name, rule = create(spec)
        num_before = sum(other.partition("#")[0] == name for other, _ in named)
        named.append((name if not num_before else f"{name}#{num_before + 1}", rule))
    return named


def _with_columns(batch: pa.RecordBatch, more: pa.RecordBatch, prefix: str = "") -> pa.RecordBatch:
    names = [*batch.schema.names, *(prefix + name for name in more.schema.names)]
    return pa.RecordBatch.from_arrays([*batch.columns, *more.columns], names=names)


def _with_rule(batch: pa.RecordBatch, rule: str, value: float, threshold: float) -> pa.RecordBatch:
    num_rows = batch.num_rows
    for column, constant in zip(FAILURES, (rule, value, threshold), strict=True):
        repeated = pa.repeat(pa.scalar(constant, column.type), num_rows)
        batch = batch.append_column(column.name, repeated)
    return batch
