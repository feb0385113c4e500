"""How two runs differ in what they were made of: config, model, shards, versions, machine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from training.reporting.reading import RunFiles

PLACES = frozenset({"out", "report", "shards", "model"})  # where things lie; what they are, is told


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not the same; values as text."""

    name: str
    a: str
    b: str


def config_differences(a: RunFiles, b: RunFiles) -> list[Difference]:
    """The keys of the config that differ, defaults included; a section that one lacks is one."""
    return [
        Difference(name=name, a=as_text(before), b=as_text(after))
        for name, before, after in _changed(a.config, b.config)
        if name not in PLACES
    ]


def origin_differences(a: RunFiles, b: RunFiles) -> list[Difference]:
    """Model, shards and tokenizer by their fingerprints, and versions, devices, processes."""
    before, after = origin(a), origin(b)
    return [
        Difference(name=name, a=before.get(name, "-"), b=after.get(name, "-"))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def origin(run: RunFiles) -> dict[str, str]:
    """What a run was made of, in short; empty for a run without run.json."""
    record = run.record
    if not record:
        return {}
    model = record["model"]
    shards = record["shards"]
    last = record["parts"][-1]
    return {
        "model": model["fingerprint"] or model["path"],
        "shards": ", ".join(sorted(each["fingerprint"] for each in shards)),
        "tokenizer": shards[0]["tokenizer"],
        **{f"version of {name}": value for name, value in record["versions"].items()},
        "device": last["device"],
        "processes": str(last["num_processes"]),
    }


def same(a: RunFiles, b: RunFiles, what: str) -> bool | None:
    """Whether both have the same `tokenizer`, `shards` or `model`; None: one did not write it."""
    before, after = origin(a).get(what), origin(b).get(what)
    return None if before is None or after is None else before == after


def as_text(value: Any) -> str:
    """As a config has it, in one line."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def _changed(a: Any, b: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _changed(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else key)
    elif a != b:
        yield prefix, a, b
