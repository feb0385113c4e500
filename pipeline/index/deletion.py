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
    """The names of a text file, one a line, ended by \\n or \\r\\n; empty lines do not count.

    Nothing else ends a line, and nothing is stripped but a byte order mark: white space and other
    separators of lines may be in an id. Raises `UsageError` where there is no name.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{path}: cannot be read ({exc}); give a UTF-8 file, an id a line"
        ) from exc
    ids = [name for line in text.split("\n") if (name := line.removesuffix("\r"))]
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
