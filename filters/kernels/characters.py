"""What the kernels know of each code point: white space, letters, marks, bullets.

White space is Unicode's property White_Space, 25 code points that no version has changed since 6.3.
Letters are the general categories L*, as `str.isalpha`; marks are M*. Both are those of Python's
`unicodedata`, so a character that is newer than UNICODE_VERSION is neither.
"""

import functools
import unicodedata

import numpy as np

UNICODE_VERSION = unicodedata.unidata_version
NUM_CODE_POINTS = 0x110000

SPACE, LETTER, MARK, BULLET = 1, 2, 4, 8  # flags

WHITE_SPACE = (
    *range(0x09, 0x0E),
    *(0x20, 0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)

BULLETS = "•‣◦▪-*"  # what a line of a list begins with; no paper says which they are

# Where letters and marks are: planes 0 to 3, and the variation selectors of plane 14. A test looks
# at the rest, which would take another 0.1 s at every start.
_LETTERED = (range(0x40000), range(0xE0000, 0xE0200))


@functools.cache
def character_flags() -> np.ndarray:
    """SPACE, LETTER, MARK, BULLET of each code point: uint8 (NUM_CODE_POINTS,), read-only.

    Takes 0.05 s, once per process.
    """
    flags = np.zeros(NUM_CODE_POINTS, np.uint8)
    of_major = {"L": LETTER, "M": MARK}
    for block in _LETTERED:
        majors = (unicodedata.category(chr(point))[0] for point in block)
        flags[block.start : block.stop] = [of_major.get(major, 0) for major in majors]
    flags[list(WHITE_SPACE)] = SPACE
    flags[[ord(bullet) for bullet in BULLETS]] |= BULLET
    flags.flags.writeable = False
    return flags
