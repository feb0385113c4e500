"""The numbers that are known of each document: what filters measured, and a few that need none.

A filter's signal is a column of the refined files, `<filter>.<signal>`; `clean.`, `pii.` and
`edited.` count what was changed. Of every document there are

    num_bytes        UTF-8 bytes of the stored text
    num_chars        code points of the stored text
    num_tokens       token ids, begin and end marks included
    num_duplicates   documents of this corpus that deduplication removed and whose recorded survivor
                     is this one. A survivor is never removed as a duplicate, so there are no chains
                     to follow, and every removed document counts for one survivor, the most similar
                     to it. Validation documents that leave because they are like one that trains
                     are no duplicates, and are not counted.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow import num_value_bytes
from pipeline.decontamination.match import signal_names
from pipeline.dedup.policy import SignalRule
from pipeline.errors import ManifestError, PrepareError
from pipeline.keys import KEY_TYPE
from pipeline.plan import Plan
from pipeline.refined import RowReader
from pipeline.refining import build_refinery
from pipeline.removals import LEAK
from pipeline.suggest import did_you_mean
from pipeline.tokens.token_file import document_keys, lengths

TOKENS, DUPLICATES = "num_tokens", "num_duplicates"


class DocumentFiles(NamedTuple):
    """Where some documents are: refined files, the token files made of them, who was removed."""

    kept: Sequence[Path]
    tokens: Sequence[Path]
    removals: Path


class Signal(NamedTuple):
    """A number of each document: `keys` fixed_size_binary[16], `values` float64, NaN if missing."""

    keys: pa.FixedSizeBinaryArray
    values: np.ndarray

    def of(self, keys: pa.FixedSizeBinaryArray) -> np.ndarray:
        """The values of the documents with these keys. Raises `PrepareError` for an unknown one."""
        places = pc.index_in(keys, value_set=self.keys)
        if places.null_count:
            raise PrepareError(
                f"{places.null_count:,} of {len(keys):,} documents are in no refined file; "
                "run `prepare run` again"
            )
        found: np.ndarray = self.values[places.to_numpy()]
        return found


def known_signals(plan: Plan, source: str) -> list[str]:
    """The names of all signals of the documents of a source, sorted. May load filters' models."""
    refinery = build_refinery(plan, source)
    empty = pa.RecordBatch.from_pylist([], schema=refinery.read_schema)
    schema = refinery(empty).kept.schema
    stored = [field.name for field in schema if "." in field.name and _is_number(field.type)]
    # Known before the evaluation sets are read, which is work already.
    return sorted({*stored, *signal_names(plan.manifest.decontaminate), *BUILT_IN})


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def check_strata(plan: Plan) -> None:
    """Raise `ManifestError` unless each source with strata has the signal that they go by."""
    for source in plan.manifest.sources:
        strata = plan.manifest.strata_of(source.name)
        if strata is None or strata.by in BUILT_IN:
            continue
        known = known_signals(plan, source.name)
        if strata.by not in known:
            raise ManifestError(
                f"strata.by: {_unknown(strata.by, source.name, known)}, or strata.sources without "
                f"{source.name}"
            )


def check_survivor(plan: Plan) -> None:
    """Raise `ManifestError` unless each source has the signals that decide which copy stays."""
    rules = plan.manifest.dedup.survivor
    wanted = {n: rule.signal for n, rule in enumerate(rules) if isinstance(rule, SignalRule)}
    for source in plan.manifest.sources if wanted else ():
        # What is counted only later, or is no filter's, cannot decide: `longest` is by bytes.
        known = [name for name in known_signals(plan, source.name) if "." in name]
        for number, name in wanted.items():
            if name not in known:
                raise ManifestError(
                    f"dedup.survivor.{number}.signal: {_unknown(name, source.name, known)}; a "
                    "filter that measures it must apply to every source"
                )


def _unknown(name: str, source: str, known: Sequence[str]) -> str:
    meant = did_you_mean(name, known)
    wanted = ", ".join(known)
    return (
        f"got {name!r}{meant}, which documents of the source {source} do not have; want one of "
        f"{wanted}"
    )


def read_signal(by: str, files: DocumentFiles) -> Signal:
    """One signal of all documents of the files, reading no column but its own and the keys."""
    if by == TOKENS:
        keys = _joined([*map(document_keys, files.tokens)])
        return Signal(keys, np.concatenate([np.zeros(0), *map(lengths, files.tokens)]))
    keys = _joined([_column(path, "key") for path in files.kept])
    if by == DUPLICATES:
        return Signal(keys, _num_duplicates(keys, files.removals))
    column, measure = _MEASURED.get(by, (by, _floats))
    values = [_values(path, column, measure) for path in files.kept]
    return Signal(keys, np.concatenate([np.zeros(0), *values]))


def _values(path: Path, column: str, measure: Callable[[pa.Array], np.ndarray]) -> np.ndarray:
    """What is measured of a column of a refined file, float64 (n)."""
    batches = RowReader(path, column).batches()
    return np.concatenate([np.zeros(0), *(measure(batch[column]) for batch in batches)])


def _floats(values: pa.Array) -> np.ndarray:
    # A filter's null is as good as a NaN here: no number.
    floats: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _num_chars(texts: pa.StringArray) -> np.ndarray:
    return _floats(pc.utf8_length(texts))


_MEASURED: dict[str, tuple[str, Callable[[pa.Array], np.ndarray]]] = {
    "num_bytes": ("text", num_value_bytes),
    "num_chars": ("text", _num_chars),
}
BUILT_IN = (*_MEASURED, TOKENS, DUPLICATES)


def _num_duplicates(keys: pa.FixedSizeBinaryArray, removals: Path) -> np.ndarray:
    """How often each key is the survivor of a duplicate, float64 (n)."""
    is_copy = pc.not_equal(_column(removals, "rule", pa.string()), LEAK)
    is_here = pc.is_valid(_column(removals, "survivor_doc", pa.uint64()))
    survivors = _column(removals, "survivor_key").filter(pc.and_(is_copy, is_here))
    places = pc.drop_null(pc.index_in(survivors, value_set=keys)).to_numpy()
    return np.bincount(places, minlength=len(keys)).astype(float)


def _column(path: Path, column: str, kind: pa.DataType = KEY_TYPE) -> pa.Array:
    return _joined([batch[column] for batch in RowReader(path, column).batches()], kind)


def _joined(parts: Sequence[pa.Array], kind: pa.DataType = KEY_TYPE) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], kind)
