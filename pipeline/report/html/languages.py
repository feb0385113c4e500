"""Languages: of how many documents, kept and dropped, by the filter that measured it."""

from collections import Counter
from collections.abc import Callable, Sequence

from markupsafe import Markup

from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import join, paragraph, prose
from pipeline.report.html.columns import Group, by_source, groups, source_toggles
from pipeline.report.html.limits import MAX_LANGUAGES
from pipeline.report.html.survey import Survey
from pipeline.report.html.words import count, share

LEAD = "The likeliest language of each document, before deduplication; kept means by all filters."
CAPTION = "Documents kept, of how many, and their share"
UNKNOWN = "none, or not measured"
MAX_BARS = 20


def languages(survey: Survey) -> Section:
    """Counts by language; a sentence where no filter measures one."""
    if not survey.languages:
        body = paragraph(
            prose("No filter measures the language; `{use: language, keep: [...]}` does.")
        )
        return Section(id="languages", title="Languages", body=body)
    sources = list(survey.languages)
    shown = groups(sources, lambda s: sum(c.total() for c in survey.languages[s].values()))
    total = _counts(survey, tuple(sources), "kept") + _counts(survey, tuple(sources), "dropped")
    names = [name for name, _ in sorted(total.items(), key=lambda each: (-each[1], each[0]))]
    rows = [(name or UNKNOWN, "", _cells(survey, (name,))) for name in names[:MAX_LANGUAGES]]
    if rest := tuple(names[MAX_LANGUAGES:]):
        rows.append((f"{len(rest)} more", "", _cells(survey, rest)))
    table = by_source("language", ("kept", "of all", "kept share"), shown, rows, caption=CAPTION)
    body = join([_figure(survey, tuple(sources), names), source_toggles(shown), table])
    return Section(id="languages", title="Languages", lead=LEAD, body=body)


def _counts(survey: Survey, sources: tuple[str, ...], fate: str) -> Counter[str]:
    found = [survey.languages[s][fate] for s in sources if s in survey.languages]
    return sum(found, start=Counter())


def _cells(survey: Survey, names: tuple[str, ...]) -> Callable[[Group], Sequence[str]]:
    def cells(group: Group) -> list[str]:
        kept, dropped = (
            sum(_counts(survey, group.sources, fate)[name] for name in names)
            for fate in ("kept", "dropped")
        )
        return [count(kept), count(kept + dropped), share(kept, kept + dropped)]

    return cells


def _figure(survey: Survey, sources: tuple[str, ...], names: list[str]) -> Markup:
    chosen = names[:MAX_BARS]
    kept, dropped = (_counts(survey, sources, fate) for fate in ("kept", "dropped"))
    figure, axes = plots.new_axes(210, ylabel="documents")
    labels = [name or "?" for name in chosen]
    heights = [kept[name] for name in chosen]
    axes.bar(labels, heights, color=plots.ROLES["c0"], label="kept", width=0.7)
    axes.bar(
        labels,
        [dropped[name] for name in chosen],
        bottom=heights,
        color=plots.ROLES["bad"],
        alpha=0.45,
        label="dropped",
        width=0.7,
    )
    axes.set_xlim(-0.6, max(len(chosen), 6) - 0.4)
    axes.grid(visible=False, axis="x")
    plots.legend_above(figure)
    return plots.draw(
        figure,
        label=f"Documents by language: {', '.join(labels[:5])} and {len(names)} in all.",
        caption="Documents by language, kept and dropped by any filter.",
    )
