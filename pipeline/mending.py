"""`prepare run --mend`: every file of an output read, and its item done again if it is damaged.

A run believes a record whose files have their sizes: to read them all would take as long as to
check them. So a file that was changed and kept its size is found by those who read all of it,
`prepare verify` and this. Only records are taken away; what is made again has the same bytes, as
long as the inputs, the manifest and the code are the same.
"""

from pathlib import Path

from pipeline.erasing.staging import roll_forward
from pipeline.files import file_hash
from pipeline.records import Record, Records
from pipeline.stage import Context


def forget_damaged(context: Context) -> None:
    """Take away the records of all files that have other bytes; the output is locked."""
    out = context.plan.out
    roll_forward(out)  # until it has ended, files and records do not fit together
    (out / "state" / "seal.json").unlink(missing_ok=True)
    folders = sorted(path for path in (out / "state").glob("*") if path.is_dir())
    stores = [Records(out, folder.name) for folder in folders]
    records = [(store, record) for store in stores for record in store.all()]
    damaged: dict[str, int] = {}
    with context.reporter.stage("check", len(records), 0) as advance:
        for store, record in records:
            if _is_damaged(out, record):
                store.remove(record["fingerprint"])
                damaged[store.stage] = damaged.get(store.stage, 0) + 1
            advance(1)
    for stage, number in damaged.items():
        context.reporter.note(f"{stage}: {number:,} items are done again: their files are damaged")


def _is_damaged(out: Path, record: Record) -> bool:
    """Whether a file of an item is there and not what was written; one that is gone is missed."""
    return any(
        (out / output["path"]).is_file() and file_hash(out / output["path"]) != output["xxh3"]
        for output in record["outputs"].values()
    )
