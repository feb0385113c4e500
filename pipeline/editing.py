"""The `edits` pass from the driver's side: scan all texts, find what repeats, write the table.

    OUT/edits/<fingerprint>/<kind>.<column>.npy   what `refine` reads
    OUT/state/edits/<fingerprint>.json            its record

The rows of the scan and the partitions are removed as soon as the table is there.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.deduplication import PARTITIONS_PER_RANGE, num_shuffle_rounds
from pipeline.edits.config import EditsConfig
from pipeline.edits.group import EARLY_RULES
from pipeline.edits.table import COLUMNS, write_column
from pipeline.files import remove_empty_folders, write_json
from pipeline.graph.each import EachItem
from pipeline.graph.edits import (
    REPEATS_FOLDER,
    FindRepeats,
    RepeatRange,
    ScanItem,
    group_bytes,
    kinds_of,
    partition_fingerprint,
    scan_item,
)
from pipeline.plan import ITEM_BYTES, EditTable, Plan, TextItem
from pipeline.records import Record, code_fingerprint, fingerprint
from pipeline.stage import Context, run_stage, tell_why

STAGE = "edits"
SCANNING = ("scan", "repeats")


def with_known_table(plan: Plan, items: Sequence[TextItem]) -> Plan:
    """The plan with the table of these texts, if it was made before."""
    if plan.manifest.edits is None:
        return plan
    record = plan.records(STAGE).load(_table_fingerprint(plan, items))
    return plan if record is None else replace(plan, edits=_table(record))


def edit(context: Context, items: Sequence[TextItem]) -> None:
    """Give the context's plan the table of these texts, making it if need be."""
    config = context.plan.manifest.edits
    if config is None:
        return
    context.plan = with_known_table(context.plan, items)
    context.count(STAGE, 1, int(context.plan.edits is None))
    if context.plan.edits is None:
        tell_why(context, STAGE, [_table_fingerprint(context.plan, items)])
        record = _make_table(context, config, items)
        context.plan = replace(context.plan, edits=_table(record))


def _table(record: Record) -> EditTable:
    contents = fingerprint({name: out["xxh3"] for name, out in record["outputs"].items()})
    return EditTable(record["fingerprint"], contents)


def _settings(plan: Plan) -> str:
    config = plan.manifest.edits
    assert config is not None
    rules = [rule for rule in plan.manifest.dedup.survivor if rule in EARLY_RULES]
    return fingerprint(
        config.model_dump(mode="json"),
        rules,
        {source.name: source.priority for source in plan.manifest.sources},
        code_fingerprint("pipeline/edits", "pipeline/keys.py", "pipeline/arrow.py")
        + code_fingerprint("pipeline/dedup/words.py", "pipeline/dedup/ranks.py")
        + code_fingerprint("pipeline/dedup/policy.py")
        + code_fingerprint("pipeline/graph/edits.py", "pipeline/editing.py"),
    )


def _table_fingerprint(plan: Plan, items: Sequence[TextItem]) -> str:
    return fingerprint(_settings(plan), [item.fingerprint for item in items])


def _make_table(context: Context, config: EditsConfig, items: Sequence[TextItem]) -> Record:
    plan, started = context.plan, time.monotonic()
    key = _table_fingerprint(plan, items)
    table = EditTable(key, "")
    scans = _scan(context, config, items)
    files = {kind: [scan["outputs"][kind]["path"] for scan in scans] for kind in kinds_of(config)}
    write_json(plan.out / table.folder / "files.json", files)
    outputs: dict[str, Path] = {}
    counts = {"num_bytes": sum(scan["counts"].get("num_bytes", 0) for scan in scans)}
    for kind in files:
        num_rows = sum(scan["counts"].get(kind, 0) for scan in scans)
        partitions = _find_repeats(context, table.folder, kind, num_rows)
        counts[f"num_{kind}"] = sum(record["counts"]["num_rows"] for record in partitions)
        paths = [plan.out / record["outputs"][kind]["path"] for record in partitions]
        for name in COLUMNS[kind]:
            path = plan.out / table.folder / f"{kind}.{name}.npy"
            write_column(path, name, paths, counts[f"num_{kind}"])
            outputs[path.stem] = path
    record = plan.records(STAGE).commit(key, outputs, counts, time.monotonic() - started)
    for stage in SCANNING:
        plan.records(stage).prune(())
    (plan.out / table.folder / "files.json").unlink()
    # What a killed run wrote and left no record of goes too.
    shutil.rmtree(plan.out / table.folder / REPEATS_FOLDER, ignore_errors=True)
    remove_empty_folders(plan.out / "edits")
    return record


def _scan(context: Context, config: EditsConfig, items: Sequence[TextItem]) -> list[Record]:
    """The records of all scans, in order. Groups of items depend on nothing but the inputs."""
    settings = _settings(context.plan)
    size = max(1, group_bytes(config) // ITEM_BYTES) if config.substrings else 1
    parts = [tuple(items[first : first + size]) for first in range(0, len(items), size)]
    work = [
        ScanItem(part, fingerprint(settings, [item.fingerprint for item in part])) for part in parts
    ]
    transform = EachItem(scan_item, plan=context.plan)
    done = run_stage(context, "scan", transform, work, label="edits: scan")
    return [done[item.fingerprint] for item in work]


def _find_repeats(context: Context, folder: str, kind: str, num_rows: int) -> list[Record]:
    """Partitions in order; the shuffle in as many ranges as the memory budget asks for."""
    num_ranges = num_shuffle_rounds(num_rows, context.memory_bytes, context.runner.num_workers)
    num_partitions = num_ranges * PARTITIONS_PER_RANGE
    ranges = [
        RepeatRange(
            folder,
            kind,
            number * PARTITIONS_PER_RANGE,
            (number + 1) * PARTITIONS_PER_RANGE,
            num_partitions,
            fingerprint(folder, kind, "range", number, num_ranges),
        )
        for number in range(num_ranges)
    ]

    def names(item: RepeatRange) -> list[str]:
        wanted = range(item.first, item.last)
        return [partition_fingerprint(folder, kind, n, num_partitions) for n in wanted]

    transform = FindRepeats(context.plan, folder, kind, num_partitions)
    records = run_stage(context, "repeats", transform, ranges, names, f"edits: {kind}")
    return sorted(records.values(), key=lambda record: int(record["counts"]["partition"]))
