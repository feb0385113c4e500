"""What a reader sees first: a few figures, and the sentences that tell most."""

from pipeline.page.document import Section
from pipeline.page.elements import bullets, join, paragraph, tiles
from pipeline.report.html.corpus import Finished
from pipeline.report.html.funnel import losses
from pipeline.report.html.survey import Survey
from pipeline.report.html.words import count, megabytes, plural, share, short
from pipeline.shards import SPLITS


def overview(corpus: Finished, findings: list[str]) -> Section:
    """Tiles, and the findings as a list."""
    entries = list(corpus.ledger.values())
    read, packed = (sum(getattr(e, f"num_{name}") for e in entries) for name in ("read", "packed"))
    num_bytes = sum(entry.num_read_bytes for entry in entries)
    tokens = {split: _tokens(corpus, split) for split in SPLITS}
    facts = []
    if entries:
        facts += [
            ("documents read", short(read), f"{megabytes(num_bytes)} MB of text"),
            ("documents packed", short(packed), f"{share(packed, read)} of those read"),
        ]
    facts += [
        ("tokens to train on", short(tokens["train"]), count(tokens["train"])),
        ("tokens to validate on", short(tokens["validation"]), count(tokens["validation"])),
        ("sources", count(len(corpus.sources)), ""),
    ]
    parts = [tiles(facts), bullets(findings)]
    if corpus.why_no_texts:
        parts.append(paragraph(f"This page says less than it could: {corpus.why_no_texts}"))
    return Section(id="overview", title="Overview", body=join(parts))


def _tokens(corpus: Finished, split: str) -> int:
    return sum(corpus.num_tokens(source, split) for source in corpus.sources)


def findings(corpus: Finished, survey: Survey | None) -> list[str]:
    """The most telling sentences first."""
    entries = list(corpus.ledger.values())
    found = []
    num_read = sum(entry.num_read for entry in entries)
    if entries and not num_read:
        found.append("No row was read: look at the sources' paths in the manifest.")
    elif not sum(entry.num_packed for entry in entries) and entries:
        found.append(f"Nothing is left of {plural(num_read, 'document')} read.")
    if num_read:
        found.append(_largest(corpus, num_read))
    if survey is not None and (sentence := _idle(survey)):
        found.append(sentence)
    bad = sum(entry.quarantined.total() for entry in entries)
    if bad:
        found.append(f"{plural(bad, 'row')} could not be read ({share(bad, num_read)} of all).")
    hits = sum(entry.pii.total() for entry in entries)
    if hits:
        found.append(f"Personal data was found in {plural(hits, 'place')} and dealt with.")
    return found


def _largest(corpus: Finished, num_read: int) -> str:
    found = losses(corpus, list(corpus.ledger))
    if not found:
        return f"Nothing was removed: all {plural(num_read, 'document')} were packed."
    (kind, name), number = max(found.items(), key=lambda each: (each[1], each[0]))
    what = {"dropped": "", "removed": "deduplication, as ", "quarantined": "the quarantine, for "}
    return (
        f"Most was removed by {what[kind]}{name}: {plural(number, 'document')}, "
        f"{share(number, num_read)} of all read."
    )


def _idle(survey: Survey) -> str:
    """Which filters remove nothing that others would not."""
    idle = [
        one.name
        for one in survey.filters
        if one.measured.documents and one.own.documents and not one.marginal.documents
    ]
    if not idle:
        return ""
    verb = "removes" if len(idle) == 1 else "remove"
    shown = ", ".join(idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
    return f"{shown} {verb} nothing that another filter would not remove as well."
