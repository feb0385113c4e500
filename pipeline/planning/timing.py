"""How long the stages will take: what every run takes, and the price of the documents.

The first run over the sample, of a few documents, gives what every run takes. What the items of the
second one took more, by their own records, is the price of its documents; of `refine` by source,
because texts are cleaned and measured at different speeds. Reading is priced where the sample was
drawn. A stage ends with its last item.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pipeline.planning.drawing import Drawn, Stratum
from pipeline.planning.items import SourceItems, last_ends
from pipeline.planning.prediction import Stage
from pipeline.planning.trying import Tried

STARTING, INPUTS, SPOOL, REFINE = "start", "inputs", "spool", "refine"
WRITE_SECONDS = 1.5e-9  # a byte of text that is spooled: Arrow files at 700 MB/s
# Of the last rounds of deduplication, which compare pairs, and of all that follows `refine`.
AFTER = ("candidates", "verify", "tokenise", "stratify", "pack")


def predicted_stages(
    strata: Sequence[Stratum],
    drawn: Mapping[str, Drawn],
    items: Mapping[str, SourceItems],
    few: Tried,
    tried: Tried,
    *,
    start_seconds: float,
    hash_seconds: float,
    num_workers: int,
) -> tuple[Stage, ...]:
    """All stages in order, by the clock."""
    known = sum(few.seconds.values())
    start = start_seconds + max(0.0, few.total_seconds - known)
    stages = [Stage(STARTING, None, start, start), Stage(INPUTS, None, hash_seconds, 0.0)]
    read = {name: one.read_seconds / max(1, one.num_bytes) for name, one in drawn.items()}
    spool = [
        size * (read[name] + WRITE_SECONDS) for name, one in items.items() for size in one.spooled
    ]
    if spool:
        stages.append(Stage(SPOOL, len(spool), last_ends(spool, num_workers), 0.0))
    price = _refine_price(strata, few, tried)
    work = [
        size * (price[name] + (read[name] if is_read else 0.0))
        for name, one in items.items()
        for size, is_read in zip(one.refined, one.is_read, strict=True)
        if name in price
    ]
    fixed = few.seconds[REFINE]
    stages.append(Stage(REFINE, len(work), fixed + last_ends(work, num_workers), fixed))
    scale = _scale(strata, tried)
    for name in (*_between(few), *AFTER):
        if name in tried.seconds:
            more = max(0.0, tried.work[name] - few.work[name]) * scale / num_workers
            stages.append(Stage(name, None, few.seconds[name] + more, few.seconds[name]))
    return tuple(stages)


def _between(few: Tried) -> list[str]:
    """Stages that only some manifests have, in the order in which they ran."""
    return [name for name in few.seconds if name not in (INPUTS, SPOOL, REFINE, *AFTER)]


def _refine_price(strata: Sequence[Stratum], few: Tried, tried: Tried) -> dict[str, float]:
    """Seconds a byte of text of each source, in one process; weighted as all documents are."""
    seconds: dict[str, float] = defaultdict(float)
    num_bytes: dict[str, float] = defaultdict(float)
    for stratum, first, second in zip(strata, few.refined, tried.refined, strict=True):
        size, least = second["counts"]["num_read_bytes"], first["counts"]["num_read_bytes"]
        if size <= 2 * least:  # too few of them for a difference
            continue
        price = max(0.0, second["seconds"] - _quick(few)) / size
        whole = size * stratum.scale_bytes
        seconds[stratum.source] += price * whole
        num_bytes[stratum.source] += whole
    mean = sum(seconds.values()) / max(1.0, sum(num_bytes.values()))
    return {
        one.source: seconds[one.source] / num_bytes[one.source] if num_bytes[one.source] else mean
        for one in strata
    }


def _quick(few: Tried) -> float:
    """What an item takes whatever is in it: the quickest one, in a process that is warm."""
    return min((float(record["seconds"]) for record in few.refined), default=0.0)


def _scale(strata: Sequence[Stratum], tried: Tried) -> float:
    """How many times the text that was kept of the sample will be kept of all."""
    kept = [record["counts"]["num_kept_bytes"] for record in tried.refined]
    whole = sum(size * one.scale_bytes for size, one in zip(kept, strata, strict=True))
    return float(whole / max(1, sum(kept)))
