"""`stratify` for one work item: which documents of a refined file's tokens are of which stratum.

It writes no token again: an order file says in which order packing reads the rows of a token file,
so that those of a stratum follow one another, in the order that they had.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.plan import Plan
from pipeline.records import NOTHING, MadeOf, Record
from pipeline.shards import SPLITS
from pipeline.signals import DocumentFiles, read_signal
from pipeline.strata import StrataConfig, stratum_numbers
from pipeline.tokens.token_file import document_keys, write_order


@dataclass(frozen=True, slots=True)
class StratifyItem:
    """A refined file, the token file of each split made of it, and the table of removals."""

    source: str
    strata: StrataConfig
    kept: str  # relative to the output directory, as all paths
    tokens: tuple[tuple[str, str], ...]  # (split, path)
    removals: str
    fingerprint: str
    made_of: MadeOf = NOTHING


def order_paths(out: Path, item: StratifyItem) -> dict[str, Path]:
    """The order file of each split."""
    folder = out / "strata" / item.source
    return {split: folder / f"{item.fingerprint}.{split}.arrow" for split in SPLITS}


def stratify_item(item: StratifyItem, plan: Plan) -> Record:
    """Sort the rows of each token file by stratum; count the documents of each, by number."""
    started = time.monotonic()
    tokens = {split: plan.out / path for split, path in item.tokens}
    files = DocumentFiles([plan.out / item.kept], list(tokens.values()), plan.out / item.removals)
    signal = read_signal(item.strata.by, files)
    paths, counts = order_paths(plan.out, item), {}
    for split, path in paths.items():
        numbers = stratum_numbers(signal.of(document_keys(tokens[split])), item.strata.edges)
        write_order(path, np.argsort(numbers, kind="stable"))
        counts[split] = np.bincount(numbers, minlength=len(item.strata.all_names)).tolist()
    seconds = time.monotonic() - started
    return plan.records("stratify").commit(
        item.fingerprint, paths, {"num_documents": counts}, seconds, item.made_of
    )
