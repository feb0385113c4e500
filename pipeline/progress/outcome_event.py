"""The last event of `--json`: what a run came to."""

from pathlib import Path
from typing import Any

from pipeline.ledger import SourceLedger, to_json
from pipeline.outcome import Outcome


def outcome_values(outcome: Outcome, out: Path) -> dict[str, Any]:
    """The ledger as in `ledger.json`, its sums over all sources, and the shards."""
    entries = list(outcome.ledger.values())
    shards = outcome.index.shards
    return {
        "out": str(out),
        "nothing_to_do": outcome.nothing_to_do,
        "num_items": outcome.num_items,
        "num_items_run": outcome.num_run,
        "num_shards": len(shards),
        "num_rows": sum(shard.num_rows for shard in shards),
        "sequence_tokens": outcome.index.sequence_tokens,
        **_sums(entries),
        "ledger": to_json(outcome.ledger),
    }


def _sums(entries: list[SourceLedger]) -> dict[str, int]:
    return {
        "num_documents": sum(entry.num_read for entry in entries),
        "num_bytes": sum(entry.num_read_bytes for entry in entries),
        "num_kept": sum(entry.num_kept for entry in entries),
        "num_dropped": sum(entry.dropped.total() for entry in entries),
        "num_quarantined": sum(entry.quarantined.total() for entry in entries),
        "num_removed": sum(entry.removed.total() for entry in entries),
        "num_packed": sum(entry.num_packed for entry in entries),
        "num_tokens": sum(entry.num_tokens for entry in entries),
    }
