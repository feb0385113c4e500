"""What there is to read, hashes of its contents, and whether it is what a finished output is of.

Size and modification time only decide whether a file is hashed again: a fingerprint is of contents.
So a file that was touched is as it was, and so is one whose folder has moved with the manifest.

An output that is finished is of certain inputs. When one of these has other contents, is gone, or
another one has come, whoever runs it again must say that this is meant. An output that is not
finished takes the inputs as they are: no shard is made of what was read so far, and items of other
contents have other fingerprints. Changes of the manifest are meant: files that come or go because a
source is found otherwise are no changes of inputs.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pipeline.configfile import load
from pipeline.errors import ManifestError, PrepareError, SourceError, UsageError
from pipeline.files import file_hash, read_json, write_json
from pipeline.manifest import Manifest
from pipeline.plan import Place, Plan
from pipeline.progress import Advance
from pipeline.records import fingerprint
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input

RUN_NAME, MANIFEST_NAME = "run.json", "manifest.yaml"  # of a finished output
# What decides which files a source has; `hf` has its whole configuration in its fingerprint.
FINDING = ("format", "paths", "dataset", "config_name", "split", "data_files", "streaming", "part")
NUM_NAMED = 5
VERSION = 2  # of `state/inputs.json`; the first one had absolute paths

# By source and `relative`: size in bytes, modification time, hash of the contents.
Known = dict[str, dict[str, list[str | int | None]]]


class Changes(NamedTuple):
    """Source and `relative` of inputs that differ from those of the finished output, sorted."""

    changed: list[Place]
    gone: list[Place]
    new: list[Place]


def list_inputs(plan: Plan) -> dict[str, list[Input]]:
    """The inputs of each source, in the order that numbers documents. Raises `SourceError`."""
    inputs = {source.name: plan.reader(source.name).inputs() for source in plan.manifest.sources}
    for name, files in inputs.items():
        if not files:
            raise SourceError(f"source {name}: got no input at all, want at least one file")
    return inputs


def content_hashes(
    plan: Plan,
    inputs: dict[str, list[Input]],
    done: Advance,
    may_change: Collection[Place] | None = None,
) -> dict[Place, str]:
    """Fingerprint of the contents of every input; calls `done` as they are known.

    `may_change` names the inputs (source and `relative`) that may differ from those of a finished
    output, None all. Raises `UsageError` where others do, and has changed nothing then.
    """
    path = plan.out / "state" / "inputs.json"
    known = _known(path)
    fresh: Known = {name: {} for name in inputs}
    for name, files in inputs.items():
        reader, seen = plan.reader(name), known.get(name, {})
        for file in files:
            stat = [file.size_bytes, file.modified]
            before = seen.get(file.relative)
            same = before is not None and before[:2] == stat and file.modified is not None
            is_asked = may_change is not None and (name, file.relative) in may_change
            digest = before[2] if before and same and not is_asked else reader.fingerprint(file)
            fresh[name][file.relative] = [*stat, digest]
        done(len(files))
    if may_change is not None:
        if not known:
            _check_as_told(plan, fresh)
        _check_unchanged(plan, changes(plan, known, fresh), may_change)
    if fresh != known:
        write_json(path, {"version": VERSION, "sources": fresh})
    return {
        (name, file.path): str(fresh[name][file.relative][2])
        for name, files in inputs.items()
        for file in files
    }


def contents_of(fresh: Known) -> dict[str, str]:
    """A hash of all that each source has, which `run.json` keeps."""
    return {
        name: fingerprint(sorted((file, one[2]) for file, one in files.items()))
        for name, files in fresh.items()
    }


def read_contents(out: Path) -> dict[str, str]:
    """Those of the inputs of a finished output; of none where it does not tell."""
    try:
        contents: dict[str, str] = read_json(out / RUN_NAME).get("inputs", {})
    except PrepareError:
        return {}
    return contents


def known_contents(out: Path) -> dict[str, str]:
    """Those of the inputs that were read last."""
    return contents_of(_known(out / "state" / "inputs.json"))


def _check_as_told(plan: Plan, fresh: Known) -> None:
    """Raise `UsageError` where it is not known which input is another one, only that one is."""
    told, now = read_contents(plan.out), contents_of(fresh)
    before = _finished_sources(plan)
    wrong = [
        name
        for name, contents in told.items()
        if now.get(name, contents) != contents and before.get(name) == plan.source(name)
    ]
    if wrong:
        raise UsageError(
            f"{plan.out}: finished, but the inputs of {', '.join(wrong)} are not what it was made "
            "of (which of them, state/inputs.json would tell, and it is gone or damaged); use "
            "`prepare run --refresh` to redo what depends on them, put back what was there, or "
            "give another output (--set output=DIR) and keep this one as it is"
        )


def _known(path: Path) -> Known:
    try:
        values = read_json(path)
    except PrepareError:
        return {}  # a damaged one is none
    known: Known = values["sources"] if values.get("version") == VERSION else {}
    return known


def changes(plan: Plan, known: Known, fresh: Known) -> Changes:
    """What differs, if the output is finished, of the sources that it has had."""
    found = Changes([], [], [])
    for name, before in _finished_sources(plan).items():
        if name not in fresh or name not in known:
            continue
        source, old, new = plan.source(name), known[name], fresh[name]
        if source.format != "hf" or source == before:
            both = sorted(old.keys() & new.keys())
            found.changed.extend((name, file) for file in both if old[file][2] != new[file][2])
        if all(getattr(source, key) == getattr(before, key) for key in FINDING):
            found.gone.extend((name, file) for file in sorted(old.keys() - new.keys()))
            found.new.extend((name, file) for file in sorted(new.keys() - old.keys()))
    return found


def _finished_sources(plan: Plan) -> dict[str, SourceConfig]:
    if not (plan.out / RUN_NAME).is_file():
        return {}
    if _is_manifest_damaged(plan.out):  # so that nobody can say what has changed in it
        return {source.name: source for source in plan.manifest.sources}
    try:
        manifest = load(plan.out / MANIFEST_NAME, Manifest, error=ManifestError)
    except ManifestError:
        return {}  # of another version of Headwater, which redoes everything anyway
    return {source.name: source for source in manifest.sources}


def _is_manifest_damaged(out: Path) -> bool:
    try:
        told = read_json(out / RUN_NAME).get("manifest_xxh3")
    except PrepareError:
        return False
    path = out / MANIFEST_NAME
    return told is not None and not (path.is_file() and file_hash(path) == told)


def _check_unchanged(plan: Plan, found: Changes, may_change: Collection[Place]) -> None:
    wrong = {
        kind: [file for source, file in places if (source, file) not in may_change]
        for kind, places in found._asdict().items()
    }
    num_wrong = sum(map(len, wrong.values()))
    if not num_wrong:
        return
    left, told = NUM_NAMED, []
    for kind, files in wrong.items():
        if named := files[:left]:
            told.append(f"{kind}: {', '.join(named)}")
            left -= len(named)
    more = f", and {num_wrong - NUM_NAMED:,} more" if num_wrong > NUM_NAMED else ""
    verb = "input is" if num_wrong == 1 else "inputs are"
    raise UsageError(
        f"{plan.out}: finished, but {num_wrong:,} {verb} not what it was made of: "
        f"{'; '.join(told)}{more}; use `prepare run --refresh` to redo what depends on "
        f"{'it' if num_wrong == 1 else 'them'}, put back what was there, or give another output "
        "(--set output=DIR) and keep this one as it is"
    )
