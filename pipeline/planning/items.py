"""The work items of the real run, as far as they are known without reading: how large each is.

A stage is over when its last item is, so a few large items take longer than their sum over the
workers. The sizes follow `pipeline.plan`: large files that cannot be split are read into chunks
first, small ones are put together.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.plan import ITEM_BYTES, SPOOL_BYTES
from pipeline.planning.drawing import Drawn
from pipeline.sources.protocol import Input, Reader

MANY_FILES = 2_000  # of which none is opened to see how it is split


@dataclass(frozen=True, slots=True)
class SourceItems:
    """Bytes of text of each item of one source, in order.

    `spooled` are the files that are read into chunks first, `refined` the items of `refine`, of
    which those that a chunk is for need not be read again; `read` says which are read there.
    """

    spooled: tuple[float, ...]
    refined: tuple[float, ...]
    is_read: tuple[bool, ...]


def items_of(reader: Reader, files: Sequence[Input], drawn: Drawn) -> SourceItems:
    """The items of a source whose text is `drawn.all_bytes` long."""
    ratio = drawn.all_bytes / max(1, drawn.stored_bytes)  # text for a stored byte
    spooled: list[float] = []
    refined: list[float] = []
    is_read: list[bool] = []
    group_bytes = group_text = 0.0
    for file in files:
        size = file.size_bytes or 0
        is_large = size > SPOOL_BYTES
        if is_large and not reader.is_splittable(file):
            spooled.append(size * ratio)
            chunks = max(1, round(size * ratio / ITEM_BYTES))
            refined += [size * ratio / chunks] * chunks
            is_read += [False] * chunks
            continue
        slices = len(reader.split(file)) if is_large or len(files) <= MANY_FILES else 1
        for _ in range(slices):
            group_bytes += size / slices
            group_text += size * ratio / slices
            if group_bytes >= ITEM_BYTES:
                refined.append(group_text)
                is_read.append(True)
                group_bytes = group_text = 0.0
    if group_text:
        refined.append(group_text)
        is_read.append(True)
    return SourceItems(tuple(spooled), tuple(refined), tuple(is_read))


def last_ends(seconds: Iterable[float], num_workers: int) -> float:
    """When the last item ends that is given to whichever worker is free first."""
    free = [0.0] * max(1, num_workers)
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)
