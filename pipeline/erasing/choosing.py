"""Which documents go: those that are named, and all their copies.

A copy is a document of the same stored text, in whatever source, or one of the same words that
deduplication removed in favour of the other (rule `exact_duplicate`, which compares words without
case and marks). What is only similar is told, and goes with `near`. The same holds of documents
that went for one of another corpus, of the same index, that has a name of those.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.key_digits import is_key
from pipeline.erasing.spots import Spot, find_all, read_spots, spots_with, values_of
from pipeline.erasing.tombstones import (
    DOCUMENT,
    QUARANTINED,
    Tombstone,
    Tombstones,
    input_contents,
    name_digest,
    raw_hashes,
)
from pipeline.erasing.tombstones import ELSEWHERE as OTHERS
from pipeline.explaining.finding import DOCUMENTS
from pipeline.explaining.output import ELSEWHERE, Output, split_docs
from pipeline.keys import KEY_TYPE, document_keys
from pipeline.removals import EXACT, METHOD_EXACT, ROW_BITS


@dataclass(frozen=True, slots=True)
class Near:
    """A document that is like an erased one and stays."""

    id: str | None
    source: str
    key: str
    similarity: float
    is_removed: bool  # else its tokens stand in the shards
    of: str | None  # id of the erased one


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A document of another corpus for which one of this output went."""

    removed: Spot
    corpus: str
    id: str
    key: bytes
    similarity: float
    is_copy: bool


@dataclass(slots=True)
class Choice:
    """What an erasure takes."""

    named: list[Spot] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    copies: list[Spot] = field(default_factory=list)
    near: list[Spot] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    erased_before: list[str] = field(default_factory=list)
    left: list[Near] = field(default_factory=list)  # like one of them

    @property
    def spots(self) -> list[Spot]:
        return [*self.named, *self.copies, *self.near]


def choose(
    output: Output, names: Sequence[str], before: Tombstones, source: str | None, *, near: bool
) -> Choice:
    """Find the documents of these names and what goes with them.

    Raises `UsageError` for an unknown source, or a key of too few digits.
    """
    choice = Choice()
    named: dict[Spot, None] = {}
    choice.elsewhere = _elsewhere(output, names) if source is None else []
    others = {one.id for one in choice.elsewhere}
    for name, spots in find_all(output, list(dict.fromkeys(names)), source).items():
        named |= dict.fromkeys(spots)
        if not spots and name not in others:
            is_known = was_erased(output, name, before, source)
            (choice.erased_before if is_known else choice.unknown).append(name)
    choice.named = list(named)
    went = [one.removed for one in choice.elsewhere if one.is_copy]
    choice.copies = _not_in(choice.named, went)
    if near:
        went = [one.removed for one in choice.elsewhere if not one.is_copy]
        choice.near = _not_in(choice.spots, went)
    fresh = choice.spots
    while fresh:  # a copy has copies, too
        fresh = _not_in(choice.spots, _copies(output, fresh))
        choice.copies += fresh
        if not fresh and near:
            fresh = _not_in(choice.spots, (link.other for link in _similar(output, choice.spots)))
            choice.near += fresh
    choice.left = [*_left(output, choice.spots), *_left_for_others(output, choice)]
    return choice


def _elsewhere(output: Output, names: Sequence[str]) -> list[Elsewhere]:
    """The removals for documents of other corpora that have one of these names."""
    if "survivor_id" not in output.removals.column_names:
        return []  # of a version without an index
    wanted = pa.array(sorted(set(names)), pa.string())
    is_found = pc.is_in(output.removals["survivor_id"], value_set=wanted)
    is_left = pc.and_(is_found, output.removals["key"].is_valid())
    rows = output.removals.filter(is_left).to_pylist()
    return [
        Elsewhere(
            _spot(row["doc"]),
            row["corpus"],
            row["survivor_id"],
            row["survivor_key"],
            row["similarity"],
            row["method"] == METHOD_EXACT,
        )
        for row in rows
    ]


def _not_in(known: Iterable[Spot], spots: Iterable[Spot]) -> list[Spot]:
    before = set(known)
    return [spot for spot in dict.fromkeys(spots) if spot not in before]


def was_erased(output: Output, name: str, before: Tombstones, source: str | None) -> bool:
    """Whether a tombstone has this name."""
    corpora = {stone.source for stone in before.stones if stone.kind == OTHERS}
    sources = [*output.sources, *corpora] if source is None else [source]
    if any(name_digest(each, name) in before.names for each in sources):
        return True
    stones = (stone for stone in before.stones if source in (None, stone.source))
    return is_key(name) and any(stone.key.startswith(name.lower()) for stone in stones)


def _copies(output: Output, spots: Sequence[Spot]) -> list[Spot]:
    """Everything of the same text, or of the same words by the removal table."""
    documents = [spot for spot in spots if spot.kind in DOCUMENTS]
    hashes = [value for (value,) in values_of(output, documents, "text_hash").values()]
    found = spots_with(output, "text_hash", pa.array(hashes, KEY_TYPE).unique())
    return found + [link.other for link in _linked(output, spots) if link.rule == EXACT]


