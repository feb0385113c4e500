"""Each filter: what it removes alone and as the only one, its histograms, samples on both sides."""

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import (
    Column,
    Row,
    details,
    grid,
    heading,
    join,
    pair,
    paragraph,
    sample,
    table,
    tabs,
    tiles,
)
from pipeline.report.html.histograms import histogram
from pipeline.report.html.limits import (
    MAX_HISTOGRAMS,
    MAX_HISTOGRAMS_OF_FILTER,
    MAX_LINES,
    MAX_SAMPLES,
    SAMPLES_A_SIDE,
)
from pipeline.report.html.masking import name as shown_name
from pipeline.report.html.signals import Limit, Near, Sides, SignalSurvey
from pipeline.report.html.survey import FilterSurvey, RuleSurvey, Spot, Survey, Tally
from pipeline.report.html.texts import Excerpt
from pipeline.report.html.words import count, limit, megabytes, plural, share

LEAD = "What each filter removes, by the stored signals of every document, kept or dropped."
HOW = (
    "Own: documents that the filter would remove if it were the only one. Marginal: those of them "
    "that no other filter would remove, so what the corpus would gain without it. Removed: those "
    "that it did remove, being the first. A filter with a large own and a small marginal share is "
    "made superfluous by the others. Samples are the documents nearest to a threshold, first those "
    "that no other filter removed."
)
UNSURE = (
    "Expensive signals are measured only of documents that the filters before kept, so the own "
    "share of such a filter is of these alone, and the marginal shares of the others are upper "
    "bounds: some of those documents were not measured by every filter."
)
COLUMNS = (
    Column("filter"),
    Column("measured", True),
    *(
        Column(title, True)
        for word in ("own", "marginal")
        for title in (word, f"{word} %", f"{word} MB")
    ),
    Column("removed", True),
)
Texts = Mapping[Spot, Excerpt]


def filters(survey: Survey, texts: Texts) -> Section:
    """One tab for each filter."""
    if not survey.filters:
        return Section(id="filters", title="Filters", body=paragraph("The manifest has none."))
    parts = [_overview(survey), paragraph(HOW)]
    if any(one.unsure.documents for one in survey.filters) or _is_partial(survey):
        parts.append(paragraph(UNSURE))
    if survey.every > 1:
        parts.append(
            paragraph(f"Figures are of every {survey.every:,}-th document, a sample of the corpus.")
        )
    if survey.earlier:
        parts.append(_earlier(survey))
    parts.append(_legend())
    panels = [(_tab(one, survey), _panel(one, survey, texts)) for one in survey.filters]
    parts.append(tabs("Filters", panels))
    return Section(id="filters", title="Filters", lead=LEAD, body=join(parts))


def sampled(survey: Survey) -> Iterator[Spot]:
    """The documents whose texts are shown: fewer a side, where there are many thresholds."""
    for sides in _all_sides(survey):
        for near in (*_cut(sides.inside, survey), *_cut(sides.outside, survey)):
            yield _spot(near)
    for one in survey.filters:
        for rule in _unbounded(one).values():
            yield from rule.examples


def _all_sides(survey: Survey) -> list[Sides]:
    signals = (signal for one in survey.filters for signal in one.signals.values())
    return [sides for signal in signals for _, sides in _shown_limits(signal)]


def _shown_limits(signal: SignalSurvey) -> list[tuple[Limit, Sides]]:
    """Thresholds with something on the wrong side, or the first ones."""
    return list(signal.limits.items())[: 2 * MAX_LINES]


