"""From what the sample came to, to what all documents will: numbers of documents, and bytes."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.ledger import Ledger, SourceLedger
from pipeline.planning.drawing import Drawn, Stratum
from pipeline.planning.duplicates import Removed
from pipeline.planning.prediction import Disk
from pipeline.planning.trying import Tried
from pipeline.records import Record

BY_RULE = ("dropped", "quarantined", "changes", "pii")


def predicted_ledger(
    strata: Sequence[Stratum],
    refined: Sequence[Record],
    tokenised: Sequence[Record],
    drawn: Mapping[str, Drawn],
    removed: Mapping[str, Removed],
) -> Ledger:
    """The ledger of the run; its sums meet but for rounding."""
    ledger: Ledger = {}
    for name, one in drawn.items():
        together = zip(strata, refined, tokenised, strict=True)
        found = [each for each in together if each[0].source == name]
        ledger[name] = _source(found, one, removed.get(name))
    return ledger


def _source(
    found: Sequence[tuple[Stratum, Record, Record]], drawn: Drawn, removed: Removed | None
) -> SourceLedger:
    rows: dict[str, float] = defaultdict(float)
    by_rule: dict[str, dict[str, float]] = {name: defaultdict(float) for name in BY_RULE}
    for stratum, refined, tokenised in found:
        counts, tokens = refined["counts"], tokenised["counts"]
        for name in ("num_read", "num_kept", "num_undated"):
            rows[name] += counts[name] * stratum.scale_rows
        for name in ("num_read_bytes", "num_kept_bytes"):
            rows[name] += counts[name] * stratum.scale_bytes
        rows["removed"] += sum(tokens["removed"].values()) * stratum.scale_rows
        rows["num_packed"] += tokens["num_documents"] * stratum.scale_rows
        rows["num_packed_bytes"] += tokens["num_bytes"] * stratum.scale_bytes
        rows["num_tokens"] += tokens["num_tokens"] * stratum.scale_bytes
        for name, counted in by_rule.items():
            for rule, number in counts[name].items():
                counted[rule] += number * stratum.scale_rows
    for rule, number in drawn.quarantined.items():
        by_rule["quarantined"][rule] += number / drawn.coverage
        rows["num_read"] += number / drawn.coverage
    num_removed = 0.0 if removed is None else min(removed.total, rows["num_kept"])
    stays = (rows["num_kept"] - num_removed) / max(1.0, rows["num_kept"] - rows["removed"])
    return SourceLedger(
        num_read=round(rows["num_read"]),
        num_read_bytes=round(rows["num_read_bytes"]),
        num_kept=round(rows["num_kept"]),
        num_kept_bytes=round(rows["num_kept_bytes"]),
        num_undated=round(rows["num_undated"]),
        dropped=_rounded(by_rule["dropped"]),
        quarantined=_rounded(by_rule["quarantined"]),
        skipped=_rounded({k: v / drawn.coverage for k, v in drawn.skipped.items()}),
        changes=_rounded(by_rule["changes"]),
        pii=_rounded(by_rule["pii"]),
        removed=_rounded({} if removed is None else removed.by_rule),
        num_packed=round(rows["num_kept"] - num_removed),
        num_packed_bytes=round(rows["num_packed_bytes"] * stays),
        num_tokens=round(rows["num_tokens"] * stays),
    )


def _rounded(counted: Mapping[str, float]) -> Counter[str]:
    return Counter({name: round(number) for name, number in counted.items() if round(number)})


def predicted_disk(
    strata: Sequence[Stratum],
    few: Tried,
    tried: Tried,
    num_items: int,
    shard_bytes: float,
    spool_bytes: float,
) -> Disk:
    """What lies in the output at the end.

    Of each stratum the files of both runs give a price a byte of text, and what a file has whatever
    is in it.
    """
    refined, refined_each = _priced(strata, few.refined, tried.refined)
    tokens, tokens_each = _priced(strata, few.tokenised, tried.tokenised)
    rest = sum(path.stat().st_size for path in _others(tried.out))
    return Disk(
        refined=refined + num_items * refined_each,
        tokens=tokens + num_items * tokens_each,
        shards=shard_bytes,
        rest=float(rest),
        spool=spool_bytes,
    )


def _priced(
    strata: Sequence[Stratum], few: Sequence[Record], many: Sequence[Record]
) -> tuple[float, float]:
    """Bytes of all documents, and bytes of an item's files without documents."""
    total = 0.0
    empty: list[float] = []
    for stratum, first, second in zip(strata, few, many, strict=True):
        size, num = _bytes(second), _text(second)
        least, some = _bytes(first), _text(first)
        price = (size - least) / (num - some) if num > 2 * some else size / max(1, num)
        empty.append(max(0.0, size - price * num))
        total += price * num * stratum.scale_bytes
    return total, sum(empty) / max(1, len(empty))


def _bytes(record: Record) -> int:
    return sum(output["bytes"] for output in record["outputs"].values())


def _text(record: Record) -> int:
    counts = record["counts"]
    return int(counts["num_read_bytes"] if "num_read_bytes" in counts else counts["num_bytes"])


def _others(out: Path) -> list[Path]:
    """Files of no stage that is told of apart: the tokenizer's copy, records, the ledger."""
    known = ("refined", "tokens", "shards")
    return [
        path
        for path in out.rglob("*")
        if path.is_file() and path.relative_to(out).parts[0] not in known
    ]
