"""Good and bad examples: lines of `{"id": ..., "good": true}` or `{"text": ..., "good": true}`.

An example with an id is the document of that id in the manifest's inputs, all of which are read
until every id is found. One with a text is treated as a document of the source that its field
`source` names, by default the first one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.calibration.measuring import Mask
from pipeline.errors import UsageError
from pipeline.inputs import list_inputs
from pipeline.plan import Plan
from pipeline.sources.schema import DOCUMENT, document_schema

WANTED = '{"id": ..., "good": true} or {"text": ..., "good": false}'


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file of examples says."""

    path: Path
    by_id: dict[str, bool]
    texts: tuple[tuple[str, str, str, bool], ...]  # id, text, source, whether it is good

    def documents(self, plan: Plan) -> Iterator[tuple[str, pa.RecordBatch]]:
        """All examples that there are, DOCUMENT, each batch with its source."""
        for source in plan.manifest.sources:
            rows = [row for row in self.texts if row[2] == source.name]
            if rows:
                yield source.name, _documents(self.path, rows)
        yield from self._found(plan)

    def good(self, ids: pa.StringArray) -> Mask:
        """Which documents are good, by their ids."""
        known = self.by_id | {row[0]: row[3] for row in self.texts}
        return np.array([known[name] for name in ids.to_pylist()], np.bool_)

    def _found(self, plan: Plan) -> Iterator[tuple[str, pa.RecordBatch]]:
        missing = set(self.by_id)
        wanted = pa.array(sorted(missing), pa.string())
        for source, files in list_inputs(plan).items() if missing else ():
            reader, batches = plan.reader(source), []
            pieces = (piece for file in files for piece in reader.split(file))
            for rows in (rows for piece in pieces for rows in reader.read(piece)):
                found = rows.documents.filter(pc.is_in(rows.documents["id"], value_set=wanted))
                if found.num_rows:
                    missing.difference_update(found["id"].to_pylist())
                    segmented = plan.source(source).is_segmented
                    batches.append(found.cast(document_schema(segmented=segmented)))
                if not missing:
                    break
            if batches:
                yield source, pa.concat_batches(batches)  # together: a batch has its own cost
            if not missing:
                return


def read_labels(path: Path, plan: Plan) -> Labels:
    """Read a file of examples. Raises `UsageError` unless there are good and bad ones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path}: cannot be read ({exc}); want JSON lines of {WANTED}") from exc
    sources = [source.name for source in plan.manifest.sources]
    by_id: dict[str, bool] = {}
    texts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(f"{path}:{number}", line)
        if "text" in row:
            source = row.get("source", sources[0])
            if source not in sources:
                known = ", ".join(sources)
                raise UsageError(f"{path}:{number}: got the source {source!r}, want of {known}")
            texts.append((f"{path.name}#{number}", row["text"], source, row["good"]))
        else:
            by_id[row["id"]] = row["good"]
    given = {*by_id.values(), *(row[3] for row in texts)}
    if given != {True, False}:
        raise UsageError(f"{path}: want good examples and bad ones, at least one of each")
    return Labels(path, by_id, tuple(texts))


def _row(where: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        raise UsageError(f"{where}: not JSON ({exc}); want {WANTED}") from exc
    named = row.get("text", row.get("id")) if isinstance(row, dict) else None
    if not isinstance(named, str) or not isinstance(row.get("good"), bool):
        raise UsageError(f"{where}: got {line[:100]}, want {WANTED}")
    return dict(row)


def _documents(path: Path, rows: list[tuple[str, str, str, bool]]) -> pa.RecordBatch:
    columns = [
        {"id": name, "text": text, "source": source, "source_path": path.name, "source_row": number}
        for number, (name, text, source, _) in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(columns, schema=DOCUMENT)
