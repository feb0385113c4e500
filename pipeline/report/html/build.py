"""All sections of the page, in the order in which they are read."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.inputs import RUN_NAME
from pipeline.page.document import Section, render, write_page
from pipeline.page.elements import paragraph
from pipeline.report.html.changes import changes
from pipeline.report.html.corpus import Finished, open_finished
from pipeline.report.html.duplicates import duplicates
from pipeline.report.html.filters import filters, sampled
from pipeline.report.html.funnel import funnel
from pipeline.report.html.languages import languages
from pipeline.report.html.lengths import lengths
from pipeline.report.html.mix import Mix, tokens
from pipeline.report.html.origin import origin
from pipeline.report.html.overview import findings, overview
from pipeline.report.html.pii import pii
from pipeline.report.html.quarantine import quarantine
from pipeline.report.html.survey import survey
from pipeline.report.html.texts import read_excerpts
from pipeline.report.html.timing import timing
from pipeline.stage import locked


@dataclass(frozen=True, slots=True)
class Report:
    """The page, and what it says first."""

    html: str
    findings: tuple[str, ...]
    sections: tuple[str, ...]


def write_report(out: Path, path: Path, mix: Mix | None = None) -> Report:
    """Build the page and write it to `path`.

    In the output itself it is written while no other command may change the output, so that it
    never shows what an erasure has taken out meanwhile. Raises `UsageError` where one is at work.
    """
    is_inside = path.parent.resolve() == out.resolve() and (out / RUN_NAME).is_file()
    with locked(out) if is_inside else nullcontext():
        report = build(out, mix)
        write_page(path, report.html)
    return report


def build(out: Path, mix: Mix | None = None) -> Report:
    """Of a finished output, or of an import. Raises as `open_finished` does."""
    corpus = open_finished(out)
    output = corpus.output
    found = None if output is None else survey(output)
    told = findings(corpus, found)
    sections = [overview(corpus, told), funnel(corpus, found)]
    if output is not None and found is not None:
        texts = read_excerpts(output, sampled(found))
        sections += [filters(found, texts), duplicates(output), pii(corpus), languages(found)]
    else:
        sections += [_without(corpus, name) for name in ("Filters", "Duplicates", "Languages")]
    sections += [lengths(corpus), tokens(corpus, mix)]
    if output is not None:
        sections += [changes(corpus), quarantine(output)]
    sections += [timing(corpus), origin(corpus)]
    html = render(
        title=corpus.index.corpus,
        subtitle=f"Prepared corpus, shards {corpus.index.fingerprint()}",
        sections=sections,
    )
    return Report(html, tuple(told), tuple(section.id for section in sections))


def _without(corpus: Finished, title: str) -> Section:
    body = paragraph(f"Not known: {corpus.why_no_texts}")
    return Section(id=title.lower(), title=title, body=body)
