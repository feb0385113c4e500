"""What a notebook shows of a finished output: the funnel, and one line of sums."""

from pathlib import Path

from pipeline.outcome import Outcome
from pipeline.page.elements import Column, Row, join, paragraph, table
from pipeline.report.terminal import funnel_rows, totals


def outcome_html(outcome: Outcome, out: Path) -> str:
    """A table of documents and megabytes by stage and source, as `prepare run` prints it."""
    columns = [Column(title="stage")]
    for source in outcome.ledger:
        columns += [Column(title=source, is_number=True), Column(title="MB", is_number=True)]
    rows = [
        Row(cells=[label.strip(), *cells], kind="loss" if label.startswith(" ") else "total")
        for label, cells in funnel_rows(outcome.ledger)
    ]
    shown = table(columns, rows, caption=f"Where the documents of {out.name} went")
    return str(join([shown, paragraph(totals(outcome))]))