def _cut(near: list[Near], survey: Survey) -> list[Near]:
    num_sides = max(1, 2 * len(_all_sides(survey)))
    return near[: max(1, min(SAMPLES_A_SIDE, MAX_SAMPLES // num_sides))]


def _spot(near: Near) -> Spot:
    return Spot(near.item, near.kind, near.row)


def _unbounded(one: FilterSurvey) -> dict[str, RuleSurvey]:
    """Rules without a number that they hold a signal to, such as a list of languages."""
    bounded = {name for name, signal in one.signals.items() if signal.limits}
    return {name: rule for name, rule in one.rules.items() if name not in bounded}


def _is_partial(survey: Survey) -> bool:
    """Whether some filter has not measured all documents that came to any filter."""
    return len({one.measured.documents for one in survey.filters}) > 1


def _overview(survey: Survey) -> Markup:
    rows = []
    for one in survey.filters:
        measured = one.measured.documents
        cells = [
            shown_name(one.name),
            count(measured),
            count(one.own.documents),
            share(one.own.documents, measured),
            megabytes(one.own.num_bytes),
            count(one.marginal.documents),
            share(one.marginal.documents, measured),
            megabytes(one.marginal.num_bytes),
            count(one.removed.documents),
        ]
        rows.append(Row(cells=cells))
    searchable = "Find a filter" if len(rows) > 12 else ""
    return join([_figure(survey), table(COLUMNS, rows, searchable=searchable)])


def _figure(survey: Survey) -> Markup:
    """Own and marginal share beside each other."""
    chosen = [one for one in survey.filters if one.own.documents][:MAX_BARS]
    if not chosen:
        return Markup("")
    figure, axes = plots.new_axes(70 + 34 * len(chosen), xlabel="% of the documents it measured")
    for offset, colour, word in ((-0.2, "c1", "own"), (0.2, "c0", "marginal")):
        tallies: list[Tally] = [getattr(one, word) for one in chosen]
        widths = [
            100 * tally.documents / max(one.measured.documents, 1)
            for one, tally in zip(chosen, tallies, strict=True)
        ]
        places = [place + offset for place in range(len(chosen))]
        axes.barh(places, widths, height=0.36, color=plots.ROLES[colour], label=word)
    axes.set_yticks(range(len(chosen)), [one.name for one in chosen])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    plots.legend_above(figure)
    return plots.draw(
        figure,
        label="Own and marginal share of removals of each filter that would remove anything.",
        caption="What each filter would remove alone (own), and what only it removes (marginal).",
    )


MAX_BARS = 30


def _earlier(survey: Survey) -> Markup:
    told = ", ".join(
        f"{shown_name(rule)} {tally.documents:,}" for rule, tally in sorted(survey.earlier.items())
    )
    return paragraph(f"Dropped before any filter saw them, and measured by none: {told}.")


def _legend() -> Markup:
    return paragraph(
        Markup(
            "In the histograms: <span class='swatch c0'></span> kept by all filters, "
            "<span class='swatch bad'></span> removed by this filter, "
            "<span class='swatch c7'></span> removed by another one; the dashed line is the "
            "threshold. Heights are square roots, so that a few documents are still seen; what "
            "lies far outside is in the outermost bars."
        )
    )


def _tab(one: FilterSurvey, survey: Survey) -> str:
    removals = sum(each.removed.documents for each in survey.filters)
    return f"{shown_name(one.name)} {share(one.removed.documents, removals) or '0 %'}"


def _panel(one: FilterSurvey, survey: Survey, texts: Texts) -> Markup:
    scope, measured = one.scope.documents, one.measured.documents
    facts = [
        ("measured", count(measured), f"of {plural(scope, 'document')} of its sources"),
        ("own", count(one.own.documents), f"{share(one.own.documents, measured)} alone"),
        ("marginal", count(one.marginal.documents), _marginal_hint(one)),
        ("removed", count(one.removed.documents), "as the first to do so"),
    ]
    return join(
        [
            tiles(facts),
            _rules(one),
            _histograms(one, survey),
            heading("Samples at the thresholds") if one.signals or one.rules else "",
            *_samples(one, survey, texts),
        ]
    )


def _marginal_hint(one: FilterSurvey) -> str:
    told = f"{share(one.marginal.documents, one.measured.documents)} by no other"
    if one.unsure.documents:
        return f"{told}; {one.unsure.documents:,} not measured by all"
    return told


def _rules(one: FilterSurvey) -> Markup:
    columns = (Column("rule"), Column("own, first of its filter", True), Column("removed", True))
    rows = [
        Row(cells=[shown_name(name), count(rule.own.documents), count(rule.removed.documents)])
        for name, rule in sorted(one.rules.items(), key=lambda each: -each[1].own.documents)
    ]
    return table(columns, rows[:MAX_RULES], caption=f"Rules of {one.name}") if rows else Markup("")


MAX_RULES = 30


def _histograms(one: FilterSurvey, survey: Survey) -> Markup:
    """Signals with thresholds first; the rest only where there is room."""
    num_filters = len([each for each in survey.filters if each.signals]) or 1
    room = min(MAX_HISTOGRAMS_OF_FILTER, max(1, MAX_HISTOGRAMS // num_filters))
    order = sorted(
        one.signals.items(),
        key=lambda each: (-sum(s.num_outside for s in each[1].limits.values()), not each[1].limits),
    )
    drawn: list[Markup] = []
    flat, left = [], []
    for name, signal in order:
        if len(drawn) == room:
            left.append(name)
        elif figure := histogram(name, signal, one.name):
            drawn.append(figure)
        else:
            flat.append(name)
    parts: list[Markup] = [grid(drawn)] if drawn else []
    if flat:
        parts.append(paragraph(f"The same value, or none, in all documents: {', '.join(flat)}."))
    if left:
        parts.append(paragraph(f"Not drawn, to keep the page small: {', '.join(left)}."))
    if any(signal.has_others for signal in one.signals.values()):
        parts.append(paragraph("Some languages have other thresholds, which are not drawn."))
    return join(parts)


def _samples(one: FilterSurvey, survey: Survey, texts: Texts) -> Iterator[Markup]:
    for name, signal in one.signals.items():
        for at, sides in _shown_limits(signal):
            if not sides.outside:
                continue
            sign = "≥" if at.is_minimum else "≤"
            title = f"{name} {sign} {limit(at.value)}: {plural(sides.num_outside, 'document')} not"
            inside = _near(sides.inside, survey, texts, "Nearest that pass")
            outside = _near(sides.outside, survey, texts, "Nearest that do not")
            yield details(title, pair(inside, outside))
    for name, rule in sorted(_unbounded(one).items()):
        found = [texts[spot] for spot in rule.examples if spot in texts]
        if found:
            boxes = [_box(excerpt, "") for excerpt in found]
            yield details(f"{shown_name(name)}: some that go by it", join(boxes))


def _near(near: list[Near], survey: Survey, texts: Texts, title: str) -> Markup:
    boxes = [
        _box(texts[_spot(one)], f"{limit(one.value)} · ")
        for one in _cut(near, survey)
        if _spot(one) in texts
    ]
    return join([paragraph(title), *boxes]) if boxes else paragraph(f"{title}: none to show.")


def _box(excerpt: Excerpt, value: str) -> Markup:
    fate = f"dropped by {shown_name(excerpt.rule)}" if excerpt.rule else "kept by all filters"
    head = f"{value}{excerpt.source}, {excerpt.key[:12]}, {fate}"
    return join([paragraph(head, "who"), sample(excerpt.text)])
