"""What `prepare run` prints at the end: the funnel, as a table for a person."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.ledger import Ledger, SourceLedger
from pipeline.outcome import Outcome
from pipeline.report.changes import cleaning, with_prefix

MEGABYTE = 1e6


def print_outcome(outcome: Outcome, out: Path, console: Console) -> None:
    """The funnel: documents and bytes per stage and source, with what each rule dropped."""
    if outcome.nothing_to_do:
        num_items = sum(outcome.num_items.values())
        console.print(
            f"Nothing to do: all {num_items} work items of {out} are done.", soft_wrap=True
        )
    # Not as the table's title, which would be broken to the table's width.
    console.print("Where the documents went", style="table.title")
    console.print(funnel_table(outcome.ledger))
    console.print(totals(outcome))
    for line in _fits(outcome):
        console.print(line, soft_wrap=True)
    for line in _strata(outcome):
        console.print(line)
    for line in _overlaps(outcome):
        console.print(line, soft_wrap=True)
    for line in _notes(outcome):
        console.print(line)


def funnel_table(ledger: Ledger) -> Table:
    """Documents and MB of every source, a row a stage and rule."""
    table = Table()
    table.add_column("stage")
    for source in ledger:
        table.add_column(source, justify="right")
        table.add_column("MB", justify="right")
    for label, cells in funnel_rows(ledger):
        table.add_row(label, *cells)
    return table


def funnel_rows(ledger: Ledger) -> list[tuple[str, list[str]]]:
    """Label and cells of each row: documents and MB of every source."""
    entries = list(ledger.values())
    rows = _skips(entries)
    rows.append(("read", _cells(entries, lambda e: (e.num_read, e.num_read_bytes))))
    rows += _losses(entries, "quarantined")
    rows += _losses(entries, "dropped")
    rows.append(("refined", _cells(entries, lambda e: (e.num_kept, e.num_kept_bytes))))
    rows += _losses(entries, "removed")
    rows.append(("packed", _cells(entries, lambda e: (e.num_packed, e.num_packed_bytes))))
    return rows


def _skips(entries: list[SourceLedger]) -> list[tuple[str, list[str]]]:
    """A row for each kind of record that is no row, before what is read."""
    names = sorted({name for entry in entries for name in entry.skipped})
    return [
        (f"  no document: {name}", [cell for e in entries for cell in (f"{e.skipped[name]:,}", "")])
        for name in names
    ]


def _losses(entries: list[SourceLedger], counter: str) -> list[tuple[str, list[str]]]:
    """A row for each reason of one kind."""
    names = sorted({name for entry in entries for name in getattr(entry, counter)})
    return [(f"  {counter}: {name}", _minus(entries, counter, name)) for name in names]


def _cells(entries: list[SourceLedger], of: Callable[[SourceLedger], tuple[int, int]]) -> list[str]:
    cells = []
    for entry in entries:
        number, num_bytes = of(entry)
        cells += [f"{number:,}", f"{num_bytes / MEGABYTE:,.1f}"]
    return cells


def _minus(entries: list[SourceLedger], counter: str, name: str) -> list[str]:
    cells = []
    for entry in entries:
        number = getattr(entry, counter)[name]
        cells += [f"-{number:,}" if number else "", ""]
    return cells


def totals(outcome: Outcome) -> str:
    shards = outcome.index.shards
    tokens = sum(shard.num_tokens for shard in shards)
    slots = sum(shard.num_rows for shard in shards) * outcome.index.sequence_tokens
    noun = "shard" if len(shards) == 1 else "shards"
    return (
        f"{tokens:,} tokens in {len(shards)} {noun} of {outcome.index.sequence_tokens}-token rows, "
        f"{tokens / max(slots, 1):.2%} of the slots used."
    )


def _fits(outcome: Outcome) -> list[str]:
    """A line for each filter and source whose thresholds were fitted, with their values."""
    lines = []
    for fit in outcome.fits:
        values = ", ".join(f"{name} {json.dumps(v)}" for name, v in sorted(fit.parameters.items()))
        if values:
            found = f"fitted to {fit.num_documents:,} documents that reached it: {values}."
        else:
            found = "not fitted: no document reached it."
        lines.append(f"{fit.source}: {fit.filter} {found}")
    return lines


def _strata(outcome: Outcome) -> list[str]:
    """A line for each stratum of each source, lowest first."""
    tokens: Counter[tuple[str, str | None, str]] = Counter()
    for shard in outcome.index.shards:
        tokens[shard.source, shard.stratum, shard.split] += shard.num_tokens
    return [
        f"{source}/{name}: {num_documents:,} documents, {tokens[source, name, 'train']:,} tokens "
        f"to train on, {tokens[source, name, 'validation']:,} to validate on."
        for source, entry in outcome.ledger.items()
        for name, num_documents in entry.strata.items()
    ]


def _overlaps(outcome: Outcome) -> list[str]:
    """A line for each evaluation set: what was found of it, and what was done."""
    lines = []
    for found in outcome.overlaps:
        number = sum(found["num_documents"].values())
        documents = "document overlaps" if number == 1 else "documents overlap"
        line = (
            f"{found['name']}: {number:,} {documents} with {found['num_matched_items']:,} of "
            f"{found['num_items']:,} items; action: {found['action']}."
        )
        if found["num_unmatchable_items"]:
            line += f" {found['num_unmatchable_items']:,} items are too short to be found."
        lines.append(line)
    if lines:
        lines.append("Which documents and items: decontamination.json.")
    return lines


_EDITS = {
    "edited.lines.num_dropped": "lines",
    "edited.paragraphs.num_dropped": "paragraphs",
    "edited.substrings.num_bytes": "bytes of substrings",
}


_PII = {
    "tag": "PII replaced by tags",
    "pseudonym": "PII replaced by pseudonyms",
    "hash": "PII replaced by hashes",
    "remove": "PII removed",
    "drop_document": "PII in documents dropped for it",
}


def _pii_notes(found: Counter[str]) -> Iterator[str]:
    """A sentence for each mode, on counts by `kind:mode`."""
    for mode, what in _PII.items():
        kinds = [
            f"{name.removesuffix(f':{mode}')} {number:,}"
            for name, number in _most(found, "")
            if name.endswith(f":{mode}")
        ]
        if kinds:
            yield f"{what}: {', '.join(kinds)}."


def _notes(outcome: Outcome) -> list[str]:
    notes: list[str] = []
    changes = sum((entry.changes for entry in outcome.ledger.values()), start=Counter())
    pii = sum((entry.pii for entry in outcome.ledger.values()), start=Counter())
    if cleaned := cleaning(with_prefix(changes, "clean."), of_many=True):
        notes.append(f"Cleaned: {cleaned}.")
    notes.extend(_pii_notes(pii))
    edits = [
        f"{_EDITS[name]} {n:,}" for name, n in _most(changes, "edited.") if n and name in _EDITS
    ]
    if edits:
        notes.append("Cut because they repeat: " + ", ".join(edits) + ".")
    for source, entry in outcome.ledger.items():
        if entry.num_undated:
            notes.append(f"{source}: {entry.num_undated:,} documents have no date: the oldest.")
    dedup = outcome.dedup["counts"]
    if dedup.get("num_unresolved"):
        notes.append(
            f"{dedup['num_unresolved']:,} documents had candidates left after the last round."
        )
    notes += _index_notes(dedup)
    fallbacks = sum(entry.num_tokenizer_fallbacks for entry in outcome.ledger.values())
    if fallbacks:
        notes.append(f"{fallbacks:,} documents were tokenised by the slower tokenizer.")
    return notes


def _index_notes(counts: dict[str, int]) -> list[str]:
    """What the comparison with earlier corpora could not do as it should."""
    notes = []
    if number := counts.get("num_index_estimated"):
        notes.append(
            f"{number:,} documents went on an estimated similarity: the text of the indexed ones "
            "is gone."
        )
    if number := counts.get("num_index_uncompared"):
        notes.append(
            f"{number:,} documents stay because the text of an indexed one that may be alike is "
            "gone, and nothing is stored to estimate by: run its corpus again, or give corpora "
            "dedup.minhash.signatures: true before they are added."
        )
    if number := counts.get("num_index_left_out"):
        notes.append(
            f"{number:,} pairs of large buckets of the index were left out; raise "
            "dedup.minhash.rows if there are many."
        )
    return notes


def _most(counter: Counter[str], prefix: str) -> list[tuple[str, int]]:
    chosen = [(name, number) for name, number in counter.items() if name.startswith(prefix)]
    return sorted(chosen, key=lambda item: (-item[1], item[0]))
