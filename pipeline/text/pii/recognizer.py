"""What every kind of PII is made of: a trigger that a kernel finds, a pattern, and a judgement.

The kernel (`triggers`) reads every byte of the corpus once and marks windows; patterns see windows
only. So a pattern must be such that each of its matches lies in a window of its trigger: a test
holds every recogniser to give the same spans on windows as on whole texts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

Span = tuple[int, int]  # begin, end in bytes

# Bytes of the same line that a judgement may look at. Windows carry more than that on either side.
CONTEXT_BYTES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognizer:
    """Finds one notation of one kind of PII.

    `pattern` works on UTF-8 bytes, takes time linear in the text, and never matches a line feed.
    `accept` checks a match (checksums, ranges, context) and returns the span to replace, or None.
    """

    kind: str
    trigger: int  # a bit of `triggers`
    pattern: re.Pattern[bytes]
    accept: Callable[[re.Match[bytes]], Span | None]

    def find(self, text: bytes) -> list[Span]:
        """The accepted spans in `text`, by begin; they do not overlap."""
        spans = map(self.accept, self.pattern.finditer(text))
        return [span for span in spans if span is not None]


def before(match: re.Match[bytes]) -> bytes:
    """At most `CONTEXT_BYTES` bytes that stand before the match on its line."""
    begin = match.start()
    return match.string[max(0, begin - CONTEXT_BYTES) : begin].rpartition(b"\n")[2]


def after(match: re.Match[bytes]) -> bytes:
    """At most `CONTEXT_BYTES` bytes that stand after the match on its line."""
    end = match.end()
    return match.string[end : end + CONTEXT_BYTES].partition(b"\n")[0]


def digits(text: bytes) -> bytes:
    """`text` without anything that is not an ASCII digit."""
    return re.sub(rb"[^0-9]", b"", text)
