"""Which parts of a benchmark are asked for, and the corpus that some of them need."""

import argparse
from collections.abc import Collection
from pathlib import Path


def chosen(text: str, parts: Collection[str]) -> tuple[str, ...]:
    """The names in `text`, all of them among `parts`; for argparse."""
    names = tuple(text.split(","))
    if unknown := sorted(set(names) - set(parts)):
        raise argparse.ArgumentTypeError(f"got {', '.join(unknown)}, want of {', '.join(parts)}")
    return names


def corpus_of(options: argparse.Namespace) -> Path:
    """The folder of `--corpus`, for a part that cannot do without."""
    if options.corpus is None:
        raise SystemExit("benchmark: --corpus: got none, want a folder of docs-*.jsonl.zst")
    corpus: Path = options.corpus
    return corpus
