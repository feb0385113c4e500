"""Exact similarity of the candidate pairs of one file, read back in offset order.

Texts come from the refined files where they lie: of the members one file, of the hubs a block at a
time. No text crosses a shuffle.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dedup.candidates import Edges, concatenate, no_edges, unique_edges
from pipeline.dedup.survivors import LEAK_SIMILARITY, Verified
from pipeline.dedup.verify import containment, jaccard, shingle_sets
from pipeline.graph.deduplicate import file_list, read_rows, write_rows
from pipeline.plan import Plan
from pipeline.records import Record
from pipeline.refined import COMPARED, RowReader
from pipeline.removals import ROW_BITS

HUB_BYTES = 32_000_000  # of hubs' texts held at once; members are one file's, 16 to 20 MB


@dataclass(frozen=True, slots=True)
class VerifyItem:
    """The candidate pairs of one round whose member stands in one refined file."""

    folder: str
    file: int
    round: int
    edges: tuple[str, ...]  # files of edges, relative to the output directory
    fingerprint: str


def verify_file(item: VerifyItem, plan: Plan) -> Record:
    """Exact similarity of the pairs of one file: unique over bands, in offset order."""
    started = time.monotonic()
    folder = plan.out / item.folder
    place = folder / f"round-{item.round}"
    edges = [_edges_of(plan.out / path, item.file) for path in item.edges]
    known = [
        read_verified(path).edges
        for number in range(1, item.round)
        if (path := folder / f"round-{number}" / f"verified-{item.file:05d}.arrow").is_file()
    ]
    pairs = unique_edges(concatenate(edges), concatenate([no_edges(), *known]))
    similarity, reverse = _similarities(pairs, folder, plan)
    path = place / f"verified-{item.file:05d}.arrow"
    write_rows(path, {**pairs._asdict(), "similarity": similarity, "reverse": reverse})
    counts = {
        "num_pairs": len(similarity),
        "num_similar": int((similarity >= LEAK_SIMILARITY).sum()),
    }
    seconds = time.monotonic() - started
    return plan.records("verify").commit(item.fingerprint, {"verified": path}, counts, seconds)


def _similarities(pairs: Edges, folder: Path, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """`similarity` and `reverse` of `Verified`, float64 (m,) each.

    Members stand in one file; hubs are read by file, about `HUB_BYTES` of text at a time.
    """
    similarity, reverse = np.zeros((2, len(pairs.hub)))
    if not len(similarity):
        return similarity, reverse
    config, files = plan.manifest.dedup, file_list(folder)
    kept = [plan.out / path for path in files["kept"].to_pylist()]
    members, member_index = np.unique(pairs.member, return_inverse=True)
    member_sets = shingle_sets(_texts(kept, members), config)
    hubs, hub_index = np.unique(pairs.hub, return_inverse=True)
    for first, texts in _text_blocks(kept, hubs):
        hub_sets = shingle_sets(texts, config)
        chosen = np.flatnonzero((hub_index >= first) & (hub_index < first + len(texts)))
        sets = (hub_sets, hub_index[chosen] - first, member_sets, member_index[chosen])
        if config.by_containment:
            reverse[chosen], similarity[chosen] = containment(*sets)
        else:
            reverse[chosen] = similarity[chosen] = jaccard(*sets)
    return similarity, reverse


def _text_blocks(kept: list[Path], docs: np.ndarray) -> Iterator[tuple[int, pa.StringArray]]:
    """Texts of ascending documents in blocks, each with the number of its first document."""
    first, block, num_bytes = 0, [], 0
    for _, part in _by_file(docs):
        texts = _texts(kept, part)
        block.append(texts)
        num_bytes += texts.nbytes
        if num_bytes >= HUB_BYTES:
            yield first, pa.concat_arrays(block)
            first, block, num_bytes = first + sum(map(len, block)), [], 0
    if block:
        yield first, pa.concat_arrays(block)


def _texts(kept: list[Path], docs: np.ndarray) -> pa.StringArray:
    return take_column(kept, docs, COMPARED)


def take_column(files: list[Path], docs: np.ndarray, column: str) -> pa.Array:
    """A column of ascending documents, each file opened once and read in offset order."""
    parts = []
    for number, part in _by_file(docs):
        rows = (part & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
        parts.append(RowReader(files[number], column).take(rows, column))
    return pa.concat_arrays(parts)


def _by_file(docs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Ascending documents in parts, each with the number of its file."""
    numbers, starts = np.unique(docs >> np.uint64(ROW_BITS), return_index=True)
    bounds = np.append(starts, len(docs))
    for place, number in enumerate(numbers.tolist()):
        yield number, docs[bounds[place] : bounds[place + 1]]


def _edges_of(path: Path, file: int) -> Edges:
    """The edges whose member stands in a file; edge files are sorted by member."""
    edges = read_rows(path, Edges)
    bounds = np.array([file, file + 1], dtype=np.uint64) << np.uint64(ROW_BITS)
    low, high = np.searchsorted(edges.member, bounds)
    return Edges(*(column[low:high] for column in edges))


def read_verified(path: Path) -> Verified:
    """The verified pairs of one file and round."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    edges = Edges(*(table[name].to_numpy() for name in Edges._fields))
    return Verified(edges, table["similarity"].to_numpy(), table["reverse"].to_numpy())
