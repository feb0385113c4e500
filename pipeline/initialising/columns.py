"""What the first values of a column look like: the evidence for what its role is."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.dates import parse_dates
from pipeline.sources.segmented import CALLS, CONTENT, ROLE

HTML = re.compile(r"<(?:!doctype|html|head|body|div|p|table|span)[\s>]", re.IGNORECASE)
URL = re.compile(r"(?:https?|ftp|file)://\S+")
HEAD_CHARS = 20_000
MAX_DEPTH = 20  # of objects in which a text is looked for


@dataclass(frozen=True, slots=True)
class Column:
    """Shares are of the rows that have a value there, but `filled`, which is of all rows."""

    name: str
    filled: float
    strings: float  # that are texts
    mean_chars: float  # of those
    spaces: float  # of their characters: prose has 0.15, base64 and hashes none
    distinct: float
    urls: float
    dates: float
    pages: float  # of HTML
    messages: float  # lists of {role, content}
    shared_messages: float  # lists of {from, value}, as ShareGPT has them
    nested: str | None = None  # the longest string within an object, by its path
    nested_chars: float = 0.0

    @property
    def is_text(self) -> bool:
        return self.strings > 0.5


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Every column of some rows, in the order of their first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [_column(name, [row.get(name) for row in rows]) for name in names]


def _column(name: str, values: Sequence[Any]) -> Column:
    present = [value for value in values if value is not None and value != ""]
    texts = [_text(value) for value in present if isinstance(value, str | bytes)]
    num = max(1, len(present))
    heads = [text[:HEAD_CHARS] for text in texts]
    held = max(1, sum(map(len, heads)))
    path, chars = _longest_within(present)
    return Column(
        name=name,
        filled=len(present) / max(1, len(values)),
        strings=len(texts) / num,
        mean_chars=sum(map(len, texts)) / max(1, len(texts)),
        spaces=sum(_num_breaks(head) for head in heads) / held,
        distinct=len(set(map(_identity, present))) / num,
        urls=sum(URL.fullmatch(text.strip()) is not None for text in texts) / num,
        dates=_share_of_dates(present) / num,
        pages=sum(HTML.search(head) is not None for head in heads) / num,
        messages=sum(_is_messages(value, ROLE, CONTENT) for value in present) / num,
        shared_messages=sum(_is_messages(value, "from", "value") for value in present) / num,
        nested=path,
        nested_chars=chars,
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _num_breaks(text: str) -> int:
    """White space, and characters of scripts that write without it."""
    return sum(char.isspace() or "\u0e00" <= char <= "\u0eff" or char >= "\u3000" for char in text)


def _identity(value: Any) -> str:
    if isinstance(value, dict | list):
        return ""  # no name of a row; and as text, a deep one is more than Python can do
    return value if isinstance(value, str) else repr(value)


def _share_of_dates(values: Sequence[Any]) -> int:
    """How many are dates; numbers of few digits are years as well as anything else."""
    written = [str(value) for value in values if isinstance(value, str | int | float)]
    written = [value if len(value) >= 8 else "" for value in written]
    times = sum(hasattr(value, "isoformat") for value in values)
    dates = parse_dates(pa.array(written, pa.string()))
    return times + len(written) - int(dates.null_count)


def _is_messages(value: Any, role: str, content: str) -> bool:
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(one, dict)
            and isinstance(one.get(role), str)
            and isinstance(one.get(content), str)
            and not any(one.get(call) for call in CALLS)
            for one in value
        )
    )


def _longest_within(values: Sequence[Any]) -> tuple[str | None, float]:
    """The string of most characters within the objects and lists of a column."""
    found: dict[str, int] = {}
    for value in values:
        if isinstance(value, dict | list):
            for path, text in _strings(value, ""):
                found[path] = found.get(path, 0) + len(text)
    if not found:
        return None, 0.0
    path = max(found, key=lambda one: found[one])
    return path, found[path] / len(values)


def _strings(value: Any, path: str) -> list[tuple[str, str]]:
    """Strings with their paths, to `MAX_DEPTH`: Python gives up where a value is nested deeper."""
    found: list[tuple[str, str]] = []
    waiting = [(value, path, 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if isinstance(value, str):
            found.append((path, value))
        elif depth == MAX_DEPTH:
            continue
        elif isinstance(value, dict):
            waiting += [(one, f"{path}.{key}", depth + 1) for key, one in value.items()]
        elif isinstance(value, list):
            waiting += [(one, f"{path}[]", depth + 1) for one in value]
    return found
