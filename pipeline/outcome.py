"""What a run did, as its command tells it."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.ledger import Ledger
from pipeline.plan import Fit
from pipeline.records import Record
from pipeline.shards import ShardIndex


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    ledger: Ledger
    index: ShardIndex
    dedup: Record
    num_items: dict[str, int] = field(default_factory=dict)
    num_run: dict[str, int] = field(default_factory=dict)
    fits: tuple[Fit, ...] = ()
    overlaps: tuple[dict[str, Any], ...] = ()  # `Report` of each evaluation set

    @property
    def nothing_to_do(self) -> bool:
        """Every item was done before."""
        return not any(self.num_run.values())
