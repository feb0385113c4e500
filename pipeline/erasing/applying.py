"""Tombstones applied to the files of a finished run: only those that hold a document are rewritten.

Rows keep their places, so all that refers to them by number stays true; `blanking.py` and `part.py`
say what is left of a row.

    OUT/state/erasure.json    {"tombstones", "keys", "scanned", "records": {stage: [fingerprints]}}

says which tombstones were applied to which run, so that a rerun need not look again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.erasing.matching import Matcher
from pipeline.erasing.rewriting import (
    Applied,
    Changes,
    take_part,
    take_refined,
    take_removals,
    take_tokens,
)
from pipeline.erasing.staging import INDEX, Staging
from pipeline.erasing.tombstones import NAME, Tombstones, to_json
from pipeline.files import read_json, remove_page
from pipeline.plan import Plan
from pipeline.records import Record, Records, fingerprint
from pipeline.shards import read_index

STATE = "state/erasure.json"
RESTORE = "restore it, or remove the output to begin anew: it says what was erased"
RULES = 2  # of `matching.py`: an output of other ones is looked through again
STAGES = ("refine", "deduplicate", "tokenise", "pack")
Names = Mapping[str, Sequence[str]]  # of the records of a run, by stage


def was_applied(out: Path, names: Names, stones: Tombstones) -> bool:
    """Whether the records of this run are known to hold nothing of these tombstones."""
    state = read_state(out)
    return (state.get("tombstones"), state.get("scanned")) == (stones.fingerprint, _scanned(names))


def read_state(out: Path) -> dict[str, Any]:
    """`STATE`, or nothing."""
    path = out / STATE
    return read_json(path, RESTORE) if path.is_file() else {}


def _scanned(names: Names) -> str:
    return fingerprint([RULES, *(list(names[stage]) for stage in STAGES)])


def apply(plan: Plan, names: Names, stones: Tombstones, pad_id: int) -> Applied:
    """Rewrite what holds erased documents, all at once; the output directory is locked."""
    out = plan.out
    remove_page(out)  # first of all: a kill must not leave it beside what was taken out
    staging, done = Staging.begin(out), Applied()
    records = {stage: list(_records(out, stage, names[stage])) for stage in STAGES}
    changed = Changes(out, staging, done)
    keys, matcher = stones.keys, Matcher.of(plan, stones)
    for record in records["refine"]:
        keys = pa.concat_arrays([keys, take_refined(changed, record, matcher)])
    # By the key of what was found, too: by its id a document is known in the refined files alone.
    wider = _Wider(stones.stones, keys.unique())
    for record in records["deduplicate"]:
        take_removals(changed, record, wider)
    sizes: dict[bytes, tuple[int, int]] = {}
    for record in records["tokenise"]:
        sizes |= take_tokens(changed, record, wider, pad_id)
    for record in records["pack"]:
        take_part(changed, record, wider, sizes, pad_id)
    done.num_all_parts = len(records["pack"])
    _stage_index(changed)
    staging.json(STATE, _state(names, stones, records, changed))
    staging.json(NAME, to_json(stones))
    staging.commit()
    return done


class _Wider(Tombstones):
    """Tombstones with the keys of all documents that they were found to be of."""

    def __init__(self, stones: tuple[Any, ...], keys: pa.FixedSizeBinaryArray) -> None:
        super().__init__(stones)
        self.__dict__["keys"] = keys


def _records(out: Path, stage: str, names: Sequence[str]) -> Iterator[Record]:
    store = Records(out, stage)
    for name in names:
        record = store.read(name)
        assert record is not None, f"{stage} {name}"
        yield record


def _stage_index(changed: Changes) -> None:
    """The index of shards, where the output has one, with what is true now of these parts."""
    if not (changed.out / INDEX).is_file():
        return
    index = read_index(changed.out)
    shards = tuple(replace(s, **changed.parts.get(s.path, {})) for s in index.shards)
    changed.staging.json(INDEX, asdict(replace(index, shards=shards)))


def _state(
    names: Names, stones: Tombstones, records: Mapping[str, Sequence[Record]], changed: Changes
) -> dict[str, Any]:
    erased = {
        stage: [
            record["fingerprint"]
            for record in found
            if "erased" in record or (stage, record["fingerprint"]) in changed.records
        ]
        for stage, found in records.items()
    }
    return {
        "tombstones": stones.fingerprint,
        "keys": [stone.key for stone in stones.stones],
        "scanned": _scanned(names),
        "records": erased,
    }
