"""`prepare verify`: nothing is left of what was erased.

Every file of rows below the output is looked at, also those of an unfinished run, and the own
segment of the corpus in a deduplication index.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.applying import read_state
from pipeline.erasing.choosing import was_erased
from pipeline.erasing.matching import OF_DOCUMENTS, OF_QUARANTINED, Matcher
from pipeline.erasing.part import erased_pieces
from pipeline.erasing.rerun import check_complete
from pipeline.erasing.segment import own_segment
from pipeline.erasing.spots import Wanted
from pipeline.erasing.staging import FOLDER, is_decided
from pipeline.erasing.tombstones import read_tombstones
from pipeline.errors import PrepareError
from pipeline.explaining.output import open_output
from pipeline.index.segments import DOCUMENTS_NAME
from pipeline.refined import RowReader
from pipeline.shards import find_shards, read_index

FOLDERS = ("refined", "tokens", "dedup", "spool", "shards")
KEYS = ("key", "survivor_key", "doc_key")
HASHES = ("text_hash", "doc_text_hash")
AGAIN = "run `prepare erase` again"


def unended(out: Path) -> Iterator[str]:
    """A sentence where an erasure was killed while its files were moved: nothing fits together."""
    if is_decided(out):
        yield f"{out}: an erasure did not end; {AGAIN}, or `prepare run`"


def undecided(out: Path) -> Iterator[str]:
    """A sentence where an erasure has written files aside that never came into force."""
    if (out / FOLDER).is_dir() and not is_decided(out):
        yield (
            f"{out / FOLDER}: an erasure is going on, or stopped before it took anything out, and "
            f"left these files; {AGAIN}, or `prepare run`, which only removes them"
        )


@dataclass(frozen=True, slots=True)
class Named:
    """Names that nothing may have, of one source or of all."""

    wanted: Wanted
    source: str | None = None


def left_of_erased(
    out: Path, names: Sequence[str] = (), source: str | None = None
) -> Iterator[str]:
    """A sentence for each file that holds something of a tombstone, or has one of these names.

    The names are those that `prepare erase` takes. Raises `UsageError` for an unknown source.
    """
    yield from undecided(out)
    stones = read_tombstones(out)
    try:
        check_complete(out, stones, read_state(out))
    except PrepareError as error:
        yield str(error)
    if not stones.stones and not names:
        return
    paths = [path for folder in FOLDERS for path in sorted((out / folder).rglob("*.arrow"))]
    output = open_output(out)
    output.check_source(source)
    segment = own_segment(output.plan)
    paths += [] if segment is None else [segment.data / DOCUMENTS_NAME]
    named, matcher = Named(Wanted.of(names), source), Matcher.of(output.plan, stones)
    for path in paths:
        yield from _left_in(path, matcher, named)
    if names:
        yield from _in_reports(out, named)
    if stones.stones:
        yield from _learned(out)


def num_erased(out: Path, names: Sequence[str], source: str | None = None) -> int:
    """How many of these names are those of tombstones."""
    output, stones = open_output(out), read_tombstones(out)
    return sum(was_erased(output, name, stones, source) for name in dict.fromkeys(names))


def _left_in(path: Path, matcher: Matcher, named: Named) -> Iterator[str]:
    schema = RowReader(path).schema
    wanted = (*KEYS, *HASHES, "id", "survivor_id", "source", "source_path", "source_row", "raw")
    columns = [name for name in wanted if name in schema.names]
    num_left = num_halves = 0
    num_named: Counter[str] = Counter()
    for batch in RowReader(path, *columns).batches() if columns else ():
        num_left += _num_left(batch, matcher)
        num_named += _num_named(batch, named, matcher) if named.wanted.names else Counter()
    if {"key", "text", "id"} <= set(schema.names):
        for batch in RowReader(path, "key", "text", "id").batches():
            num_halves += _num_halves(batch)
    if num_left:
        yield f"{path}: {num_left:,} rows are of an erased document, or hold its key; {AGAIN}"
    for of, number in num_named.items():
        yield f"{path}: {number:,} rows{of} have a name of --ids; `prepare erase` takes them out"
    if num_halves:
        yield f"{path}: {num_halves:,} rows without a key still have a text or an id; {AGAIN}"


def _num_left(batch: pa.RecordBatch, matcher: Matcher) -> int:
    names, found = set(batch.schema.names), 0
    if names >= set(OF_QUARANTINED):
        return sum(int(matcher.quarantined(own, s).sum()) for s, own in _by_source(batch))
    if names >= {*OF_DOCUMENTS, "source"}:
        return sum(int(matcher.documents(own, s).sum()) for s, own in _by_source(batch))
    for values in _flat(batch, KEYS):
        found += pc.sum(pc.is_in(values, value_set=matcher.stones.keys)).as_py() or 0
    for values in _flat(batch, HASHES):
        found += pc.sum(pc.is_in(values, value_set=matcher.stones.text_hashes)).as_py() or 0
    return found


def _flat(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[pa.Array]:
    """Those of these columns that a batch has, lists as their values."""
    for name in set(names).intersection(batch.schema.names):
        yield batch[name].flatten() if pa.types.is_list(batch[name].type) else batch[name]


def _by_source(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    for source in batch["source"].unique().to_pylist():
        yield source, batch.filter(pc.equal(batch["source"], source))


def _num_named(batch: pa.RecordBatch, named: Named, matcher: Matcher) -> Counter[str]:
    """Rows that have a name which is looked for, as their own or as that of a survivor."""
    found: Counter[str] = Counter()
    if "source_path" in batch.schema.names:
        for source, own in _by_source(batch):
            if named.source in (None, source):
                found[f" of source {source}"] += _num_called(own, named, matcher.fields.get(source))
    elif named.source is None:  # what has no column of it, or that of another corpus
        for values in _flat(batch, KEYS):
            found[""] += sum(1 for _ in named.wanted.keys.rows_of(values))
        for values in _flat(batch, ("id", "survivor_id")):
            found[""] += pc.sum(pc.is_in(values, value_set=named.wanted.ids)).as_py() or 0
    return +found


def _num_called(batch: pa.RecordBatch, named: Named, field: str | None) -> int:
    rows = {row for row, _ in named.wanted.rows_of(batch, field)}
    if "key" in batch.schema.names:
        rows |= {row for row, _ in named.wanted.keys.rows_of(batch["key"])}
    return len(rows)


def _num_halves(batch: pa.RecordBatch) -> int:
    """Rows that erasure has taken the key of, and not the rest."""
    rest = pc.or_(pc.not_equal(batch["text"], ""), pc.is_valid(batch["id"]))
    return int(pc.sum(pc.and_(pc.is_null(batch["key"]), rest)).as_py() or 0)


def _in_reports(out: Path, named: Named) -> Iterator[str]:
    """Names that stand as values in the reports."""
    for report in ("pii.json", "decontamination.json"):
        path = out / report
        if path.is_file():
            values = json.loads(path.read_text(encoding="utf-8"))
            for name in dict.fromkeys(_names_in(values, named)):
                yield f"{path}: names {name}; {AGAIN}"


def _names_in(value: Any, named: Named) -> Iterator[str]:
    """The ids of documents, of which reports tell the source, too."""
    if isinstance(value, dict):
        name, source = value.get("id"), value.get("source")
        if name in named.wanted.names and source and named.source in (None, source):
            yield name
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from _names_in(each, named)


def _learned(out: Path) -> Iterator[str]:
    """Pieces without a key whose tokens are no padding, or which would be learned."""
    index = read_index(out)
    for shard in index.shards:
        path, wrong = find_shards(out) / shard.path, 0
        for _, tokens, learned in erased_pieces(path):
            wrong += bool((tokens != index.tokenizer.pad_id).any() or learned.any())
        if wrong:
            yield f"{path}: {wrong:,} erased pieces still have tokens, or are learned; {AGAIN}"
