"""What happens to the documents of one batch: clean, anonymise, edit, decontaminate, filter, sign.

A pure function over a DOCUMENT batch; nothing here reads or writes a file. The order is part of
the contract: what changes text comes before what measures it, and what measures it before what
signs it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import Chain
from filters.protocol import FAILURES
from pipeline.arrow import num_value_bytes
from pipeline.dates import date_seconds, parse_dates
from pipeline.decontamination.match import Decontaminator, losses
from pipeline.decontamination.sets import decontaminator_of
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.policy import NamedRule, SignalRule, rule_name
from pipeline.dedup.ranks import policy_rank
from pipeline.dedup.signature import band_hashes, sign
from pipeline.edits.apply import TextEdits
from pipeline.keys import document_keys, hash_values, key_words
from pipeline.plan import Plan
from pipeline.sources.schema import DOCUMENT
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import PiiConfig, anonymise

EMPTY_RULE = "empty"
ITEM_ROW = "item_row"
DATE = "date"


@dataclass(frozen=True, slots=True)
class Refined:
    """The documents of one batch, each in exactly one place, in the order they were read.

    `kept`: the document, `key`, `text_hash`, `item_row` (int32, its number in its work item),
    `date` where the source has a `date_field` (null where that is no date), counts of changes and
    of PII, every filter's signals (`<filter>.<signal>`). `signatures`: a row for each kept one, in
    the same order: its rank, the hashes of its text and bands, and its minhashes, if asked for.
    `dropped`: as `kept`, signals of expensive filters that were not reached are null, and rule,
    value, threshold.
    """

    kept: pa.RecordBatch
    signatures: pa.RecordBatch
    dropped: pa.RecordBatch


class Anonymised(NamedTuple):
    """Documents with the texts before edits, and counts of what was done to them."""

    documents: pa.RecordBatch  # DOCUMENT
    changes: pa.RecordBatch
    pii: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Refinery:
    """All that is done to the documents of one source. Filters load their models once a process."""

    clean: CleanConfig
    pii: PiiConfig
    chain: Chain
    dedup: DedupConfig
    priority: int
    date_field: str | None = None
    decontaminator: Decontaminator | None = None
    edits: TextEdits | None = None

    def __call__(self, documents: pa.RecordBatch, first_row: int = 0) -> Refined:
        """Refine DOCUMENT rows; `first_row` is the number of the first one in its work item."""
        return self.decide(self.stored(documents, first_row))

    def decide(self, stored: pa.RecordBatch, known: pa.RecordBatch | None = None) -> Refined:
        """Filter and sign documents as they are stored; `known` as `Chain.decide` takes it."""
        lost = self._lost(stored)
        stays = pc.is_null(lost["rule"])
        if stays.false_count:
            known = None if known is None else known.filter(stays)
            some = self.decide(stored.filter(stays), known)
            goes = pc.invert(stays)
            return _with_lost(some, stored.filter(goes), lost.filter(goes))
        signals, failures = self.chain.decide(stored, known)
        mask = pc.is_null(failures["rule"])
        measured = _with_columns(stored, signals)
        dropped = _with_columns(measured, failures).filter(pc.invert(mask))
        kept = measured.filter(mask)
        return Refined(kept, self._signed(kept), dropped)

    def _lost(self, stored: pa.RecordBatch) -> pa.RecordBatch:
        """Schema FAILURES: why documents go before a filter sees them; the rule is null if not."""
        sets = self.decontaminator.sets if self.decontaminator else ()
        lost = losses(stored, sets)
        is_empty = pa.array(num_value_bytes(stored["text"]) == 0)
        columns = [
            pc.coalesce(column, pc.if_else(is_empty, reason, pa.scalar(None, column.type)))
            for column, reason in zip(lost.columns, (EMPTY_RULE, 0.0, 1.0), strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=FAILURES)

    def anonymised(self, documents: pa.RecordBatch) -> Anonymised:
        """The documents cleaned and anonymised: what is compared to find what repeats."""
        cleaned = clean(documents["text"], self.clean)
        anonymised = anonymise(cleaned.texts, self.pii)
        return Anonymised(
            _with_texts(documents, anonymised.texts), cleaned.changes, anonymised.counts
        )

    def _without_repeats(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        if self.edits is None:
            return documents
        edited = self.edits(documents["text"], hash_values(documents["text"]))
        return _with_columns(_with_texts(documents, edited.texts), edited.counts)

    def stored(self, documents: pa.RecordBatch, first_row: int = 0) -> pa.RecordBatch:
        """The documents with the text that is stored, its hash and key, and what was changed."""
        before = self.anonymised(documents)
        unique = self._without_repeats(before.documents)
        edited = self._decontaminated(self.chain.edit(unique))
        text_hash = hash_values(edited["text"])
        batch = edited.select(DOCUMENT.names)
        batch = batch.append_column("key", document_keys(batch, text_hash))
        batch = batch.append_column("text_hash", text_hash)
        rows = np.arange(first_row, first_row + batch.num_rows, dtype=np.int32)
        batch = batch.append_column(ITEM_ROW, pa.array(rows))
        if self.date_field is not None:
            dates = pc.map_lookup(batch["meta"], self.date_field, "first")
            batch = batch.append_column(DATE, parse_dates(dates))
        batch = _with_columns(batch, before.changes, "clean.")
        batch = _with_columns(batch, before.pii, "pii.")
        return _with_columns(batch, edited.select(edited.schema.names[len(DOCUMENT) :]))

    def _decontaminated(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """With what the texts share with evaluation sets, which may be cut out of them."""
        if self.decontaminator is None:
            return batch
        texts, columns = self.decontaminator(batch["text"])
        place = batch.schema.get_field_index("text")
        return _with_columns(batch.set_column(place, batch.schema.field("text"), texts), columns)

    def _signed(self, kept: pa.RecordBatch) -> pa.RecordBatch:
        signatures = sign(kept["text"], self.dedup)
        values = {
            rule_name(rule): self._compared(kept, rule)
            for rule in self.dedup.survivor
            if rule != "id"
        }
        rank_high, rank_low = policy_rank(self.dedup.survivor, key_words(kept["key"]), values)
        columns = {"rank_high": rank_high, "rank_low": rank_low, "exact": signatures.exact_hash}
        arrays = [pa.array(column, pa.uint64()) for column in columns.values()]
        names = list(columns)
        if self.dedup.minhash is not None:
            lists = {"bands": band_hashes(signatures.minhashes, self.dedup.minhash)}
            if self.dedup.minhash.signatures:
                lists["minhashes"] = signatures.minhashes
            short = pa.array(signatures.num_shingles == 0)
            for name, rows in lists.items():
                flat = pa.array(rows.reshape(-1))
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, rows.shape[1], mask=short))
                names.append(name)
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _compared(self, kept: pa.RecordBatch, rule: NamedRule | SignalRule) -> np.ndarray:
        """What a rule of the survivor policy compares of each document, as `policy_rank` takes it.

        Seconds and signals are float64, NaN where there is none. `signals.check_survivor` sees to
        it that a signal is there when a run begins; a refinery of other filters may lack it.
        """
        if isinstance(rule, SignalRule):
            if rule.signal not in kept.schema.names:
                return np.full(kept.num_rows, np.nan)
            floats = kept[rule.signal].cast(pa.float64(), safe=False)
            numbers: np.ndarray = floats.to_numpy(zero_copy_only=False)
            return numbers
        if rule == "longest":
            return num_value_bytes(kept["text"])
        if rule == "newest":
            dates = kept[DATE] if DATE in kept.schema.names else None
            return np.full(kept.num_rows, np.nan) if dates is None else date_seconds(dates)
        return np.full(kept.num_rows, self.priority)


def build_refinery(plan: Plan, source: str) -> Refinery:
    """What is done to the documents of one source, as far as the plan knows it.

    Filters are as far fitted as they are. Before it is known what repeats, no text is edited.
    """
    manifest, config = plan.manifest, plan.source(source)
    return Refinery(
        clean=manifest.clean,
        pii=manifest.pii,
        chain=plan.chain_of(source),
        dedup=manifest.dedup,
        priority=config.priority,
        date_field=config.date_field,
        decontaminator=decontaminator_of(plan),
        edits=None
        if manifest.edits is None
        else TextEdits(manifest.edits, source, plan.edits_folder),
    )


def _with_texts(documents: pa.RecordBatch, texts: pa.StringArray) -> pa.RecordBatch:
    place = documents.schema.get_field_index("text")
    return documents.set_column(place, documents.schema.field("text"), texts)


def _with_lost(some: Refined, lost: pa.RecordBatch, reasons: pa.RecordBatch) -> Refined:
    """With documents among the dropped ones of which nothing is measured."""
    for field in some.dropped.schema:
        if field.name not in lost.schema.names:
            reason = field.name in FAILURES.names
            values = reasons[field.name] if reason else pa.nulls(lost.num_rows, field.type)
            lost = lost.append_column(field.name, values)
    dropped = pa.concat_batches([some.dropped, lost.cast(some.dropped.schema)])
    order = pc.sort_indices(dropped[ITEM_ROW])
    return Refined(some.kept, some.signatures, dropped.take(order))


def _with_columns(batch: pa.RecordBatch, more: pa.RecordBatch, prefix: str = "") -> pa.RecordBatch:
    names = [*batch.schema.names, *(prefix + name for name in more.schema.names)]
    return pa.RecordBatch.from_arrays([*batch.columns, *more.columns], names=names)
