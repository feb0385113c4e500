"""Which rows of the refined files are those of tombstones, wherever refining has put them.

Another limit, template or `clean` may quarantine what was a document when it was erased, and the
other way round. A row is known by any of these:

    kept, dropped    key; text hash; id in its source; place, while its file is the same
    quarantined      key of its raw bytes; these bytes, as those of a row or as a text; id in a line
                     of JSON; place, while its file is the same

Rows of a file that was edited move, so the place counts only with the hash of the file's contents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.raw import id_fields, raw_ids
from pipeline.erasing.tombstones import (
    Contents,
    Tombstones,
    digests,
    input_contents,
    is_blank_place,
    name_digests,
    raw_hashes,
)
from pipeline.keys import document_keys
from pipeline.plan import Plan

PLACE = ("source_path", "source_row")
OF_DOCUMENTS = ("key", "text_hash", "id", *PLACE)
OF_QUARANTINED = ("source", *PLACE, "raw")


@dataclass(frozen=True)
class Matcher:
    """Tombstones, the contents of the files that were read, and where lines have their ids."""

    stones: Tombstones
    contents: Contents
    fields: Mapping[str, str]  # by source

    @classmethod
    def of(cls, plan: Plan, stones: Tombstones) -> "Matcher":
        return cls(stones, input_contents(plan.out), id_fields(plan.manifest))

    def documents(self, batch: pa.RecordBatch, source: str) -> np.ndarray:
        """Which rows with `OF_DOCUMENTS` are erased, bool."""
        mask = self.stones.matches(batch["key"], batch["text_hash"])
        mask |= self._ids(batch["id"], source) | self._places(batch, source)
        return mask

    def quarantined(self, batch: pa.RecordBatch, source: str) -> np.ndarray:
        """Which rows with `OF_QUARANTINED`, all of one source, are erased; blank ones are not."""
        hashes = raw_hashes(batch)
        same_bytes = pc.is_in(hashes, value_set=self._bytes)
        same_bytes = pc.and_(same_bytes, pc.greater(pc.binary_length(batch["raw"]), 0))
        keys = pc.is_in(document_keys(batch, hashes), value_set=self.stones.keys)
        found = pc.or_(keys, pc.fill_null(same_bytes, False))
        mask: np.ndarray = found.to_numpy(zero_copy_only=False) | self._places(batch, source)
        if source in self.fields and len(self.stones.ids_of(source)):
            mask |= self._ids(raw_ids(batch["raw"], self.fields[source]), source)
        mask &= ~is_blank_place(batch)
        return mask

    @cached_property
    def _bytes(self) -> pa.FixedSizeBinaryArray:
        """What was erased as the raw bytes of a row, or as a text, may be quarantined now."""
        return pa.concat_arrays([self.stones.raw_hashes, self.stones.text_hashes])

    def _ids(self, names: pa.StringArray, source: str) -> np.ndarray:
        wanted = self.stones.ids_of(source)
        if not len(wanted):
            return np.zeros(len(names), np.bool_)
        found = pc.is_in(name_digests(source, names), value_set=wanted)
        mask: np.ndarray = pc.and_(found, names.is_valid()).to_numpy(zero_copy_only=False)
        return mask

    def _places(self, batch: pa.RecordBatch, source: str) -> np.ndarray:
        """Rows of files that are as they were when something of this place was erased."""
        live = {contents for (name, _), contents in self.contents.items() if name == source}
        stones = {(s.place, s.contents) for s in self.stones.stones if s.source == source}
        stones = {(place, contents) for place, contents in stones if contents in live}
        if not stones:
            return np.zeros(batch.num_rows, np.bool_)
        paths, rows = (batch[name] for name in PLACE)
        names = pc.binary_join_element_wise(paths, rows.cast(pa.string()), "#")
        found = name_digests(source, names)
        mask = np.array(
            pc.is_in(found, value_set=digests(place for place, _ in stones)).to_numpy(
                zero_copy_only=False
            )
        )
        for row in np.flatnonzero(mask).tolist():  # few
            now = self.contents.get((source, paths[row].as_py()))
            mask[row] = (found[row].as_py().hex(), now) in stones
        return mask
