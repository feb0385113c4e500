"""What there is to read, and hashes of its contents.

Size and modification time only decide whether a file is hashed again: a fingerprint is of contents.
"""

import json
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.files import write_json
from pipeline.plan import Plan
from pipeline.progress import Advance
from pipeline.sources.protocol import Input


def list_inputs(plan: Plan) -> dict[str, list[Input]]:
    """The inputs of each source, in the order that numbers documents. Raises `SourceError`."""
    inputs = {source.name: plan.reader(source.name).inputs() for source in plan.manifest.sources}
    for name, files in inputs.items():
        if not files:
            raise SourceError(f"source {name}: got no input at all, want at least one file")
    return inputs


def content_hashes(plan: Plan, inputs: dict[str, list[Input]], done: Advance) -> dict[str, str]:
    """Fingerprint of the contents of every input, by path; calls `done` as they are known."""
    path = plan.out / "state" / "inputs.json"
    known = _known(path)
    fresh: dict[str, list[str | int | None]] = {}
    for name, files in inputs.items():
        reader = plan.reader(name)
        for file in files:
            seen = known.get(file.path)
            if seen and file.modified is not None and seen[:2] == [file.size_bytes, file.modified]:
                digest = seen[2]
            else:
                digest = reader.fingerprint(file)
            done(1)
            fresh[file.path] = [file.size_bytes, file.modified, digest]
    if fresh != known:
        write_json(path, fresh)
    return {file: str(entry[2]) for file, entry in fresh.items()}


def _known(path: Path) -> dict[str, list[str | int | None]]:
    if not path.is_file():
        return {}
    known: dict[str, list[str | int | None]] = json.loads(path.read_text(encoding="utf-8"))
    return known
