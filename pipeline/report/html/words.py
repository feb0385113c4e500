"""Numbers as a person reads them on the page."""

MEGABYTE = 1e6


def count(number: float) -> str:
    """With thousands set apart."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """In three digits and a unit: 1.23 M."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def megabytes(num_bytes: float) -> str:
    """As a number of MB, with what a small corpus needs of digits."""
    value = num_bytes / MEGABYTE
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def share(part: float, whole: float) -> str:
    """In percent; a few of many are not 0."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if part and percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.1f} %"


def limit(value: float) -> str:
    """A threshold or a value of a signal, in at most four digits if it is no whole number."""
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:.4g}"


def seconds(value: float) -> str:
    if value >= 3600:
        return f"{value / 3600:.1f} h"
    if value >= 120:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
