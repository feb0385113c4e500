"""What could not be read: by reason and file, with a few places; never what stood there.

The bytes of a quarantined row, and the sentence on what was wrong with them, which may quote them,
were not anonymised: `prepare quarantine` shows them to whoever may see them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow.compute as pc

from pipeline.explaining.output import Output
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, join, paragraph, prose, table
from pipeline.refined import RowReader
from pipeline.report.html.limits import MAX_ROWS
from pipeline.report.html.masking import names
from pipeline.report.html.words import count, plural
from pipeline.sources.schema import READ, REASONS

LEAD = "Rows that could not be read or cleaned, by reason and file. Nothing of them is shown here."
COLUMNS = (
    Column("source"),
    Column("stage"),
    Column("reason"),
    Column("file"),
    Column("rows", True),
    Column("first places"),
)
MAX_PLACES = 5
Kind = tuple[str, str, str, str]  # source, stage, reason, file


def quarantine(output: Output) -> Section:
    """Counts and places from the refined files of the items that have any."""
    counts: Counter[Kind] = Counter()
    places: dict[Kind, list[int]] = defaultdict(list)
    for kind, row in _rows(output):
        counts[kind] += 1
        if len(places[kind]) < MAX_PLACES:
            places[kind].append(row)
    if not counts:
        body = paragraph("Every row could be read.")
        return Section(id="quarantine", title="Quarantine", body=body)
    order = sorted(counts, key=lambda kind: (-counts[kind], kind))
    files = names([kind[3] for kind in order[:MAX_ROWS]])
    rows = [
        Row(cells=[*kind[:3], file, count(counts[kind]), ", ".join(map(str, places[kind]))])
        for kind, file in zip(order, files, strict=False)
    ]
    parts = [table(COLUMNS, rows, searchable="Find a file or a reason" if len(rows) > 8 else "")]
    if len(order) > len(rows):
        parts.append(paragraph(f"… and {plural(len(order) - len(rows), 'line')} more"))
    reasons = sorted({kind[2] for kind in counts})
    parts += [paragraph(f"{one}: {REASONS.get(one, 'of another version')}.") for one in reasons]
    parts.append(
        paragraph(
            prose(
                "A place is the decompressed byte at which the row begins, or its number in a "
                "table. "
                "`prepare quarantine OUT --show` shows the rows, `--retry` tries them again."
            )
        )
    )
    return Section(id="quarantine", title="Quarantine", lead=LEAD, body=join(parts))


def _rows(output: Output) -> Iterator[tuple[Kind, int]]:
    """A row for each: a run stops before there are many."""
    wanted = ("source", "stage", "reason", "source_path", "source_row")
    for item in output.items:
        if not item.num_documents["quarantined"]:
            continue
        for batch in RowReader(item.paths["quarantined"], *wanted).batches():
            left = batch.filter(pc.greater_equal(batch["source_row"], 0))  # the rest is erased
            for row in left.to_pylist():
                stage = row.get("stage", READ)
                kind = (row["source"], stage, row["reason"], row["source_path"])
                yield kind, row["source_row"]
