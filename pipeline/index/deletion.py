"""Taking documents out of an index: they are marked, and no look-up finds them any more."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.index.segments import (
    DELETED_NAME,
    DOCUMENTS_NAME,
    Segment,
    joined,
    numbers_of,
    read,
    write_deleted,
)


class Deleted(NamedTuple):
    """What was done to one segment."""

    segment: str
    num_documents: int  # newly deleted


def read_ids(path: Path) -> pa.Array:
    """The ids of a text file, one a line; white space around them and empty lines do not count."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{path}: cannot be read ({exc}); give a UTF-8 file, an id a line"
        ) from exc
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UsageError(f"{path}: got no id at all, want one a line")
    return pa.array(ids, pa.string())


def delete_ids(segments: Sequence[Segment], ids: pa.Array) -> list[Deleted]:
    """Delete the documents of these ids from segments; nothing where none of them is in one."""
    done = []
    for segment in segments:
        path = segment.data / DELETED_NAME
        before = [read(path)] if path.is_file() else []
        found = list(numbers_of(segment.data / DOCUMENTS_NAME, "id", ids))
        table = joined([*before, *found])
        num_fresh = table.num_rows - sum(part.num_rows for part in before)
        if num_fresh:
            write_deleted(segment, table)
        done.append(Deleted(segment.name, num_fresh))
    return done
