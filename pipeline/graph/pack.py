"""`tokenise` and `pack` for one work item: read it, write its files, commit its record.

Tokenise reads one refined file, leaves out what deduplication removed, splits off validation
documents and writes token files. Pack reads spans of token files and writes one part of the shards.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow import num_value_bytes
from pipeline.errors import PrepareError
from pipeline.files import arrow_writer
from pipeline.ledger import check_item, pack_imbalance, tokenise_imbalance
from pipeline.plan import Plan
from pipeline.records import NOTHING, MadeOf, Record
from pipeline.refined import RowReader
from pipeline.removals import Removals, read_removals
from pipeline.segments import COLUMN as SEGMENTS
from pipeline.shards import SPLITS, TokenizerIdentity, token_type
from pipeline.splits import validation_mask
from pipeline.tokens.chat import template_digest
from pipeline.tokens.parts import pack_part
from pipeline.tokens.segments import SegmentTokenizer
from pipeline.tokens.token_file import Span, span_lengths, token_batch, tokens_schema
from pipeline.tokens.tokenize import Tokenizer


@dataclass(frozen=True, slots=True)
class TokeniseItem:
    """One refined file and the rows `first:last` of the removal table that are its own."""

    source: str
    kept: str  # relative to the output directory
    removals: str
    first: int
    last: int
    fingerprint: str
    num_kept: int = 0  # documents of the refined file, as its record says
    made_of: MadeOf = NOTHING


class Documents(NamedTuple):
    """A `Span` whose paths are relative to the output directory."""

    path: str
    first: int
    last: int
    order: str | None = None

    def below(self, out: Path) -> Span:
        order = None if self.order is None else out / self.order
        return Span(out / self.path, self.first, self.last, order)


@dataclass(frozen=True, slots=True)
class PackItem:
    """One part of the shards: documents of token files, in order."""

    source: str
    split: str
    stratum: str | None
    path: str  # of the part, relative to the output directory
    documents: tuple[Documents, ...]
    fingerprint: str
    made_of: MadeOf = NOTHING


def token_paths(out: Path, item: TokeniseItem) -> dict[str, Path]:
    """The token file of each split."""
    folder = out / "tokens" / item.source
    return {split: folder / f"{item.fingerprint}.{split}.arrow" for split in SPLITS}


def tokenise_item(item: TokeniseItem, plan: Plan, identity: TokenizerIdentity) -> Record:
    """Tokenise the surviving documents of one refined file."""
    started = time.monotonic()
    segmented = plan.source(item.source).is_segmented
    tokenizer = _tokenizer(plan, identity, segmented=segmented)
    removals = read_removals(plan.out, item.removals, item.first, item.last)
    fraction = plan.source(item.source).validation_fraction
    paths = token_paths(plan.out, item)
    counts: Counter[str] = Counter(num_documents=0, num_bytes=0, num_tokens=0, num_fallbacks=0)
    schema = tokens_schema(token_type(identity.num_ids), learned=segmented)
    with (
        arrow_writer(paths["train"], schema) as train,
        arrow_writer(paths["validation"], schema) as validation,
    ):
        for batch in surviving(plan.out / item.kept, removals):
            held_out = validation_mask(batch["text_hash"], fraction)
            for writer, mask in ((train, ~held_out), (validation, held_out)):
                if not mask.any():
                    continue
                part = batch if mask.all() else batch.filter(pa.array(mask))
                tokens = (
                    tokenizer.encode(part["text"], part[SEGMENTS])
                    if isinstance(tokenizer, SegmentTokenizer)
                    else tokenizer.encode(part["text"], part["text_hash"])
                )
                num_bytes = num_value_bytes(part["text"])
                writer.write_batch(token_batch(tokens, part["key"], part["text_hash"], num_bytes))
                counts["num_documents"] += part.num_rows
                counts["num_bytes"] += int(num_bytes.sum())
                counts["num_tokens"] += len(tokens.values)
                counts["num_fallbacks"] += tokens.num_fallback + tokens.num_mismatched
    seconds = time.monotonic() - started
    values = {**counts, "removed": removals.num_by_rule()}
    check_item(tokenise_imbalance(values, item.num_kept), item.kept)
    records = plan.records("tokenise")
    return records.commit(item.fingerprint, paths, values, seconds, item.made_of)


def surviving(kept: Path, removals: Removals) -> Iterator[pa.RecordBatch]:
    """Batches of a refined file without the removed rows, each checked by key and text hash.

    A removal by position alone removes the wrong document as soon as anything upstream shifts.
    """
    first = 0
    for batch in RowReader(kept).batches():
        low, high = np.searchsorted(removals.rows, [first, first + batch.num_rows])
        rows = pa.array(removals.rows[low:high] - first)
        found = pc.and_(
            pc.equal(batch["key"].take(rows), removals.keys[low:high]),
            pc.equal(batch["text_hash"].take(rows), removals.text_hashes[low:high]),
        )
        is_erased = pc.and_(removals.keys[low:high].is_null(), batch["key"].take(rows).is_null())
        found = pc.or_(pc.fill_null(found, False), is_erased)
        if found.true_count < len(found):
            raise PrepareError(
                f"{kept}: {len(found) - found.true_count} removals name rows that hold another "
                "document; delete the output's dedup/ folder and run again"
            )
        first += batch.num_rows
        keep = np.ones(batch.num_rows, bool)
        keep[rows.to_numpy()] = False
        keep &= batch["key"].is_valid().to_numpy(zero_copy_only=False)  # the others are erased
        if keep.all():
            yield batch  # a filter would copy the texts
        elif keep.any():
            yield batch.filter(pa.array(keep))


def pack_item(item: PackItem, plan: Plan, identity: TokenizerIdentity) -> Record:
    """Pack the documents of some spans of token files into one part."""
    started = time.monotonic()
    path = plan.out / item.path
    spans = [documents.below(plan.out) for documents in item.documents]
    num_tokens = sum(int(span_lengths(span).sum()) for span in spans)
    part = pack_part(spans, plan.manifest.pack, identity, path)
    counts = {**part, "num_tokens_read": num_tokens}
    check_item(pack_imbalance(counts), item.path)
    seconds = time.monotonic() - started
    records = plan.records("pack")
    return records.commit(item.fingerprint, {"part": path}, counts, seconds, item.made_of)


_tokenizers: dict[tuple[str, str, bool], Tokenizer | SegmentTokenizer] = {}


def _tokenizer(
    plan: Plan, identity: TokenizerIdentity, *, segmented: bool
) -> Tokenizer | SegmentTokenizer:
    """One tokenizer of each kind per process: loading takes 0.5 s."""
    folder, config = plan.out / identity.path, plan.manifest.tokenizer
    settings = identity.fingerprint + config.model_dump_json()
    if segmented:
        settings += template_digest(folder)
    key = (str(plan.out), settings, segmented)
    if key not in _tokenizers:
        kind = SegmentTokenizer if segmented else Tokenizer
        _tokenizers[key] = kind(folder, identity, config)
    return _tokenizers[key]
