"""The fewest paths that match some files of a folder and no other file of it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from pipeline.initialising.listing import File

SPECIAL = frozenset("*?[]{}")


def globs_of(files: Sequence[File], all_names: Collection[str], *, top: bool) -> list[str]:
    """Paths relative to the folder. `all_names` are those of all files in it.

    With `top`, a pattern may be for the whole folder. Without, each folder in it is named, so that
    what is written there later, such as an output, is not read.
    """
    wanted = {file.relative for file in files}
    by_suffix: dict[str, set[str]] = defaultdict(set)
    for file in files:
        by_suffix[file.suffix].add(file.relative)
    found: list[str] = []
    for suffix, names in sorted(by_suffix.items()):
        others = {name for name in all_names if name.endswith(suffix)} - wanted
        start = _common_folder(names)
        found += _cover(start, suffix, names, others, top or bool(start))
    return found


def _common_folder(names: Iterable[str]) -> str:
    """The folder that all are in, ending in `/`; empty where that is the whole one."""
    folders = [name.split("/")[:-1] for name in names]
    least, most = min(folders), max(folders)
    pairs = enumerate(zip(least, most, strict=False))
    depth = next((n for n, (a, b) in pairs if a != b), min(len(least), len(most)))
    return "".join(f"{part}/" for part in least[:depth])


def _cover(
    folder: str, suffix: str, names: Iterable[str], others: Iterable[str], deep: bool
) -> list[str]:
    """Paths for the names below `folder`, which is empty or ends in `/`."""
    names, others = list(names), [name for name in others if name.startswith(folder)]
    is_plain = not SPECIAL & set(folder + suffix)
    below = [name for name in names if "/" in name[len(folder) :]]
    if not others and deep and is_plain and below:
        return [f"{folder}**/*{suffix}"]
    here = [name for name in names if "/" not in name[len(folder) :]]
    strangers = [name for name in others if "/" not in name[len(folder) :]]
    found = _in_folder(folder, suffix, here, strangers, is_plain)
    parts: dict[str, list[str]] = defaultdict(list)
    for name in below:
        parts[_next(folder, name)].append(name)
    for part, inner in sorted(parts.items()):
        beside = [name for name in others if name.startswith(part)]
        found += _cover(part, suffix, inner, beside, True)
    return found


def _in_folder(
    folder: str, suffix: str, names: Sequence[str], strangers: Sequence[str], is_plain: bool
) -> list[str]:
    if len(names) < 2 or not is_plain:
        return sorted(names)
    if not strangers:
        return [f"{folder}*{suffix}"]
    start = _common_start(names)
    if len(start) > len(folder) and not any(name.startswith(start) for name in strangers):
        return [f"{start}*{suffix}"]
    return sorted(names)


def _common_start(names: Sequence[str]) -> str:
    """What all begin with, without digits at its end: `docs-` of docs-000 and docs-001."""
    least, most = min(names), max(names)
    length = next(
        (n for n, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least)
    )
    start = least[:length].rstrip("0123456789")
    return "" if SPECIAL & set(start) else start


def _next(folder: str, name: str) -> str:
    return folder + name[len(folder) :].partition("/")[0] + "/"
