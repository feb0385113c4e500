"""What happens to the documents of one batch: clean, anonymise, edit, filter, sign.

A pure function over a DOCUMENT batch; nothing here reads or writes a file. The order is part of
the contract: what changes text comes before what measures it, and what measures it before what
signs it.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import Chain
from filters.protocol import FAILURES
from pipeline.arrow import num_value_bytes
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.ranks import policy_rank
from pipeline.dedup.signature import band_hashes, sign
from pipeline.keys import document_keys, hash_values, key_words
from pipeline.plan import Plan
from pipeline.sources.schema import DOCUMENT
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import PiiConfig, anonymise

EMPTY_RULE = "empty"
ITEM_ROW = "item_row"


@dataclass(frozen=True, slots=True)
class Refined:
    """The documents of one batch, each in exactly one place, in the order they were read.

    `kept`: the document, `key`, `text_hash`, `item_row` (int32, its number in its work item),
    counts of changes and of PII, every filter's signals (`<filter>.<signal>`). `signatures`: a row
    for each kept one, in the same order. `dropped`: as `kept`, signals of expensive filters that
    were not reached are null, and rule, value, threshold.
    """

    kept: pa.RecordBatch
    signatures: pa.RecordBatch
    dropped: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Refinery:
    """All that is done to the documents of one source. Filters load their models once a process."""

    clean: CleanConfig
    pii: PiiConfig
    chain: Chain
    dedup: DedupConfig
    priority: int

    def __call__(self, documents: pa.RecordBatch, first_row: int = 0) -> Refined:
        """Refine DOCUMENT rows; `first_row` is the number of the first one in its work item."""
        return self.decide(self.stored(documents, first_row))

    def decide(self, stored: pa.RecordBatch, known: pa.RecordBatch | None = None) -> Refined:
        """Filter and sign documents as they are stored; `known` as `Chain.decide` takes it."""
        empty = pc.equal(num_value_bytes(stored["text"]), 0)
        if pc.any(empty).as_py():
            full = pc.invert(empty)
            known = None if known is None else known.filter(full)
            some = self.decide(stored.filter(full), known)
            return self._with_empty(some, stored.filter(empty))
        signals, failures = self.chain.decide(stored, known)
        mask = pc.is_null(failures["rule"])
        measured = _with_columns(stored, signals)
        dropped = _with_columns(measured, failures).filter(pc.invert(mask))
        kept = measured.filter(mask)
        return Refined(kept, self._signed(kept), dropped)

    def _with_empty(self, some: Refined, empty: pa.RecordBatch) -> Refined:
        """With the documents without text among the dropped ones: nothing is measured of them."""
        reason = dict(zip(FAILURES.names, (EMPTY_RULE, 0.0, 1.0), strict=True))
        for field in some.dropped.schema:
            if field.name not in empty.schema.names:
                value = pa.scalar(reason.get(field.name), field.type)
                empty = empty.append_column(field.name, pa.repeat(value, empty.num_rows))
        dropped = pa.concat_batches([some.dropped, empty.cast(some.dropped.schema)])
        order = pc.sort_indices(dropped[ITEM_ROW])
        return Refined(some.kept, some.signatures, dropped.take(order))

    def stored(self, documents: pa.RecordBatch, first_row: int = 0) -> pa.RecordBatch:
        """The documents with the text that is stored, its hash and key, and what was changed."""
        cleaned = clean(documents["text"], self.clean)
        anonymised = anonymise(cleaned.texts, self.pii)
        place = documents.schema.get_field_index("text")
        batch = documents.set_column(place, documents.schema.field("text"), anonymised.texts)
        edited = self.chain.edit(batch)
        text_hash = hash_values(edited["text"])
        batch = edited.select(DOCUMENT.names)
        batch = batch.append_column("key", document_keys(batch, text_hash))
        batch = batch.append_column("text_hash", text_hash)
        rows = np.arange(first_row, first_row + batch.num_rows, dtype=np.int32)
        batch = batch.append_column(ITEM_ROW, pa.array(rows))
        batch = _with_columns(batch, cleaned.changes, "clean.")
        batch = _with_columns(batch, anonymised.counts, "pii.")
        return _with_columns(batch, edited.select(edited.schema.names[len(DOCUMENT) :]))

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


def build_refinery(plan: Plan, source: str) -> Refinery:
    """What is done to the documents of one source, by its filters as far as they are fitted."""
    manifest = plan.manifest
    return Refinery(
        clean=manifest.clean,
        pii=manifest.pii,
        chain=plan.chain_of(source),
        dedup=manifest.dedup,
        priority=plan.source(source).priority,
    )


def _with_columns(batch: pa.RecordBatch, more: pa.RecordBatch, prefix: str = "") -> pa.RecordBatch:
    names = [*batch.schema.names, *(prefix + name for name in more.schema.names)]
    return pa.RecordBatch.from_arrays([*batch.columns, *more.columns], names=names)
