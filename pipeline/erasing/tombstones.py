"""Tombstones: what stays of erased documents, so that a later run knows them again.

    OUT/tombstones.json
    {"format": 1, "tombstones": [{"source", "kind", "key", "text_hash", "id", "place", "contents"}]}

Digests in hex digits, xxh3-128, no text: `key` and `text_hash` as `pipeline.keys` has them (of a
quarantined row the hash of its raw bytes), `id` of source and id where the source has an `id_field`
and no other document that id (else null), `place` of source, path and row, `contents` of the file
that was read. What is known again by which of them, `matching.py` says: a copy by its text, and a
document whose text another `clean` or `pii` has changed by its id, or by its place as long as its
file has the same contents. A name that was erased before is recognised by its place, too.

Kind `elsewhere` is a document of another corpus of the same index, for which one of this corpus
went: `source` is the name of that corpus, `place` of that and its id, `text_hash` zeros, and of
`contents` there is nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.errors import PrepareError
from pipeline.files import read_json
from pipeline.keys import KEY_TYPE, hash_values
from pipeline.records import fingerprint

NAME = "tombstones.json"
FORMAT = 1
DOCUMENT, QUARANTINED, ELSEWHERE = "document", "quarantined", "elsewhere"
INPUTS = "state/inputs.json"
Contents = Mapping[tuple[str, str], str]  # by source and path
_NO_BYTES = pa.scalar(b"", pa.binary())


@dataclass(frozen=True, slots=True, order=True)
class Tombstone:
    """One erased document, or quarantined row."""

    source: str
    key: str
    text_hash: str
    kind: str
    id: str | None
    place: str
    contents: str | None = None


@dataclass(frozen=True)
class Tombstones:
    """All of an output, each key once."""

    stones: tuple[Tombstone, ...] = ()

    @classmethod
    def of(cls, stones: Iterable[Tombstone]) -> "Tombstones":
        """Sorted; of two with one key the first."""
        by_key: dict[tuple[str, str], Tombstone] = {}
        for stone in stones:
            by_key.setdefault((stone.kind, stone.key), stone)
        return cls(tuple(by_key[key] for key in sorted(by_key)))

    def with_more(self, stones: Iterable[Tombstone]) -> "Tombstones":
        return Tombstones.of([*self.stones, *stones])

    @cached_property
    def keys(self) -> pa.FixedSizeBinaryArray:
        return digests(stone.key for stone in self.stones)

    @cached_property
    def text_hashes(self) -> pa.FixedSizeBinaryArray:
        """Of documents; the raw bytes of a quarantined row are no text."""
        return digests(s.text_hash for s in self.stones if s.kind == DOCUMENT)

    @cached_property
    def raw_hashes(self) -> pa.FixedSizeBinaryArray:
        """Of the raw bytes of quarantined rows."""
        return digests(s.text_hash for s in self.stones if s.kind == QUARANTINED)

    @cached_property
    def names(self) -> frozenset[str]:
        """Digests of ids and places."""
        return frozenset(d for s in self.stones for d in (s.id, s.place) if d is not None)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint([asdict(stone) for stone in self.stones])

    def ids_of(self, source: str) -> pa.FixedSizeBinaryArray:
        """Digests of the ids of one source."""
        return digests(s.id for s in self.stones if s.source == source and s.id is not None)

    def matches(self, keys: pa.Array, text_hashes: pa.Array) -> np.ndarray:
        """Which documents of these keys and text hashes are erased, bool; nulls are none."""
        found = pc.or_(
            pc.is_in(keys, value_set=self.keys), pc.is_in(text_hashes, value_set=self.text_hashes)
        )
        mask: np.ndarray = found.to_numpy(zero_copy_only=False)
        return mask


def is_blank_place(batch: pa.RecordBatch) -> np.ndarray:
    """Rows whose `source_row` erasure has taken."""
    mask: np.ndarray = batch["source_row"].to_numpy() < 0
    return mask


def raw_hashes(batch: pa.RecordBatch) -> pa.FixedSizeBinaryArray:
    """What stands for a text hash in a quarantined row."""
    return hash_values(pc.coalesce(batch["raw"], _NO_BYTES))


def name_digests(source: str, names: pa.Array) -> pa.FixedSizeBinaryArray:
    """xxh3-128 of source and name; of a null it is that of the source alone."""
    texts = pc.fill_null(names.cast(pa.string()), "").cast(pa.binary())
    return hash_values(pc.binary_join_element_wise(source.encode(), texts, pa.scalar(b"\0")))


def name_digest(source: str, name: str) -> str:
    """The same of one name, in hex digits."""
    return str(xxhash.xxh3_128_hexdigest(source.encode() + b"\0" + name.encode()))


def digests(values: Iterable[str | None]) -> pa.FixedSizeBinaryArray:
    """Hex digits as an array, Nones left out."""
    return pa.array([bytes.fromhex(value) for value in values if value is not None], KEY_TYPE)


def input_contents(out: Path) -> Contents:
    """Hashes of the files that the last run has read."""
    path = out / INPUTS
    if not path.is_file():
        return {}
    sources = read_json(path).get("sources", {})
    return {
        (name, file): str(of[2]) for name, files in sources.items() for file, of in files.items()
    }


def to_json(tombstones: Tombstones) -> Mapping[str, Any]:
    """As the file has them."""
    return {"format": FORMAT, "tombstones": [asdict(stone) for stone in tombstones.stones]}


def read_tombstones(out: Path) -> Tombstones:
    """Those of an output, none where nothing was erased. Raises `PrepareError`."""
    path = out / NAME
    if not path.is_file():
        return Tombstones()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise PrepareError(
                f"{path}: got format {values['format']!r}, want {FORMAT}: use the version of "
                "headwater that wrote it"
            )
        names = {field.name for field in fields(Tombstone)}
        stones = [Tombstone(**{name: one[name] for name in names}) for one in values["tombstones"]]
        found = Tombstones.of(stones)
        _ = found.keys, found.text_hashes  # hex digits of 16 bytes, or an error here
    except (ValueError, KeyError, TypeError) as exc:
        raise PrepareError(
            f"{path}: are no tombstones ({exc}); restore the file: without it a rerun would bring "
            "back what was erased"
        ) from exc
    return found