@dataclass(frozen=True, slots=True)
class Link:
    """A removal between one of some documents and another."""

    other: Spot
    of: Spot
    rule: str
    similarity: float


def _linked(output: Output, spots: Iterable[Spot]) -> Iterator[Link]:
    """The removals of these documents and those in their favour, within this output."""
    docs = np.array([_doc(spot) for spot in spots if spot.kind == "kept"], np.uint64)
    removed, survivors = output.removed_docs, output.survivor_docs
    here = survivors != ELSEWHERE
    for column in ("key", "survivor_key"):  # null: erased before
        here = here & output.removals[column].is_valid().to_numpy(zero_copy_only=False)
    sides = ((removed, survivors), (survivors, removed))
    for mine, others in sides:
        for row in np.flatnonzero(np.isin(mine, docs) & here).tolist():
            rule, similarity = (
                output.removals[name][row].as_py() for name in ("rule", "similarity")
            )
            yield Link(_spot(others[row]), _spot(mine[row]), rule, similarity)


def _doc(spot: Spot) -> int:
    return spot.number << ROW_BITS | spot.row


def _spot(doc: np.uint64 | int) -> Spot:
    (number,), (row,) = split_docs(np.array([doc], np.uint64))
    return Spot(int(number), "kept", int(row))


def _similar(output: Output, spots: Iterable[Spot]) -> list[Link]:
    return [link for link in _linked(output, spots) if link.rule != EXACT]


def _left(output: Output, spots: Sequence[Spot]) -> Iterator[Near]:
    """What is like an erased document and is none."""
    gone = set(spots)
    links = [link for link in _similar(output, spots) if link.other not in gone]
    others = values_of(output, (link.other for link in links), "id", "key")
    ids = values_of(output, (link.of for link in links), "id")
    for link in links:
        name, key = others[link.other]
        yield Near(
            id=name,
            source=output.items[link.other.number].source,
            key=key.hex(),
            similarity=link.similarity,
            is_removed=bool(np.isin(np.uint64(_doc(link.other)), output.removed_docs)),
            of=ids[link.of][0],
        )


def _left_for_others(output: Output, choice: Choice) -> Iterator[Near]:
    """What went for a document of another corpus that is called so, and is no copy of it."""
    gone = set(choice.spots)
    left = [one for one in choice.elsewhere if one.removed not in gone]
    heads = values_of(output, (one.removed for one in left), "id", "key")
    for one in left:
        name, key = heads[one.removed]
        source = output.items[one.removed.number].source
        yield Near(name, source, key.hex(), one.similarity, True, one.id)


def tombstones_of(output: Output, choice: Choice) -> list[Tombstone]:
    """A tombstone for each document, also those of other corpora for which some of them went."""
    return [*_own_tombstones(output, choice.spots), *_others_tombstones(choice.elsewhere)]


def _others_tombstones(found: Iterable[Elsewhere]) -> Iterator[Tombstone]:
    for one in found:
        yield Tombstone(
            source=one.corpus,
            key=one.key.hex(),
            text_hash=bytes(16).hex(),
            kind=OTHERS,
            id=None,
            place=name_digest(one.corpus, one.id),
        )


def _own_tombstones(output: Output, spots: Sequence[Spot]) -> list[Tombstone]:
    lone, stones, contents = _lone_ids(output, spots), [], input_contents(output.out)
    columns = ("source", "source_path", "source_row", "key", "text_hash", "id", "raw")
    for own, batch in read_spots(output, spots, columns):
        is_document = own[0].kind in DOCUMENTS
        hashes = batch["text_hash"] if is_document else raw_hashes(batch)
        keys = batch["key"] if is_document else document_keys(batch, hashes)
        ids = batch["id"].to_pylist() if is_document else [None] * len(own)
        places = zip(batch["source_path"].to_pylist(), batch["source_row"].to_pylist(), strict=True)
        source = output.items[own[0].number].source
        for key, text_hash, name, (path, row) in zip(
            keys.to_pylist(), hashes.to_pylist(), ids, places, strict=True
        ):
            stones.append(
                Tombstone(
                    source=source,
                    key=key.hex(),
                    text_hash=text_hash.hex(),
                    kind=DOCUMENT if is_document else QUARANTINED,
                    id=name_digest(source, name) if (source, name) in lone else None,
                    place=name_digest(source, f"{path}#{row}"),
                    contents=contents.get((source, path)),
                )
            )
    return stones


def _lone_ids(output: Output, spots: Sequence[Spot]) -> set[tuple[str, str]]:
    """(source, id) of which every document is among these, in sources with ids of their own."""
    own = {s.name for s in output.plan.manifest.sources if s.id_field is not None}
    chosen = [s for s in spots if s.kind in DOCUMENTS and output.items[s.number].source in own]
    named = values_of(output, chosen, "source", "id")
    ids = {(source, name) for source, name in named.values() if name is not None}
    wanted = pa.array(sorted({name for _, name in ids}), pa.string())
    others = set(spots_with(output, "id", wanted, own)) - set(chosen)
    return ids - set(values_of(output, others, "source", "id").values())
