"""A compiled loop that counts sentences."""

import numpy as np

from filters.kernels.categories import CLOSER, LOWER, TERMINAL, TERMINALS
from filters.kernels.characters import SPACE
from filters.kernels.compiled import kernel
from filters.kernels.text import decode

LF, CR, BRACE = 0x0A, 0x0D, 0x7B

_LOOK = np.zeros(256, np.bool_)  # bytes that a terminal or a line end begins with, and "{"
_LOOK[[LF, CR, BRACE]] = True
_LOOK[[chr(point).encode()[0] for first, last in TERMINALS for point in range(first, last + 1)]] = 1


@kernel
def count_sentences(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    categories: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Sentences, and opening curly brackets, of each text. Most bytes are passed over at once."""
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        begin, sentences, braces = at, 0, 0
        while at < stop:
            byte = data[at]
            if not _LOOK[byte]:
                at += 1
            elif byte == BRACE:
                braces += 1
                at += 1
            elif byte in (LF, CR):
                sentences += _has_text(data, begin, at, flags)
                at += 1
                begin = at
            else:
                code, after = decode(data, at, stop)
                if categories[code] & TERMINAL:
                    wide = code >= 0x80
                    at, wide = _after_marks(data, after, stop, categories, wide)
                    if wide or _ends(data, at, stop, flags, categories):
                        sentences += 1
                        begin = at
                else:
                    at = after
        counts[0, row] = sentences + _has_text(data, begin, stop, flags)
        counts[1, row] = braces


@kernel
def _has_text(data: np.ndarray, at: int, stop: int, flags: np.ndarray) -> bool:
    while at < stop:
        code, at = decode(data, at, stop)
        if not flags[code] & SPACE:
            return True
    return False


@kernel
def _after_marks(
    data: np.ndarray, at: int, stop: int, categories: np.ndarray, wide: bool
) -> tuple[int, bool]:
    """Where terminals and closers are over, and whether a terminal was none of ASCII."""
    while at < stop:
        code, after = decode(data, at, stop)
        if not categories[code] & (TERMINAL | CLOSER):
            break
        wide = wide or (code >= 0x80 and categories[code] & TERMINAL != 0)
        at = after
    return at, wide


@kernel
def _ends(data: np.ndarray, at: int, stop: int, flags: np.ndarray, categories: np.ndarray) -> bool:
    """Whether the marks before `at` end a sentence: white space follows, then no lower case."""
    if at == stop:
        return True
    code, at = decode(data, at, stop)
    if not flags[code] & SPACE:
        return False
    while flags[code] & SPACE and code not in (LF, CR) and at < stop:
        code, at = decode(data, at, stop)
    return not categories[code] & LOWER
