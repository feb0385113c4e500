"""Foreign text made fit for a terminal: what would act on it, or not be seen, is shown instead.

A text may hold escape sequences that move the cursor, rename the window or hide what follows, and
marks that turn the direction of a line. Control characters are shown as their symbols (U+2400 on)
or as escapes, and so are format characters; the two joiners stay, because scripts and emoji need
them, and so do the Arabic signs that are of that category but are seen.
"""

import io
import sys
import unicodedata

_SEEN = {0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class _Shown(dict[int, str | int]):
    """What stands for a code point, found when it is first met."""

    def __missing__(self, point: int) -> str | int:
        self[point] = shown = _shown(point)
        return shown


def _shown(point: int) -> str | int:
    if unicodedata.category(chr(point)) not in _HIDDEN or point in _SEEN:
        return point
    if point < 0x20:
        return 0x2400 + point
    if point == 0x7F:
        return 0x2421
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


_TABLE = _Shown()


def visible(text: str) -> str:
    """On one line: line ends and tabs are shown as their symbols, too."""
    return text.translate(_TABLE)


def visible_lines(text: str) -> list[str]:
    """Line by line; a tab is four spaces."""
    return [visible(line.replace("\t", "    ")) for line in text.split("\n")]


def replace_what_cannot_be_printed() -> None:
    """A terminal that is not UTF-8 gets escapes instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
