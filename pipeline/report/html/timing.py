"""Where the time went: seconds of the work items by stage, and how fast each was on one core."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, heading, join, paragraph, table
from pipeline.records import Record
from pipeline.report.html.corpus import STAGES, Finished
from pipeline.report.html.limits import MAX_ITEMS
from pipeline.report.html.words import MEGABYTE, count, megabytes, seconds

LEAD = (
    "Seconds of all work items of a stage added up, as their records have them; a work item runs "
    "on one core, so with N workers the clock shows about an N-th. MB are of text."
)
# What a stage reads or writes, in the counts of its records.
_BYTES = {"refine": "num_read_bytes", "tokenise": "num_bytes", "pack": "num_bytes"}


@dataclass(frozen=True, slots=True)
class Time:
    """Work items of one stage together, or one of them."""

    stage: str
    num_items: int
    seconds: float
    num_bytes: int

    @property
    def speed(self) -> str:
        """MB of text a second on one core."""
        if not self.num_bytes or self.seconds <= 0:
            return ""
        speed = self.num_bytes / MEGABYTE / self.seconds
        return f"{speed:,.1f}" if speed >= 1 else f"{speed:.2g}"


def timing(corpus: Finished) -> Section:
    """From the records alone."""
    times = [_time(stage, corpus.records.get(stage, ()), corpus) for stage in STAGES]
    times = [time for time in times if time.num_items]
    if not times:
        body = paragraph("There are no records of work: nothing is known of the time it took.")
        return Section(id="timing", title="Time", body=body)
    parts = [_figure(times), _stages(times), heading("The slowest work items"), _slowest(corpus)]
    parts.append(
        paragraph(
            "Items that a rerun found done keep the seconds that they took then. Candidates and "
            "verification of duplicates leave no records behind; deduplicate counts what follows."
        )
    )
    return Section(id="timing", title="Time", lead=LEAD, body=join(parts))


def _time(stage: str, records: tuple[Record, ...], corpus: Finished) -> Time:
    num_bytes = sum(int(record["counts"].get(_BYTES.get(stage, ""), 0)) for record in records)
    if stage == "deduplicate":
        num_bytes = sum(entry.num_kept_bytes for entry in corpus.ledger.values())
    took = sum(float(record.get("seconds", 0)) for record in records)
    return Time(stage, len(records), took, num_bytes)


def _stages(times: list[Time]) -> Markup:
    columns = (
        Column("stage"),
        Column("work items", True),
        Column("time", True),
        Column("MB", True),
        Column("MB/s per core", True),
    )
    rows = [_row(time.stage, time) for time in times]
    whole = Time("all", sum(t.num_items for t in times), sum(t.seconds for t in times), 0)
    refined = next((time.num_bytes for time in times if time.stage == "refine"), 0)
    whole = Time("all", whole.num_items, whole.seconds, refined)
    return table(columns, [*rows, Row(cells=_row("all", whole).cells, kind="total")])


def _row(name: str, time: Time) -> Row:
    size = megabytes(time.num_bytes) if time.num_bytes else ""
    return Row(cells=[name, count(time.num_items), seconds(time.seconds), size, time.speed])


def _figure(times: list[Time]) -> Markup:
    figure, axes = plots.new_axes(60 + 26 * len(times), xlabel="seconds on one core")
    axes.barh([t.stage for t in times], [t.seconds for t in times], color=plots.ROLES["c0"])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    whole = sum(time.seconds for time in times)
    label = f"Seconds by stage, {seconds(whole)} of one core in all."
    return plots.draw(figure, label=label)


def _slowest(corpus: Finished) -> Markup:
    items = [
        (record, _time(stage, (record,), corpus))
        for stage in ("refine", "tokenise", "pack")
        for record in corpus.records.get(stage, ())
    ]
    items = sorted(items, key=lambda each: -each[1].seconds)[:MAX_ITEMS]
    columns = (
        Column("stage"),
        Column("source"),
        Column("time", True),
        Column("MB", True),
        Column("MB/s", True),
        Column("record"),
    )
    rows = [
        Row(
            cells=[
                time.stage,
                _source(record),
                seconds(time.seconds),
                megabytes(time.num_bytes),
                time.speed,
                record["fingerprint"][:12],
            ]
        )
        for record, time in items
    ]
    return table(columns, rows)


def _source(record: Record) -> str:
    """Of an item of `refine` it is said; of the others it is the folder of what they wrote."""
    if "source" in record:
        return str(record["source"])
    paths = [output["path"].split("/") for output in record["outputs"].values()]
    return paths[0][1] if paths and len(paths[0]) > 2 else ""
