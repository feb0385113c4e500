"""What there is to read, and hashes of its contents.

Size and modification time only decide whether a file is hashed again: a fingerprint is of contents.
"""

import json
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.files import write_json
from pipeline.plan import Place, Plan
from pipeline.progress import Advance
from pipeline.sources.protocol import Input

# By source and path: size in bytes, modification time, hash of the contents.
Known = dict[str, dict[str, list[str | int | None]]]


def list_inputs(plan: Plan) -> dict[str, list[Input]]:
    """The inputs of each source, in the order that numbers documents. Raises `SourceError`."""
    inputs = {source.name: plan.reader(source.name).inputs() for source in plan.manifest.sources}
    for name, files in inputs.items():
        if not files:
            raise SourceError(f"source {name}: got no input at all, want at least one file")
    return inputs


def content_hashes(plan: Plan, inputs: dict[str, list[Input]], done: Advance) -> dict[Place, str]:
    """Fingerprint of the contents of every input; calls `done` as they are known."""
    path = plan.out / "state" / "inputs.json"
    known = _known(path)
    fresh: Known = {}
    for name, files in inputs.items():
        reader, seen = plan.reader(name), known.get(name, {})
        fresh[name] = {}
        for file in files:
            stat = [file.size_bytes, file.modified]
            before = seen.get(file.path)
            same = before is not None and before[:2] == stat and file.modified is not None
            digest = before[2] if before and same else reader.fingerprint(file)
            fresh[name][file.path] = [*stat, digest]
            done(1)
    if fresh != known:
        write_json(path, fresh)
    return {(name, file): str(fresh[name][file][2]) for name in fresh for file in fresh[name]}


def _known(path: Path) -> Known:
    if not path.is_file():
        return {}
    known: Known = json.loads(path.read_text(encoding="utf-8"))
    return known
