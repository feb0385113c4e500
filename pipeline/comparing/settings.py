"""How two outputs differ in manifest, inputs, tokenizer and shards."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.explaining.output import Output
from pipeline.files import read_json
from pipeline.inputs import RUN_NAME
from pipeline.shards import read_index

NAMED_BY = ("name", "use")  # what an entry of a list is called: a source, a filter
PLACES = frozenset({"output"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not the same; values as JSON, null where there is none."""

    name: str
    a: Any
    b: Any


def settings_differences(a: Output, b: Output) -> list[Difference]:
    """The keys of the manifests that differ, defaults included."""
    before, after = (output.plan.manifest.model_dump(mode="json") for output in (a, b))
    return [each for each in changed(before, after) if each.name not in PLACES]


def origin_differences(a: Output, b: Output) -> list[Difference]:
    """Inputs of each source, tokenizer and shards, by their fingerprints."""
    return list(changed(origin(a), origin(b)))


def origin(output: Output) -> dict[str, Any]:
    """Fingerprints; those of inputs are of files, sizes and contents."""
    index = read_index(output.out)
    return {
        "inputs": read_json(output.out / RUN_NAME).get("inputs", {}),
        "tokenizer": index.tokenizer.fingerprint,
        "shards": index.fingerprint(),
    }


def changed(a: Any, b: Any, prefix: str = "") -> Iterator[Difference]:
    """The leaves that differ. Entries of lists are met by their names, else the list is a leaf."""
    if a == b:
        return
    if _is_named(a) and _is_named(b):
        yield from changed(_by_name(a), _by_name(b), prefix)
        if [*_by_name(a)] != [*_by_name(b)] and {*_by_name(a)} == {*_by_name(b)}:
            yield Difference(name=f"{prefix} (order)", a=[*_by_name(a)], b=[*_by_name(b)])
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from changed(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else key)
    else:
        yield Difference(name=prefix, a=a, b=b)


def as_text(value: Any) -> str:
    """In one line; a word as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_named(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and all(
            isinstance(entry, Mapping) and any(key in entry for key in NAMED_BY) for entry in value
        )
        and not isinstance(value, str)
    )


def _by_name(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By name; the second of one name is `name#2`."""
    seen: Counter[str] = Counter()
    named = {}
    for entry in entries:
        name = next(str(entry[key]) for key in NAMED_BY if key in entry)
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name}#{seen[name]}"] = entry
    return named
