"""What every kind of PII is made of: a trigger that a kernel finds, a pattern, and a judgement.

The kernel (`triggers`) reads every byte of the corpus once and marks windows; patterns see windows
only. So a pattern must be such that each of its matches lies in a window of its trigger: a test
holds every recogniser to give the same spans on windows as on whole texts.
"""

import bisect
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.text.pii.triggers import Trigger

Span = tuple[int, int]  # begin, end in bytes

# Bytes of the same line that a judgement may look at. Windows carry more than that on either side.
CONTEXT_BYTES = 40
# From what a found value may have kept from being one to that value
_REACH_BYTES = 64
_MAX_LABEL_BYTES = 24
_BLANK = b" \t\r>|*"


LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = b"0123456789"
WORD = LETTERS + DIGITS + b"_"


class Starts(NamedTuple):
    """The bytes that matches of a pattern begin with, and those that stand before none of them."""

    first: bytes
    not_after: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognizer:
    r"""Finds one notation of one kind of PII.

    `pattern` works on UTF-8 bytes, takes time linear in the text, and never matches the byte 0xFF
    (which stands in no UTF-8, and between windows): write `[^ \xff]`, not `[^ ]`.
    `accept` checks a match (checksums, ranges, context) and returns the span to replace, or None.
    With `starts` the pattern is tried at such places of a window only. Nearly all of a window is
    margin, so that takes a fifth of what a search through it takes.

    What is found is hidden at once behind a tag of the same length, as its tag will be in the end.
    So values in a list are found together, though each keeps what stands beside it from being one.
    """

    kind: str
    trigger: Trigger
    pattern: re.Pattern[bytes]
    accept: Callable[[re.Match[bytes]], Span | None]
    starts: Starts | None = None

    def find(self, text: bytes) -> list[Span]:
        """The accepted spans in `text`, by begin; they do not overlap."""
        if self.starts is None:
            return self.find_in(bytearray(text))
        places = [match.start() for match in _start_pattern(self.starts).finditer(text)]
        return self.find_at(bytearray(text), places)

    def find_in(self, text: bytearray) -> list[Span]:
        """The same in a text that is changed meanwhile, and left as it came."""
        found, hidden = [], []
        for match in self.pattern.finditer(text):
            span = self.accept(match)
            if span is not None:
                found.append(span)
                hidden.append(self._hide(text, span))
        _show(text, found, hidden)
        return found

    def find_at(self, text: bytearray, places: Sequence[int]) -> list[Span]:
        """The same of the matches that begin at these places, in order, and in no span found.

        First from left to right, then backwards from each span that was found: of what stands
        right before it, it may have been all that spoke against it.
        """
        found, hidden, end = [], [], 0
        for place in places:
            if place < end or (match := self.pattern.match(text, place)) is None:
                continue
            span = self.accept(match)
            if span is not None:
                found.append(span)
                hidden.append(self._hide(text, span))
                end = span[1]
        for index in range(len(found) - 1, -1, -1):
            floor = found[index - 1][1] if index else 0
            more = self._backwards(text, places, floor, found[index][0])
            found += (span for span, _ in more)
            hidden += (before for _, before in more)
        _show(text, found, hidden)
        return sorted(found)

    def _backwards(
        self, text: bytearray, places: Sequence[int], floor: int, begin: int
    ) -> list[tuple[Span, bytes]]:
        """What is found between floor and begin, of what stands close to begin or to a find."""
        found = []
        index = bisect.bisect_left(places, begin)
        while index and places[index - 1] >= max(floor, begin - _REACH_BYTES):
            index -= 1
            match = self.pattern.match(text, places[index])
            span = None if match is None else self.accept(match)
            if span is not None and span[1] <= begin:
                found.append((span, self._hide(text, span)))
                begin = span[0]
        return found

    def _hide(self, text: bytearray, span: Span) -> bytes:
        """What stood there."""
        begin, end = span
        before = bytes(text[begin:end])
        text[begin:end] = _cover(self.kind, end - begin)
        return before


def _show(text: bytearray, spans: Sequence[Span], hidden: Sequence[bytes]) -> None:
    for (begin, end), before in zip(spans, hidden, strict=True):
        text[begin:end] = before


@functools.lru_cache(maxsize=4096)
def _cover(kind: str, size: int) -> bytes:
    """So many bytes that end in the kind's tag, or in as much of it as there is room for."""
    name = kind.upper().encode()[: max(0, size - 2)]
    return (b"[" + name + b"]").rjust(size, b"[")[-size:]


@functools.cache
def _start_pattern(starts: Starts) -> re.Pattern[bytes]:
    none = b"(?<![" + re.escape(starts.not_after) + b"])" if starts.not_after else b""
    return re.compile(none + b"[" + re.escape(starts.first) + b"]")


def before(match: re.Match[bytes], num_bytes: int = CONTEXT_BYTES) -> bytes:
    """At most so many bytes that stand before the match on its line.

    More than `CONTEXT_BYTES` only to look for the words of the trigger: its windows hold those.
    """
    begin = match.start()
    return bytes(match.string[max(0, begin - num_bytes) : begin]).rpartition(b"\n")[2]


def label_of(match: re.Match[bytes], num_bytes: int = CONTEXT_BYTES) -> bytes:
    r"""`before`, or where the match begins its line, the line above if it is but a label: `Tel:\n`.

    A label is short, or ends in a colon.
    """
    begin = match.start()
    above, feed, line = bytes(match.string[max(0, begin - num_bytes) : begin]).rpartition(b"\n")
    if not feed or line.strip(_BLANK):
        return line
    label = above.rpartition(b"\n")[2].rstrip(_BLANK)
    is_label = label.endswith(b":") or len(label) <= _MAX_LABEL_BYTES
    return label + line if is_label else line


def after(match: re.Match[bytes]) -> bytes:
    """At most `CONTEXT_BYTES` bytes that stand after the match on its line."""
    end = match.end()
    return bytes(match.string[end : end + CONTEXT_BYTES]).partition(b"\n")[0]


def digits(text: bytes) -> bytes:
    """`text` without anything that is not an ASCII digit."""
    return re.sub(rb"[^0-9]", b"", text)
