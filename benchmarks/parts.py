"""Which parts of a benchmark are asked for, by names with commas between."""

import argparse
from collections.abc import Collection


def chosen(text: str, parts: Collection[str]) -> tuple[str, ...]:
    """The names in `text`, all of them among `parts`; for argparse."""
    names = tuple(text.split(","))
    if unknown := sorted(set(names) - set(parts)):
        raise argparse.ArgumentTypeError(f"got {', '.join(unknown)}, want of {', '.join(parts)}")
    return names
