"""A corpus and the index of finished ones, from the driver's side: look up first, add last.

A corpus looks into the segments that were added before its own, so a rerun never meets itself, and
what is finished does not change because something later was compared with it.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.dedup.index_config import IndexConfig
from pipeline.errors import UsageError
from pipeline.files import LOCK_NAME, atomic
from pipeline.graph.deduplicate import INDEXED_NAME
from pipeline.graph.each import EachItem
from pipeline.graph.index_parts import IndexPartItem, source_names, write_index_part
from pipeline.graph.look_up import LookUpItem, look_up_range
from pipeline.graph.verify_indexed import VerifyIndexedItem, verify_indexed
from pipeline.index.parameters import check_parameters, parameters
from pipeline.index.segments import (
    DELETED,
    Contents,
    Segment,
    content_fingerprint,
    deleted_again,
    earlier,
    protect,
    publish,
    read,
    read_segment,
    segments,
)
from pipeline.plan import Plan, RefineItem
from pipeline.records import Record, code_fingerprint, fingerprint
from pipeline.refined import refined_paths
from pipeline.removals import REMOVALS
from pipeline.stage import Context, locked, run_stage

STAGES = ("look_up", "verify_indexed", "index")
PARTITION_ROWS = 1 << 23  # of a file of buckets: 100 MB, and 0.4 GB to sort them


@dataclass(frozen=True, slots=True)
class Indexed:
    """What went for documents of earlier corpora: rows of the removal table, and counts."""

    removals: pa.Table
    counts: dict[str, int]


def index_config(plan: Plan) -> IndexConfig | None:
    return plan.manifest.dedup.index


def _place(plan: Plan, config: IndexConfig) -> tuple[Path, str]:
    """Folder of the index, and the name of this corpus in it."""
    return (plan.base / config.path).resolve(), config.segment or plan.manifest.name


@contextmanager
def opened(plan: Plan) -> Iterator[None]:
    """Hold the index, if there is one, from before any work until the corpus is added.

    Raises `UsageError` where another process holds it, the place is none for an index, or a segment
    does not fit the manifest.
    """
    config = index_config(plan)
    if config is None:
        yield
        return
    _check_place(plan, config)
    index, name = _place(plan, config)
    with locked(index):
        protect(index)
        _check_is_own(plan, name, segments(index))
        for segment in earlier(index, name):
            check_parameters(plan.manifest.dedup, segment)
        yield


def _check_place(plan: Plan, config: IndexConfig) -> None:
    (index, name), out = _place(plan, config), plan.out.resolve()
    if name == LOCK_NAME:
        raise UsageError(f"dedup.index.segment: got {name!r}, want another name: a file has that")
    if "://" in config.path:
        raise UsageError(f"dedup.index: got {config.path!r}, want a local or shared folder, no URL")
    if index.exists() and not index.is_dir():
        raise UsageError(f"dedup.index: {index} is a file, want a folder, or a new name for one")
    if index == out or index in out.parents or out in index.parents:
        raise UsageError(
            f"dedup.index: got {index}, and the output is {out}; want two folders, neither inside "
            "of the other: what is in an output is deleted when it is not of the last run"
        )


def _check_is_own(plan: Plan, name: str, found: Sequence[Segment]) -> None:
    """A corpus must not take the place of another that has its name, nor meet itself."""
    for segment in found:
        has_name, has_out = segment.name == name, segment.out == plan.out.resolve()
        if has_name and not has_out and segment.out.is_dir():
            raise UsageError(
                f"{segment.index}: segment {name} is of {segment.out}, not of {plan.out}; give "
                "this corpus a name of its own (`name`, or `dedup.index: {path, segment}`), or "
                f"take the other out with `prepare index {segment.index} --delete {name}`"
            )
        if has_out and not has_name:
            raise UsageError(
                f"{segment.index}: {plan.out} is in it as {segment.name}, so that as {name} it "
                f"would be compared with itself; want `dedup.index: {{path, segment: "
                f"{segment.name}}}`, or take it out with `prepare index {segment.index} --delete "
                f"{segment.name}`"
            )


def looked_into(plan: Plan) -> list[Segment]:
    """The segments that this corpus is compared with."""
    config = index_config(plan)
    return [] if config is None else earlier(*_place(plan, config))


def index_identity(plan: Plan) -> Any:
    """What the removals depend on: names and contents of the segments, wherever they are."""
    config = index_config(plan)
    if config is None:
        return None
    found = [(segment.name, segment.identity) for segment in looked_into(plan)]
    code = code_fingerprint(
        "pipeline/graph/look_up.py",
        "pipeline/graph/compare_indexed.py",
        "pipeline/graph/verify_indexed.py",
    )
    return [found, config.estimate, code] if found else None


def remove_indexed(
    context: Context, items: Sequence[RefineItem], folder: str, num_ranges: int
) -> Indexed:
    """Find what earlier corpora have, and leave it to the rounds as decided."""
    plan, config, found = context.plan, index_config(context.plan), looked_into(context.plan)
    compares = plan.manifest.dedup.exact or plan.manifest.dedup.minhash is not None
    if config is None or not found or not compares:
        return Indexed(REMOVALS.empty_table(), {})
    index, names = str(_place(plan, config)[0]), tuple(segment.name for segment in found)
    ranges = [
        LookUpItem(
            *(folder, index, names, number, num_ranges),
            fingerprint(folder, "look up", number, num_ranges),
        )
        for number in range(num_ranges)
    ]
    pairs = run_stage(context, "look_up", EachItem(look_up_range, plan=plan), ranges, label="index")
    work = _verify_items(items, folder, index, names, list(pairs.values()))
    transform = EachItem(verify_indexed, plan=plan)
    records = run_stage(context, "verify_indexed", transform, work, label="verify index")
    verified = [records[item.fingerprint] for item in work]
    paths = [plan.out / record["outputs"]["removals"]["path"] for record in verified]
    removals = pa.concat_tables([REMOVALS.empty_table(), *map(read, paths)]).combine_chunks()
    with atomic(plan.out / folder / INDEXED_NAME) as temporary, temporary.open("wb") as handle:
        np.save(handle, removals["doc"].to_numpy())
    return Indexed(removals, _counts(pairs.values(), verified))


def _verify_items(
    items: Sequence[RefineItem],
    folder: str,
    index: str,
    names: tuple[str, ...],
    ranges: Sequence[Record],
) -> list[VerifyIndexedItem]:
    by_file: dict[int, list[str]] = {}
    for record in ranges:
        for file in record["counts"]["num_pairs_by_file"]:
            by_file.setdefault(int(file), []).append(record["outputs"]["pairs"]["path"])
    return [
        VerifyIndexedItem(
            *(folder, index, names, items[file].source, file, tuple(sorted(paths))),
            fingerprint(folder, "verify indexed", file, len(ranges)),
        )
        for file, paths in sorted(by_file.items())
    ]


def _counts(ranges: Any, verified: Sequence[Record]) -> dict[str, int]:
    """Sums for the record of the deduplication: `num_index_left_out` and what was verified."""
    left_out = sum(record["counts"]["num_left_out"] for record in ranges)
    names = ("num_pairs", "num_removed", "num_leaks", "num_estimated", "num_uncompared")
    sums = {name: sum(record["counts"][name] for record in verified) for name in names}
    return {
        "num_index_left_out": left_out,
        **{name.replace("num_", "num_index_", 1): value for name, value in sums.items()},
    }


def add_to_index(
    context: Context, items: Sequence[RefineItem], refined: dict[str, Record], removals: Record
) -> None:
    """Put what stays of the corpus into the index, in place of what it added before."""
    plan, config = context.plan, index_config(context.plan)
    if config is None:
        return
    index, name = _place(plan, config)
    old = read_segment(index, name)
    out = os.path.relpath(plan.out, index)
    made_of = fingerprint(
        removals["fingerprint"],
        {source.name: source.priority for source in plan.manifest.sources},
        code_fingerprint("pipeline/index", "pipeline/graph/index_parts.py"),
    )
    is_there = old is not None and (old.contents.made_of, old.contents.out) == (made_of, out)
    context.count("index", 1, int(not is_there))
    if is_there:
        return
    work = _parts(plan, items, refined, removals, made_of)
    transform = EachItem(write_index_part, plan=plan)
    records = run_stage(context, "index", transform, work, label="add to index")
    parts = {item.name: records[item.fingerprint]["outputs"]["part"] for item in work}
    contents = Contents(
        number=_number(index, old),
        fingerprint=content_fingerprint({file: part["xxh3"] for file, part in parts.items()}),
        made_of=made_of,
        parameters=parameters(plan.manifest.dedup),
        out=out,
        files=tuple(_kept_path(item) for item in items),
        sources=tuple(
            (source, plan.source(source).priority)
            for source in source_names([item.source for item in items])
        ),
        num_documents=records[work[0].fingerprint]["counts"]["num_rows"],
        num_partitions=work[0].num_partitions,
        file_bytes={file: part["bytes"] for file, part in parts.items()},
    )
    files = {file: plan.out / part["path"] for file, part in parts.items()}
    deleted = DELETED.empty_table() if old is None else deleted_again(old, files)
    publish(index, name, contents, files, deleted)
    shutil.rmtree(plan.out / work[0].folder / "segment")


def _number(index: Path, old: Segment | None) -> int:
    if old is not None:
        return old.contents.number
    return max((segment.contents.number for segment in segments(index)), default=0) + 1


def _kept_path(item: RefineItem) -> str:
    return refined_paths(Path(), item.source, item.fingerprint)["kept"].as_posix()


def _parts(
    plan: Plan,
    items: Sequence[RefineItem],
    refined: dict[str, Record],
    removals: Record,
    made_of: str,
) -> list[IndexPartItem]:
    """The files of the segment; their number depends on the documents alone."""
    config = plan.manifest.dedup
    num_kept = sum(refined[item.fingerprint]["counts"]["num_kept"] for item in items)
    num_rows = num_kept * ((config.minhash.bands if config.minhash else 0) + 1)
    num_partitions = max(1, -(-num_rows // PARTITION_ROWS))
    wanted = [("documents", 0), *(("buckets", number) for number in range(num_partitions))]
    if config.minhash is not None and config.minhash.signatures:
        wanted.append(("signatures", 0))
    path = removals["outputs"]["removals"]["path"]
    return [
        IndexPartItem(
            folder=f"dedup/{removals['fingerprint']}",
            kind=kind,  # type: ignore[arg-type]  # of the three
            partition=number,
            num_partitions=num_partitions,
            removals=path,
            sources=tuple(item.source for item in items),
            fingerprint=fingerprint(made_of, kind, number),
        )
        for kind, number in wanted
    ]
