"""The seal of a finished output: one checksum instead of ten thousand records.

    OUT/state/seal.json    {"settings", "inputs", "files", "num_items"}

A run that finds its seal whole has nothing to do, and knows it without opening a record: 10,000
items have 30,000 of them and 60,000 files, which took 12 s to read and to look for. A seal says
what was asked for (the manifest, the key's fingerprint, models, code and libraries), of which
inputs (size and modification time of each), and which files came of it (names and sizes of all,
contents of those at the top and of the index). Where anything differs, the records decide; they
alone are the truth, and the seal is only ever written at the end of a run.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import xxhash

from pipeline.errors import PrepareError
from pipeline.files import LOCK_NAME, REPORT_NAME, file_hash, read_json, write_json
from pipeline.inputs import RUN_NAME, list_inputs
from pipeline.ledger import from_json
from pipeline.outcome import Outcome
from pipeline.plan import Fit, Plan, measuring_settings
from pipeline.records import code_fingerprint, fingerprint
from pipeline.shards import INDEX_NAME, read_index
from pipeline.sources.protocol import Input
from pipeline.stage import locked
from pipeline.text.pii.key import load_key
from pipeline.tokens.resolve import resolve_tokenizer

PLACE = "state/seal.json"
_UNSEALED = {Path(PLACE).name, LOCK_NAME, REPORT_NAME}


def finished_before(plan: Plan) -> Outcome | None:
    """What a finished run of this plan came to, if all is as it was then.

    Without Beam, whose import alone takes 1.1 s. Raises `UsageError` where another run is at work.
    """
    if not ((plan.out / PLACE).is_file() and _can_be_sealed(plan)):
        return None
    with locked(plan.out):
        return _sealed(plan)


def _sealed(plan: Plan) -> Outcome | None:
    try:
        seal = read_json(plan.out / PLACE)
    except PrepareError:
        return None  # a damaged seal is none
    inputs = list_inputs(plan)
    if seal.get("inputs") != _inputs(inputs) or seal.get("settings") != _settings(plan):
        return None
    return _outcome(plan, seal["num_items"]) if seal.get("files") == _files(plan.out) else None


def write_seal(plan: Plan, inputs: Mapping[str, list[Input]], num_items: Mapping[str, int]) -> None:
    """Seal what a run of this plan made of these inputs; the last thing that it does."""
    if not _can_be_sealed(plan):
        return
    seal = {
        "settings": _settings(plan),
        "inputs": _inputs(inputs),
        "files": _files(plan.out),
        "num_items": dict(num_items),
    }
    write_json(plan.out / PLACE, seal)


def _can_be_sealed(plan: Plan) -> bool:
    """Not where the outcome depends on more: other corpora, evaluation sets, what a hub holds."""
    manifest = plan.manifest
    return (
        manifest.dedup.index is None
        and not manifest.decontaminate
        and all(source.format != "hf" for source in manifest.sources)
    )


def _settings(plan: Plan) -> str:
    manifest = plan.manifest
    key = load_key(manifest.pii, plan.base)
    plan = Plan(manifest, plan.base, plan.out)
    plan = replace(plan, pii_key=None if key is None else key.fingerprint)
    identity = resolve_tokenizer(manifest.tokenizer, plan.base, plan.out)
    return fingerprint(
        manifest.model_dump(mode="json", exclude={"output"}),
        os.path.relpath(plan.base, plan.out),
        [measuring_settings(plan, source) for source in manifest.sources],
        identity.fingerprint,
        code_fingerprint("pipeline", "filters"),
    )


def _inputs(inputs: Mapping[str, list[Input]]) -> str | None:
    """None where a file's time is not known: it may be another one every time."""
    stats = {
        name: [(file.relative, file.size_bytes, file.modified) for file in files]
        for name, files in inputs.items()
    }
    if any(modified is None for files in stats.values() for *_, modified in files):
        return None
    return fingerprint(stats)


def _files(out: Path) -> str:
    """Names and sizes of all files, and the contents of the few that say what the others are."""
    digest = xxhash.xxh3_128()
    # By handles of folders: 0.45 s for 80,000 files, against 0.7 s by their paths.
    for root, folders, names, handle in os.fwalk(out):
        folders.sort()
        lines = [os.path.relpath(root, out)]
        for name in sorted(set(names) - _UNSEALED):
            size = os.stat(name, dir_fd=handle, follow_symlinks=False).st_size
            lines.append(f"{name}\0{size}")
        digest.update("\n".join([*lines, ""]).encode(errors="surrogateescape"))
    for path in [*sorted(out.iterdir()), out / "shards" / INDEX_NAME]:
        if path.is_file() and path.name not in _UNSEALED:
            digest.update(file_hash(path).encode())
    return digest.hexdigest()


def _outcome(plan: Plan, num_items: Mapping[str, int]) -> Outcome | None:
    run: dict[str, Any] = read_json(plan.out / RUN_NAME)
    ledger = from_json(read_json(plan.out / "ledger.json"))
    dedup = plan.records("deduplicate").read(run["deduplicate"][0])
    if dedup is None:
        return None  # of the size that was sealed, and yet not what was written
    fits = tuple(Fit(**fit) for fit in run["fits"])
    return Outcome(ledger, read_index(plan.out), dedup, dict(num_items), {}, fits)
