"""Counts of cleaning in words, for one document or for all of a run."""

from collections.abc import Mapping

# Name of the count in `CHANGES`: one of them, more of them, what was done.
_COUNTED = {
    "num_mojibake_repaired": ("garbled line", "garbled lines", "repaired"),
    "num_control_removed": ("control character", "control characters", "removed"),
    "num_invisible_removed": ("invisible character", "invisible characters", "removed"),
    "num_line_ends_changed": ("line end", "line ends", "changed to LF"),
    "num_dehyphenated": ("broken word", "broken words", "put together"),
}
# Counts of documents, so that of one document the number says nothing.
_DONE = {
    "html_stripped": "HTML made text",
    "whitespace_collapsed": "white space collapsed",
    "unicode_normalised": "Unicode normalised",
}


def cleaning(changes: Mapping[str, int], *, of_many: bool = False) -> str:
    """What was done, in the order of `changes`; nothing for what is 0. `of_many`: these are sums
    over documents."""
    return ", ".join(_said(name, number, of_many) for name, number in changes.items() if number)


def _said(name: str, number: int, of_many: bool) -> str:
    if name in _COUNTED:
        one, more, done = _COUNTED[name]
        return f"{number:,} {one if number == 1 else more} {done}"
    if not of_many:
        return _DONE[name]
    return f"{_DONE[name]} in {number:,} {'document' if number == 1 else 'documents'}"


def with_prefix(changes: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The counts whose names begin so, without it, in the order of their names."""
    return {
        name.removeprefix(prefix): changes[name]
        for name in sorted(changes)
        if name.startswith(prefix)
    }
