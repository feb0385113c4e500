"""Finding documents of a finished output by what a person calls them.

That is the id that the source gave, or the file and row that it was read from (`<path>#<row>`,
which is all that a quarantined row has), or the key in hex digits, of which the first 8 are enough.
Column by column: no text is touched.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.explaining.output import Item, Output
from pipeline.refined import RowReader

DOCUMENTS = ("kept", "dropped")
KINDS = (*DOCUMENTS, "quarantined")
KEY_DIGITS = range(8, 33)
MAX_SUGGESTIONS = 5
MAX_COMPARED = 20_000  # ids that are compared with an unknown one letter by letter
MAX_QUARANTINED = 3  # of which the names are told

_KEY = re.compile(r"[0-9a-fA-F]+")


class Place(NamedTuple):
    """A row of one refined file."""

    item: Item
    kind: str  # kept, dropped or quarantined
    row: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """What may help where nothing is found."""

    close: tuple[str, ...]  # ids like the one asked for
    sources: tuple[tuple[str, int, str | None], ...]  # of each: documents, the first one's id
    quarantined: tuple[int, tuple[str, ...]]  # rows, names of the first


@dataclass(frozen=True, slots=True)
class Found:
    """The rows that a name is of, in the order they were read."""

    places: tuple[Place, ...]
    by_key: bool  # so that more than one means that the digits are too few


def find(output: Output, name: str, source: str | None = None) -> Found:
    """Everything called `name`: by id and place, else by key.

    Several documents may have one id. Raises `UsageError` for an unknown source.
    """
    items = list(output.items_of(source))
    found = _ordered([*_by_id(items, name), *_by_place(items, name)])
    if not found and _KEY.fullmatch(name) and len(name) in KEY_DIGITS:
        return Found(_ordered(_by_key(items, name.lower())), True)
    return Found(found, False)


def _ordered(found: Iterable[Place]) -> tuple[Place, ...]:
    """Each once."""
    places = {(place.item.number, KINDS.index(place.kind), place.row): place for place in found}
    return tuple(places[number] for number in sorted(places))


def find_keys(
    output: Output, keys: Iterable[bytes], source: str | None = None
) -> dict[bytes, Place]:
    """The kept documents with these whole keys, in one pass; one that is not there is left out.

    Raises `UsageError` for an unknown source.
    """
    wanted = set(keys)
    first_words = np.frombuffer(b"".join(wanted), np.uint64)[::2]
    found = {}
    for item in output.items_of(source):
        first = 0
        for batch in RowReader(item.paths["kept"], "key").batches() if wanted else ():
            words = _key_words(batch["key"])
            is_there = batch["key"].is_valid().to_numpy(zero_copy_only=False)  # else: erased
            # One word of two finds few rows; which of them it is, the whole key says.
            for row in np.flatnonzero(np.isin(words[:, 0], first_words) & is_there).tolist():
                if (key := words[row].tobytes()) in wanted:
                    found[key] = Place(item, "kept", first + row)
            first += batch.num_rows
    return found


def suggest(output: Output, name: str, source: str | None = None) -> Unknown:
    """Ids like `name`, and what ids there are."""
    items = list(output.items_of(source))
    num_quarantined = sum(item.num_left("quarantined") for item in items)
    return Unknown(
        _close_ids(items, name),
        tuple(_an_id_of(items, each) for each in output.sources if source in (None, each)),
        (num_quarantined, tuple(_quarantined_names(items))),
    )


def column_names(place: Place) -> list[str]:
    """The columns of the file that a row stands in."""
    return list(RowReader(place.item.paths[place.kind]).schema.names)


def row_values(place: Place, columns: Sequence[str]) -> pa.RecordBatch:
    """Some columns of one row."""
    reader = RowReader(place.item.paths[place.kind], *columns)
    rows = np.array([place.row])
    return pa.RecordBatch.from_arrays([reader.take(rows, c) for c in columns], names=list(columns))


def _by_id(items: Sequence[Item], name: str) -> Iterator[Place]:
    if _is_text(name):
        wanted = pa.scalar(name)
        yield from _scan(items, DOCUMENTS, ("id",), lambda batch: pc.equal(batch["id"], wanted))


def _by_place(items: Sequence[Item], name: str) -> Iterator[Place]:
    """`<path>#<row>`: the name of a quarantined row, and of any document besides its id."""
    path, _, row = name.rpartition("#")
    if not path or not re.fullmatch(r"\d{1,18}", row) or not _is_text(path):
        return

    def is_there(batch: pa.RecordBatch) -> pa.BooleanArray:
        same_row = pc.equal(batch["source_row"], int(row))
        return pc.and_(same_row, pc.equal(batch["source_path"], path))

    yield from _scan(items, KINDS, ("source_path", "source_row"), is_there)


def _by_key(items: Sequence[Item], digits: str) -> Iterator[Place]:
    whole = bytes.fromhex(digits[: len(digits) // 2 * 2])
    half = int(digits[-1], 16) if len(digits) % 2 else None

    def begins(batch: pa.RecordBatch) -> pa.BooleanArray:
        raw = _key_words(batch["key"]).view(np.uint8)
        mask = (raw[:, : len(whole)] == np.frombuffer(whole, np.uint8)).all(axis=1)
        if half is not None:
            mask &= raw[:, len(whole)] >> 4 == half
        return pc.and_(pa.array(mask), batch["key"].is_valid())  # null: erased, zeros under it

    yield from _scan(items, DOCUMENTS, ("key",), begins)


def _key_words(keys: pa.FixedSizeBinaryArray) -> np.ndarray:
    """A view (n, 2) uint64 of the bytes as they lie: for comparing, not for sorting."""
    raw = np.frombuffer(keys.buffers()[1], np.uint64).reshape(-1, 2)
    return raw[keys.offset : keys.offset + len(keys)]


def _scan(
    items: Sequence[Item],
    kinds: Sequence[str],
    columns: Sequence[str],
    mask: Callable[[pa.RecordBatch], pa.BooleanArray],
) -> Iterator[Place]:
    """The rows of which a mask of some columns is true."""
    for item in items:
        for kind in kinds:
            if not item.num_documents[kind]:
                continue
            first = 0
            for batch in RowReader(item.paths[kind], *columns).batches():
                hits = pc.indices_nonzero(pc.fill_null(mask(batch), False))
                yield from (Place(item, kind, first + row) for row in hits.to_pylist())
                first += batch.num_rows


def _ids(items: Sequence[Item]) -> Iterator[pa.StringArray]:
    for item in items:
        for kind in DOCUMENTS:
            if item.num_documents[kind]:
                for batch in RowReader(item.paths[kind], "id").batches():
                    yield pc.drop_null(batch["id"])


def _close_ids(items: Sequence[Item], name: str) -> tuple[str, ...]:
    """Ids like one: in other letters, with it inside, or with few other letters."""
    if not _is_text(name) or not name:
        return ()
    inside: dict[str, None] = {}
    alike: dict[str, None] = {}
    head = name[: max(1, len(name) // 2)]
    for ids in _ids(items):
        if len(inside) < MAX_SUGGESTIONS:
            hits = ids.filter(pc.match_substring(ids, name, ignore_case=True))
            inside |= dict.fromkeys(hits.slice(0, MAX_SUGGESTIONS).to_pylist())
        if len(alike) < MAX_COMPARED:
            hits = ids.filter(pc.starts_with(ids, head, ignore_case=True))
            alike |= dict.fromkeys(hits.slice(0, MAX_COMPARED - len(alike)).to_pylist())
    near = difflib.get_close_matches(name, alike, n=MAX_SUGGESTIONS, cutoff=0.5)
    return tuple(dict.fromkeys([*inside, *near]))[:MAX_SUGGESTIONS]


def _an_id_of(items: Sequence[Item], source: str) -> tuple[str, int, str | None]:
    """A source, its documents, and the id of the first of them."""
    own = [item for item in items if item.source == source]
    num_documents = sum(item.num_left(kind) for item in own for kind in DOCUMENTS)
    first = next((ids[0].as_py() for ids in _ids(own) if len(ids)), None)
    return source, num_documents, first


def _quarantined_names(items: Sequence[Item]) -> Iterator[str]:
    left = MAX_QUARANTINED
    for item in items:
        if not item.num_left("quarantined") or not left:
            continue
        reader = RowReader(item.paths["quarantined"], "source_path", "source_row")
        for batch in reader.batches():
            is_left = pc.greater_equal(batch["source_row"], 0)  # the others were erased
            for row in batch.filter(is_left).slice(0, left).to_pylist():
                yield f"{row['source_path']}#{row['source_row']}"
                left -= 1


def _is_text(name: str) -> bool:
    """Whether it is UTF-8: an argument that is not arrives with surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
