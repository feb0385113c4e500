"""Values that only a name before them makes what they are: `PESEL: 44051401359`."""

import re
from collections.abc import Callable, Sequence

from pipeline.text.pii.recognizer import DIGITS, WORD, Recognizer, Span, Starts, label_of
from pipeline.text.pii.triggers import Words

# From the name to the value, as in `the burgerservicenummer of <a person> is`
NAME_BYTES = 64
_MAX_VALUE_BYTES = 48

# No digit, letter or decimal comes before or after; a hyphen does before digits only. A comma
# separates columns, but after a 0 decimals; a slash goes before another value, not before a path.
NUMBER_STARTS = Starts(first=DIGITS, not_after=WORD)
BEFORE_NUMBER = rb"(?<![0-9A-Za-z_])(?<![0-9A-Za-z_][-./+])(?<![^0-9]0,)"
AFTER_NUMBER = rb"(?![0-9A-Za-z_]|[-.+][0-9A-Za-z_]|/(?![0-9A-Z][0-9A-Z .-]{6})[0-9A-Za-z_])"
# of numbers that could be amounts: no decimals after a comma
AFTER_PLAIN_NUMBER = AFTER_NUMBER + rb"(?!,[0-9]{1,2}(?![0-9,]))"


def named(
    kind: str,
    names: Sequence[bytes],
    pattern: re.Pattern[bytes],
    check: Callable[[bytes], bool],
    starts: Starts = NUMBER_STARTS,
) -> Recognizer:
    """Accepts what `pattern` matches and `check` holds valid if one of the names stands before it.

    That is on its line, or as a label on the line above. Names are in any case, begin a word or a
    part of one (`customer_ssn`, `customerSSN`), and may end in one: `steuer` names a
    `Steuernummer`. The pattern matches at most 48 bytes.
    """
    anywhere = b"(?i:" + b"|".join(re.escape(name) for name in names) + b")"
    is_named = re.compile(rb"(?<![0-9A-Za-z])" + anywhere + rb"|(?<=[a-z])(?=[A-Z])" + anywhere)

    def accept(match: re.Match[bytes]) -> Span | None:
        if not check(match[0]) or not is_named.search(label_of(match, NAME_BYTES)):
            return None
        return match.span()

    reach_bytes = NAME_BYTES + _MAX_VALUE_BYTES
    words = Words(words=tuple(names), reach_bytes=reach_bytes, begin_words=True)
    return Recognizer(kind=kind, trigger=words, pattern=pattern, accept=accept, starts=starts)


def number(*sizes: int, separators: bytes = b" -") -> re.Pattern[bytes]:
    """Digits in groups of these sizes, all separated by the same sign or all joined."""
    first, *rest = sizes
    groups = b"".join(rb"\1[0-9]{%d}" % size for size in rest)
    separated = rb"[0-9]{%d}([%s]?)(?:%s)" % (first, re.escape(separators), groups[2:])
    return re.compile(BEFORE_NUMBER + separated + AFTER_PLAIN_NUMBER)
