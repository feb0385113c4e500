"""Files to sources: those of one folder, format and kind of text are one."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.initialising.columns import columns_of
from pipeline.initialising.fields import Fields, guess_fields
from pipeline.initialising.looking import Looked

MAX_SOURCES = 12
MAX_ROWS = 500  # that fields are guessed from
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes one source of the manifest."""

    name: str
    format: str
    looked: tuple[Looked, ...]
    fields: Fields | None
    is_code: bool
    is_per_line: bool

    @property
    def num_bytes(self) -> int:
        return sum(one.file.size_bytes for one in self.looked)

    @property
    def num_rows(self) -> float:
        return sum(one.num_rows for one in self.looked)

    @property
    def is_exact(self) -> bool:
        """Whether `num_rows` was counted, not estimated."""
        return all(one.is_exact for one in self.looked)

    @property
    def dataset(self) -> str | None:
        return self.looked[0].dataset

    @property
    def languages(self) -> list[str]:
        """Of programs, the most frequent first."""
        counted = Counter(one.language for one in self.looked if one.language)
        return [language for language, _ in counted.most_common()]


Key = tuple[object, ...]


def group(looked: Sequence[Looked], folder_name: str) -> list[Group]:
    """Sources of the files that can be read, the largest first, names once each."""
    readable = [one for one in looked if one.format is not None]
    parts = _parted(readable, by_folder=True)
    if len(parts) > MAX_SOURCES:
        parts = _parted(readable, by_folder=False)
    groups = [_group(part, folder_name) for part in parts]
    return _named(sorted(groups, key=lambda one: -one.num_bytes))


def _parted(looked: Sequence[Looked], *, by_folder: bool) -> list[list[Looked]]:
    parts: dict[Key, list[Looked]] = defaultdict(list)
    for one in looked:
        kind = one.fields.kind if one.fields else ()
        own = one.file.relative if one.format == "hf" and one.dataset != "json" else None
        top = _top(one) if by_folder else ""
        key = (top, one.format, kind, one.language is not None, one.is_per_line, own)
        parts[key].append(one)
    return list(parts.values())


def _top(one: Looked) -> str:
    first, slash, _ = one.file.relative.partition("/")
    return first if slash else ""


def _group(looked: Sequence[Looked], folder_name: str) -> Group:
    first = looked[0]
    assert first.format is not None
    return Group(
        name=_name(looked, folder_name),
        format=first.format,
        looked=tuple(looked),
        fields=_fields(looked),
        is_code=first.language is not None,
        is_per_line=first.is_per_line,
    )


def _fields(looked: Sequence[Looked]) -> Fields | None:
    """Of the rows of all, unless together they say something else than each."""
    first = looked[0].fields
    if first is None:
        return None
    each = max(1, MAX_ROWS // len(looked))
    rows = [row for one in looked for row in one.rows[:each]][:MAX_ROWS]
    found = guess_fields(columns_of(rows))
    return found if found.kind == first.kind else first


def _name(looked: Sequence[Looked], folder_name: str) -> str:
    """The folder that they are in, or what their names begin with."""
    tops = {_top(one) for one in looked}
    if len(tops) == 1 and (top := tops.pop()):
        return _clean(top)
    stems = [one.file.relative.rpartition("/")[2].partition(".")[0] for one in looked]
    start = _common_start(stems).rstrip("0123456789").strip("-_ ")
    start = re.sub(r"[-_](part|shard|chunk)$", "", start)
    return _clean(start if len(start) > 2 else folder_name)


def _common_start(names: Sequence[str]) -> str:
    least, most = min(names), max(names)
    pairs = enumerate(zip(least, most, strict=False))
    return least[: next((n for n, (a, b) in pairs if a != b), len(least))]


def _clean(name: str) -> str:
    return NOT_IN_NAMES.sub("-", name).strip("-_") or "data"


def _named(groups: Sequence[Group]) -> list[Group]:
    """With the format, and then a number, where a name is not enough."""
    twice = Counter(one.name.lower() for one in groups)
    seen: Counter[str] = Counter()
    named = []
    for one in groups:
        kind = "code" if one.is_code else one.format
        name = f"{one.name}-{kind}" if twice[one.name.lower()] > 1 else one.name
        seen[name.lower()] += 1
        number = seen[name.lower()]
        named.append(replace(one, name=name if number == 1 else f"{name}-{number}"))
    return named
