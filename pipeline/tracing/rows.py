"""The rows of one source by number, as `train` numbers them: over its parts, in the index's order.

A mix entry is a source, or `source/stratum` where its documents are parted by a signal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import ShardError, UsageError
from pipeline.explaining.packed import Piece
from pipeline.shards import SPLITS, Shard, ShardIndex
from pipeline.suggest import did_you_mean

MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A row of a part: `row` in the part, `number` among all rows of its mix entry and split."""

    shard: Shard
    row: int
    number: int


@dataclass(frozen=True, slots=True)
class PackedRow:
    """What one row of a part holds; keys are None where the document was erased."""

    tokens: np.ndarray  # (T,) uint16 or uint32
    num_tokens: int
    pieces: tuple[Piece, ...]
    keys: tuple[bytes | None, ...]  # of each piece
    learned: np.ndarray | None  # (T,) uint8, the loss mask; None: the part has none


def locate(
    index: ShardIndex,
    row: int,
    *,
    source: str | None,
    split: str | None = None,
    stratum: str | None = None,
    part: str | None = None,
) -> RowPlace:
    """Row `row` of a mix entry, or with `part` of that part: `part-00000.arrow`, or a whole path.

    Without a split, and no whole path that tells it: train.

    Raises `UsageError` for what is not there, which names what is.
    """
    if part is not None and "/" in part:
        path = part.removeprefix("./").removeprefix("shards/")
        chosen = [shard for shard in index.shards if shard.path == path]
        if not chosen:
            raise _unknown("--part", part, [shard.path for shard in index.shards])
        _check_agreement(chosen[0], source, split, stratum)
        return _row(index, chosen, row, f"part {path}")
    split = split or "train"
    parts, entry = _parts(index, source, split, stratum)
    if part is None:
        return _row(index, parts, row, f"{entry}, {split}")
    chosen = [shard for shard in parts if Path(shard.path).name == part]
    if not chosen:
        raise _unknown("--part", part, [Path(shard.path).name for shard in parts])
    return _row(index, chosen, row, f"part {chosen[0].path}")


def _check_agreement(
    shard: Shard, source: str | None, split: str | None, stratum: str | None
) -> None:
    """A path tells what a part is of; what else is said may say nothing else."""
    entry = f"{shard.source}/{shard.stratum}"
    for option, got, own in (
        ("--source", shard.source if source == entry else source, shard.source),
        ("--split", split, shard.split),
        ("--stratum", stratum, shard.stratum),
    ):
        if got is not None and got != own:
            raise UsageError(
                f"{option}: got {got!r}, but {shard.path} is of {own or 'none'}; leave it out"
            )


def _parts(
    index: ShardIndex, source: str | None, split: str, stratum: str | None
) -> tuple[Sequence[Shard], str]:
    """The parts of a mix entry and split, one at least, and the entry's name."""
    if split not in SPLITS:
        raise UsageError(f"--split: got {split!r}, want one of {', '.join(SPLITS)}")
    if source is None:
        known = sorted({shard.source for shard in index.shards})
        raise UsageError(f"--source: got none, want one of {', '.join(known)}")
    entry = _entry(index, source, stratum)
    parts = index.select(split).get(entry, ())
    if not parts:
        raise UsageError(f"--split: {entry} has no rows in {split}, only in the other split")
    return parts, entry


def _entry(index: ShardIndex, source: str, stratum: str | None) -> str:
    """The mix entry of a source and, where it has strata, one of them: as `source/stratum`, too."""
    strata: dict[str, set[str]] = {}
    for shard in index.shards:
        own = strata.setdefault(shard.source, set())
        if shard.stratum is not None:
            own.add(shard.stratum)
    if source not in strata and stratum is None:
        source, _, stratum = source.rpartition("/") if "/" in source else (source, "", None)
    if source not in strata:
        raise _unknown("--source", source, strata)
    known = sorted(strata[source])
    if stratum is None and not known:
        return source
    if stratum is None:
        raise UsageError(
            f"--stratum: rows of {source} are counted by stratum; want one of {', '.join(known)}"
        )
    if not known:
        raise UsageError(f"--stratum: got {stratum!r}, but {source} has none; leave it out")
    if stratum not in known:
        raise _unknown("--stratum", stratum, known)
    return f"{source}/{stratum}"


def _row(index: ShardIndex, parts: Sequence[Shard], row: int, what: str) -> RowPlace:
    """The row of these parts with that number."""
    num_rows = sum(shard.num_rows for shard in parts)
    if not 0 <= row < num_rows:
        want = f"; want 0..{num_rows - 1}" if num_rows else ""
        raise UsageError(f"--row: got {row}, but {what} has {num_rows:,} rows{want}")
    for shard in parts:
        if row < shard.num_rows:
            return RowPlace(shard, row, row + _rows_before(index, shard))
        row -= shard.num_rows
    raise AssertionError("a row below the sum of all rows is in none of the parts")


def _rows_before(index: ShardIndex, shard: Shard) -> int:
    """Rows of the parts of the same mix entry and split that come before this one."""
    same = [
        other
        for other in index.shards
        if (other.source, other.split, other.stratum) == (shard.source, shard.split, shard.stratum)
    ]
    return sum(other.num_rows for other in same[: same.index(shard)])


def _unknown(option: str, got: str, known: Iterable[str]) -> UsageError:
    names = sorted(known)
    meant = did_you_mean(got, names)
    more = f", ... ({len(names):,} in all)" if len(names) > MAX_NAMED else ""
    return UsageError(
        f"{option}: got {got!r}{meant}, want one of {', '.join(names[:MAX_NAMED])}{more}"
    )


def read_row(folder: Path, place: RowPlace) -> PackedRow:
    """The row itself, through a memory map. Raises `ShardError` where the part cannot be read."""
    path, row = folder / place.shard.path, place.row
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if row < batch.num_rows:
                return _packed_row(batch, row, place)
            row -= batch.num_rows
    except (OSError, pa.ArrowInvalid) as exc:
        raise ShardError(f"{path}: not a readable shard ({exc}); run `prepare verify`") from exc
    raise ShardError(
        f"{path}: {place.row - row:,} rows, the index says {place.shard.num_rows:,}; "
        "run `prepare verify`"
    )


def _packed_row(batch: pa.RecordBatch, row: int, place: RowPlace) -> PackedRow:
    tokens = batch["tokens"][row].values.to_numpy()
    num_tokens = batch["num_tokens"][row].as_py()
    starts = batch["doc_start"][row].as_py()
    firsts = batch["doc_token_start"][row].as_py()
    learned = None
    if "loss_mask" in batch.schema.names:
        mask = batch["loss_mask"][row]
        learned = mask.values.to_numpy() if mask.is_valid else np.ones(len(tokens), np.uint8)
    pieces = tuple(
        Piece(
            part=place.shard.path,
            split=place.shard.split,
            stratum=place.shard.stratum,
            row=place.row,
            number=place.number,
            start=start,
            end=end,
            first_token=first,
            num_learned=None if learned is None else int(learned[start:end].sum()),
        )
        for start, end, first in zip(starts, [*starts[1:], num_tokens], firsts, strict=True)
    )
    return PackedRow(tokens, num_tokens, pieces, tuple(batch["doc_key"][row].as_py()), learned)
