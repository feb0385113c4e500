"""Where the documents went: documents and bytes by stage and source, and the tokens at the end."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from markupsafe import Markup

from pipeline.ledger import SourceLedger
from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import join, paragraph
from pipeline.report.html.columns import Group, by_source, groups, source_toggles
from pipeline.report.html.corpus import Finished
from pipeline.report.html.limits import MAX_ROWS
from pipeline.report.html.survey import Survey
from pipeline.report.html.words import count, megabytes, share

LEAD = (
    "Documents and megabytes of text by stage. A filter is charged with what it removed as the "
    "first one to do so; the section on filters says what it would remove alone."
)
CAPTION = "Documents, megabytes, share of what was read"
TITLES = ("documents", "MB", "share")
Cells = Callable[[Group], Sequence[str]]


def funnel(corpus: Finished, survey: Survey | None) -> Section:
    """Empty tables become a sentence."""
    if not corpus.ledger:
        note = paragraph("There is no ledger: nothing is known of what came before the tokens.")
        return Section(id="funnel", title="Funnel", body=note)
    shown = groups(list(corpus.ledger), lambda source: corpus.entry(source).num_read_bytes)
    table = by_source("stage", TITLES, shown, _rows(corpus), caption=CAPTION)
    body = join([_figure(corpus), source_toggles(shown), table, _accounted(corpus)])
    return Section(id="funnel", title="Funnel", lead=LEAD, body=body)


def losses(corpus: Finished, sources: Sequence[str]) -> Counter[tuple[str, str]]:
    """What went, by kind of loss and by filter or reason."""
    found: Counter[tuple[str, str]] = Counter()
    for entry in map(corpus.entry, sources):
        for kind in ("quarantined", "dropped", "removed"):
            for name, number in getattr(entry, kind).items():
                found[kind, _part(name) if kind == "dropped" else name] += number
    return found


def _part(rule: str) -> str:
    """The filter of a rule; of an evaluation set or a kind of PII the rule itself."""
    head, dot, _ = rule.partition(".")
    return rule if head in ("pii", "decontaminate") or not dot else head


def _rows(corpus: Finished) -> list[tuple[str, str, Cells]]:
    everything = losses(corpus, list(corpus.ledger))
    order = _order(corpus)
    rows: list[tuple[str, str, Cells]] = [("read", "total", _sums(corpus, "num_read"))]
    for kind in ("quarantined", "dropped"):
        names = sorted((n for k, n in everything if k == kind), key=lambda n: (order.get(n, 0), n))
        most = sorted(names, key=lambda n: -everything[kind, n])[:MAX_ROWS]
        rest = [name for name in names if name not in most]
        shown = [name for name in names if name in most]
        rows += [(f"{kind}: {name}", "loss", _lost(corpus, kind, name)) for name in shown]
        if rest:
            rows.append((f"{kind}: {len(rest):,} more", "loss", _lost(corpus, kind, *rest)))
    rows.append(("kept by all filters", "total", _sums(corpus, "num_kept")))
    removed = sorted(n for k, n in everything if k == "removed")
    rows += [(f"removed: {name}", "loss", _lost(corpus, "removed", name)) for name in removed]
    rows.append(("packed", "total", _sums(corpus, "num_packed")))
    if any(entry.num_erased for entry in corpus.ledger.values()):
        rows.append(("erased since, of any of these", "loss", _erased(corpus)))
    rows.append(("tokens", "total", _tokens(corpus)))
    return rows


def _order(corpus: Finished) -> dict[str, int]:
    """Filters in the order of the manifest, after what goes before them."""
    if corpus.manifest is None:
        return {}
    from pipeline.calibration.measuring import names

    return {name: number for number, name in enumerate(names(corpus.manifest), start=1)}


def _entries(corpus: Finished, group: Group) -> list[SourceLedger]:
    return [corpus.entry(source) for source in group.sources]


def _sums(corpus: Finished, name: str) -> Cells:
    def cells(group: Group) -> Sequence[str]:
        entries = _entries(corpus, group)
        number = sum(getattr(entry, name) for entry in entries)
        num_bytes = sum(getattr(entry, f"{name}_bytes") for entry in entries)
        return count(number), megabytes(num_bytes), _of_read(entries, number)

    return cells


def _lost(corpus: Finished, kind: str, *names: str) -> Cells:
    def cells(group: Group) -> Sequence[str]:
        found = losses(corpus, group.sources)
        number = sum(found[kind, name] for name in names)
        return (f"-{number:,}" if number else ""), "", _of_read(_entries(corpus, group), number)

    return cells


def _erased(corpus: Finished) -> Cells:
    def cells(group: Group) -> Sequence[str]:
        number = sum(entry.num_erased for entry in _entries(corpus, group))
        return (f"-{number:,}" if number else ""), "", ""

    return cells


def _tokens(corpus: Finished) -> Cells:
    def cells(group: Group) -> Sequence[str]:
        return count(sum(map(corpus.num_tokens, group.sources))), "", ""

    return cells


def _of_read(entries: Sequence[SourceLedger], number: int) -> str:
    return share(number, sum(entry.num_read for entry in entries)) if number else ""


def _accounted(corpus: Finished) -> Markup:
    """That the sums meet, or which does not."""
    bad = [f"{s}: {why}" for s, entry in corpus.ledger.items() if (why := entry.imbalance())]
    if bad:
        return paragraph(f"The ledger does not balance: {'; '.join(bad)}.", "bad")
    return paragraph(
        "Every row is accounted for: read = quarantined + dropped + kept, and kept = removed + "
        "packed. Bytes are those of the text as it was read, then as it is stored."
    )


def _figure(corpus: Finished) -> Markup:
    """What was left after each step, over all sources."""
    entries = list(corpus.ledger.values())
    num_read = sum(entry.num_read for entry in entries)
    if not num_read:
        return paragraph("No row was read.")
    order = _order(corpus)
    steps, left = [("read", num_read)], num_read
    kinds = ("quarantined", "dropped", "removed")
    found = losses(corpus, list(corpus.ledger))
    for kind in kinds:
        for (_, name), number in sorted(
            ((key, n) for key, n in found.items() if key[0] == kind and n),
            key=lambda each: (order.get(each[0][1], 0), each[0][1]),
        ):
            left -= number
            steps.append((name.replace("_", " "), left))
    return _bars(steps, num_read)


MAX_STEPS = 24


def _bars(steps: Sequence[tuple[str, int]], num_read: int) -> Markup:
    """The steps that took most, in order; the others are told by the table."""
    if len(steps) > MAX_STEPS:
        sizes = [before[1] - after[1] for before, after in itertools.pairwise(steps)]
        least = sorted(sizes, reverse=True)[MAX_STEPS - 3]
        chosen = [step for step, size in zip(steps[1:], sizes, strict=True) if size >= least]
        steps = [steps[0], *chosen[: MAX_STEPS - 2], steps[-1]]
    figure, axes = plots.new_axes(60 + 22 * len(steps))
    labels = [name for name, _ in steps]
    places = list(range(len(steps)))
    left = [number for _, number in steps]
    lost = [0, *(a - b for a, b in itertools.pairwise(left))]
    axes.barh(places, left, color=plots.ROLES["c0"], height=0.7)
    axes.barh(places, lost, left=left, color=plots.ROLES["bad"], alpha=0.45, height=0.7)
    for place, number in zip(places, left, strict=True):
        axes.text(
            num_read * 1.01, place, f"{count(number)}", va="center", color=plots.ROLES["muted"]
        )
    axes.set_yticks(places, labels)
    axes.set_xlim(0, num_read * 1.15)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    return plots.draw(
        figure,
        label=f"Documents left after each step, from {num_read:,} read to {left[-1]:,} packed.",
        caption="Documents left after each step (blue) and those that it took (red).",
    )
