"""What happens to the documents of one batch: clean, anonymise, edit, decontaminate, filter, sign.

A pure function over a DOCUMENT batch; nothing here reads or writes a file. The order is part of
the contract: what changes text comes before what measures it, and what measures it before what
signs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

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
from pipeline.segments import COLUMN as SEGMENTS
from pipeline.segments import Segments
from pipeline.sources.config import SourceConfig
from pipeline.sources.schema import DOCUMENT, QUARANTINE, document_schema
from pipeline.text.clean import CleanConfig, Cleaned, clean
from pipeline.text.html.declared import WEB_FORMATS, declared_html
from pipeline.text.html.refused import refused_rows
from pipeline.text.meta import entries, of_entries, with_meta
from pipeline.text.pii.anonymise import Anonymised, anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.edited import anonymise_edited
from pipeline.text.pii.key import check_key, load_key
from pipeline.text.pii.replacements import Replacements
from pipeline.text.pii.stored import COLUMN as PII_SPANS
from pipeline.text.pii.stored import compared, stored, with_tags
from pipeline.text.segmented import anonymise_segments, clean_segments, stored_segments
from pipeline.tokens.chat import read_template
from pipeline.tokens.refused import Refusals
from pipeline.tokens.resolve import FOLDER

EMPTY_RULE = "empty"
ITEM_ROW = "item_row"
DATE = "date"
_NONE_QUARANTINED = pa.RecordBatch.from_pylist([], schema=QUARANTINE)


@dataclass(frozen=True, slots=True)
class Refined:
    """The documents of one batch, each in exactly one place, in the order they were read.

    `kept`: the document, `key`, `text_hash`, `item_row` (int32, its number in its work item),
    `date` where the source has a `date_field` (null where that is no date), `segments` where only a
    part of the texts is to be learned, counts of changes and
    of PII, `pii_spans` where the text holds other things than tags in the place of PII, every
    filter's signals (`<filter>.<signal>`), which are of the text with tags. `signatures`: a row for
    each kept one, in the same order: its rank, the hashes of its text and bands, and its minhashes,
    if asked for.
    `dropped`: as `kept`, signals of expensive filters that were not reached are null, and rule,
    value, threshold. `quarantined`, of QUARANTINE: pages that no parser should see, conversations
    that the chat template refuses; only what is refined from what was read has any.
    """

    kept: pa.RecordBatch
    signatures: pa.RecordBatch
    dropped: pa.RecordBatch
    quarantined: pa.RecordBatch = field(default_factory=lambda: _NONE_QUARANTINED)


class BeforeEdits(NamedTuple):
    """Documents with the texts before edits, with tags, and what was done to them."""

    documents: pa.RecordBatch  # DOCUMENT, with `segments` where the source has them
    changes: pa.RecordBatch
    pii: Anonymised
    quarantined: pa.RecordBatch  # QUARANTINE: what could not be cleaned or said; no documents


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
    replacements: Replacements | None = None  # of PII, where other things than tags are stored
    separator: str | None = None  # between the segments of a text, where the source has them
    refusals: Refusals | None = None  # of conversations, where the source has messages
    is_web: bool = False  # `meta` says of what type a document is, as it was served

    @property
    def read_schema(self) -> pa.Schema:
        """Of the documents of the source."""
        return document_schema(segmented=self.separator is not None)

    def __call__(self, documents: pa.RecordBatch, first_row: int = 0) -> Refined:
        """Refine DOCUMENT rows; `first_row` is the number of the first one in its work item."""
        before = self.anonymised(documents)
        refined = self.decide(self._stored(before, first_row))
        return replace(refined, quarantined=before.quarantined)

    def decide(self, stored: pa.RecordBatch, known: pa.RecordBatch | None = None) -> Refined:
        """Filter and sign documents as they are stored; `known` as `Chain.decide` takes it."""
        lost = self._lost(stored)
        stays = pc.is_null(lost["rule"])
        if stays.false_count:
            known = None if known is None else known.filter(stays)
            some = self.decide(stored.filter(stays), known)
            goes = pc.invert(stays)
            return _with_lost(some, stored.filter(goes), lost.filter(goes))
        signals, failures = self.chain.decide(with_tags(stored), known)
        mask = pc.is_null(failures["rule"])
        measured = _with_columns(stored, signals)
        dropped = _with_columns(measured, failures).filter(pc.invert(mask))
        kept = measured.filter(mask)
        return Refined(kept, self._signed(kept), dropped)

    def _lost(self, stored: pa.RecordBatch) -> pa.RecordBatch:
        """Schema FAILURES: why documents go before a filter sees them; the rule is null if not."""
        sets = self.decontaminator.sets if self.decontaminator else ()
        lost = losses(stored, sets)
        for rule, mask, value, threshold in self._reasons(stored):
            columns = [
                pc.coalesce(column, pc.if_else(mask, reason, pa.scalar(None, column.type)))
                for column, reason in zip(lost.columns, (rule, value, threshold), strict=True)
            ]
            lost = pa.RecordBatch.from_arrays(columns, schema=FAILURES)
        return lost

    def _reasons(self, stored: pa.RecordBatch) -> Iterator[tuple[str, pa.Array, Any, float]]:
        """Rule, which documents go by it, the value of each, and the threshold."""
        for kind in self.pii.active_kinds:
            if self.pii.mode_of(kind) == "drop_document":
                num = stored[f"pii.num_pii_{kind}"]
                yield f"pii.{kind}", pc.greater(num, 0), num.cast(pa.float64()), 0.0
        yield EMPTY_RULE, pa.array(num_value_bytes(stored["text"]) == 0), 0.0, 1.0

    def anonymised(self, documents: pa.RecordBatch) -> BeforeEdits:
        """The documents cleaned and anonymised: what is compared to find what repeats."""
        documents, unsaid = self._sayable(documents)
        cleaned, documents = self._cleaned(documents)
        quarantined = refused_rows(documents, cleaned.problem, cleaned.reason)
        if quarantined.num_rows:
            fine = cleaned.problem.is_null()
            documents, cleaned = documents.filter(fine), cleaned.filter(fine)
        anonymised, documents = self._anonymised(cleaned.texts, documents)
        documents = _with_texts(documents, anonymised.texts)
        meta = with_meta(documents["meta"], cleaned.head)
        documents = self._without_pii(_with_column(documents, "meta", meta))
        quarantined = pa.concat_batches([unsaid, quarantined])
        return BeforeEdits(documents, cleaned.changes, anonymised, quarantined)

    def _sayable(self, documents: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Without the conversations that have no tokens, which are rows of QUARANTINE."""
        if self.refusals is None:
            return documents, _NONE_QUARANTINED
        return self.refusals(documents)

    def _cleaned(self, documents: pa.RecordBatch) -> tuple[Cleaned, pa.RecordBatch]:
        """What cleaning makes of the texts, and the documents with their segments as they are now.

        The texts of the documents are those that were read.
        """
        if SEGMENTS not in documents.schema.names:
            return clean(documents["text"], self.clean, self._declared(documents)), documents
        before = Segments.of(documents[SEGMENTS])
        separator = self.separator or ""
        cleaned, segments = clean_segments(documents["text"], before, self.clean, separator)
        return cleaned, _with_column(documents, SEGMENTS, segments.column())

    def _anonymised(
        self, texts: pa.StringArray, documents: pa.RecordBatch
    ) -> tuple[Anonymised, pa.RecordBatch]:
        """The texts with tags, and the documents with their segments as they are now."""
        if SEGMENTS not in documents.schema.names:
            return anonymise(texts, self.pii, self.replacements), documents
        before = Segments.of(documents[SEGMENTS])
        found, segments = anonymise_segments(texts, before, self.pii, self.replacements)
        return found, _with_column(documents, SEGMENTS, segments.column())

    def _declared(self, documents: pa.RecordBatch) -> np.ndarray | None:
        return declared_html(documents["meta"]) if self.is_web else None

    def _without_pii(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The same with tags in addresses and meta values, in every mode; a date stays one."""
        meta = entries(documents["meta"])
        is_date = np.zeros(len(meta.rows), np.bool_)
        if self.date_field is not None:
            is_date = pc.equal(meta.names, self.date_field).to_numpy(zero_copy_only=False)
        items = self._tagged(pc.if_else(pa.array(is_date), None, meta.items))
        if items is not None:
            items = pc.if_else(pa.array(is_date), meta.items, items)
            maps = of_entries(documents["meta"], meta._replace(items=items))
            documents = _with_column(documents, "meta", maps)
        urls = self._tagged(documents["url"])
        return documents if urls is None else _with_column(documents, "url", urls)

    def _tagged(self, values: pa.StringArray) -> pa.StringArray | None:
        """Values, some of which may be null, with tags; None where all stay as they are."""
        if values.null_count == len(values):
            return None
        anonymised = anonymise(values.drop_null(), self.pii)
        if not any(column.to_numpy().any() for column in anonymised.counts.columns):
            return None
        return pc.replace_with_mask(values, values.is_valid(), anonymised.texts)

    def _without_repeats(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        if self.edits is None:
            return documents
        edited = self.edits(documents["text"], hash_values(documents["text"]))
        return _with_columns(_with_texts(documents, edited.texts), edited.counts)

    def stored(self, documents: pa.RecordBatch, first_row: int = 0) -> pa.RecordBatch:
        """The documents with the text that is stored, its hash and key, and what was changed.

        Those that are quarantined are not among them, and have no number.
        """
        return self._stored(self.anonymised(documents), first_row)

    def _stored(self, before: BeforeEdits, first_row: int) -> pa.RecordBatch:
        unique = self._without_repeats(before.documents)
        edited = self._decontaminated(self.chain.edit(unique))
        batch, spans = edited.select(DOCUMENT.names), None
        pii = anonymise_edited(batch["text"], before.pii, self.pii, self.replacements)
        batch = _with_texts(batch, pii.texts)
        if self.replacements is not None:
            written = stored(pii.texts, pii.tags, self.pii.all_kinds)
            batch, spans = _with_texts(batch, written.texts), written.spans
            if SEGMENTS in edited.schema.names:
                segments = Segments.of(edited[SEGMENTS])
                moved = stored_segments(segments, pii.tags, written)
                edited = _with_column(edited, SEGMENTS, moved.column())
        text_hash = hash_values(batch["text"])
        batch = batch.append_column("key", document_keys(batch, text_hash))
        batch = batch.append_column("text_hash", text_hash)
        rows = np.arange(first_row, first_row + batch.num_rows, dtype=np.int32)
        batch = batch.append_column(ITEM_ROW, pa.array(rows))
        if self.date_field is not None:
            dates = pc.map_lookup(batch["meta"], self.date_field, "first")
            batch = batch.append_column(DATE, parse_dates(dates))
        if spans is not None:
            batch = batch.append_column(PII_SPANS, spans)
        batch = _with_columns(batch, before.changes, "clean.")
        batch = _with_columns(batch, pii.counts, "pii.")
        return _with_columns(batch, edited.select(edited.schema.names[len(DOCUMENT) :]))

    def _decontaminated(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """With what the texts share with evaluation sets, which may be cut out of them."""
        if self.decontaminator is None:
            return batch
        texts, columns = self.decontaminator(batch["text"])
        return _with_columns(_with_texts(batch, texts), columns)

    def _signed(self, kept: pa.RecordBatch) -> pa.RecordBatch:
        signatures = sign(compared(kept), self.dedup)
        values = {
            rule_name(rule): self._compared(kept, rule)
            for rule in self.dedup.survivor
            if rule != "id"
        }
        # Of equal ranks the key decides; with tags, so that a secret does not.
        keys = kept["key"]
        if PII_SPANS in kept.schema.names:
            keys = document_keys(kept, hash_values(compared(kept)))
        rank_high, rank_low = policy_rank(self.dedup.survivor, key_words(keys), values)
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
            return num_value_bytes(compared(kept))
        if rule == "newest":
            dates = kept[DATE] if DATE in kept.schema.names else None
            return np.full(kept.num_rows, np.nan) if dates is None else date_seconds(dates)
        return np.full(kept.num_rows, self.priority)


def build_refinery(plan: Plan, source: str) -> Refinery:
    """What is done to the documents of one source, as far as the plan knows it.

    Filters are as far fitted as they are. Before it is known what repeats, no text is edited.
    """
    manifest, config = plan.manifest, plan.source(source)
    key = load_key(manifest.pii, plan.base)
    if plan.pii_key is not None:
        check_key(key, plan.pii_key)
    return Refinery(
        clean=manifest.clean_of(source),
        pii=manifest.pii,
        chain=plan.chain_of(source),
        dedup=manifest.dedup,
        priority=config.priority,
        date_field=config.date_field,
        is_web=config.format in WEB_FORMATS,
        decontaminator=decontaminator_of(plan),
        edits=None
        if manifest.edits is None
        else TextEdits(manifest.edits, source, plan.edits_folder),
        replacements=None if manifest.pii.stores_tags else Replacements(manifest.pii, key),
        separator=config.separator if config.is_segmented else None,
        refusals=_refusals(plan, config),
    )


def _refusals(plan: Plan, config: SourceConfig) -> Refusals | None:
    """None where nothing is refused: before the output has a tokenizer, only columns are asked."""
    folder = plan.out / FOLDER
    if config.messages_field is None or not folder.is_dir():
        return None
    return Refusals(read_template(folder))


def _with_texts(documents: pa.RecordBatch, texts: pa.StringArray) -> pa.RecordBatch:
    return _with_column(documents, "text", texts)


def _with_column(documents: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    place = documents.schema.get_field_index(name)
    return documents.set_column(place, documents.schema.field(name), values)


def _with_lost(some: Refined, lost: pa.RecordBatch, reasons: pa.RecordBatch) -> Refined:
    """With documents among the dropped ones of which nothing is measured."""
    for column in some.dropped.schema:
        if column.name not in lost.schema.names:
            reason = column.name in FAILURES.names
            values = reasons[column.name] if reason else pa.nulls(lost.num_rows, column.type)
            lost = lost.append_column(column.name, values)
    dropped = pa.concat_batches([some.dropped, lost.cast(some.dropped.schema)])
    order = pc.sort_indices(dropped[ITEM_ROW])
    return Refined(some.kept, some.signatures, dropped.take(order))


def _with_columns(batch: pa.RecordBatch, more: pa.RecordBatch, prefix: str = "") -> pa.RecordBatch:
    names = [*batch.schema.names, *(prefix + name for name in more.schema.names)]
    return pa.RecordBatch.from_arrays([*batch.columns, *more.columns], names=names)
