"""Why items of a stage are done again, told by the records that are there."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.records import MadeOf, Records

DAMAGED = "their records are damaged"
GONE = "files of theirs are gone"
CHANGED = {
    ("config",): "the config changed",
    ("code",): "the code changed",
    ("config", "code"): "config and code changed",
}


def reasons(store: Records, names: Sequence[str], made_of: Mapping[str, MadeOf]) -> str:
    """One sentence on these items, none of which is done; empty where none ever was.

    `made_of` has all items of the stage, done or not, by fingerprint. It is compared with what
    others, of the same contents, were made of; without it, only damaged records are told.
    """
    found: Counter[str] = Counter()
    before = _by_contents(store, made_of) if made_of else {}
    for name in names:
        if store.is_damaged(name):
            found[DAMAGED] += 1
        elif name not in made_of:
            continue
        elif store.path(name).is_file():
            found[GONE] += 1
        elif changed := _changed(made_of[name], before):
            found[CHANGED[changed]] += 1
    if not found:
        return ""
    told = ", ".join(f"{why} ({number:,})" for why, number in sorted(found.items()))
    return f"{found.total():,} items are done again: {told}"


def _by_contents(store: Records, known: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """What items of other names were made of. A run that goes on has none, and reads no record."""
    before = defaultdict(list)
    for record in store.others(known):
        if made_of := record.get("of"):
            before[made_of["contents"]].append(made_of)
    return before


def _changed(
    made_of: MadeOf, before: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[str, ...] | None:
    """What differs from the most alike of the items of the same contents; None: there is none."""
    now = asdict(made_of)
    differing = [
        tuple(part for part in ("config", "code") if one[part] != now[part])
        for one in before.get(made_of.contents, ())
    ]
    return min(differing, key=len, default=None)
