"""Numbers as a page and a terminal show them; what is not known is a dash."""

import math

NOTHING = "-"


def figure(value: float | None) -> str:
    """Four digits that count."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.3f}" if 0.01 <= abs(value) < 10_000 or value == 0 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """With its sign."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:+.2f} %" if abs(value) < 10_000 else f"{value:+.3g} %"


def count(value: float | None) -> str:
    """A whole number."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """In the largest unit that has one whole."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
