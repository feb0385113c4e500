"""What was done to the texts that stay, and to the corpus since: repairs, edits, decontamination,
strata, erasures. Only what the output has."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from pipeline.decontamination.report import NAME as DECONTAMINATION
from pipeline.erasing.tombstones import NAME as TOMBSTONES
from pipeline.files import read_json
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, heading, join, paragraph, table
from pipeline.report.changes import cleaning, with_prefix
from pipeline.report.html.columns import Group, by_source, groups
from pipeline.report.html.corpus import Finished
from pipeline.report.html.limits import MAX_ROWS
from pipeline.report.html.words import count, share

LEAD = "Counts of what cleaning, edits and evaluation sets did to texts, and what was erased since."


def changes(corpus: Finished) -> Section:
    """Nothing of the kind is a sentence."""
    parts = [*_cleaned(corpus), *_edited(corpus), *_decontaminated(corpus)]
    parts += [*_strata(corpus), *_erased(corpus)]
    body = join(parts) if parts else paragraph("No text was changed.")
    return Section(id="changes", title="Changes to texts", lead=LEAD, body=body)


def _total(corpus: Finished) -> Counter[str]:
    return sum((entry.changes for entry in corpus.ledger.values()), start=Counter())


def _cleaned(corpus: Finished) -> Iterator[Markup]:
    if told := cleaning(with_prefix(_total(corpus), "clean."), of_many=True):
        yield paragraph(f"Cleaned: {told}.")


def _edited(corpus: Finished) -> Iterator[Markup]:
    """Counts of edits by source, by the names they are stored under."""
    total = with_prefix(_total(corpus), "edited.")
    names = [name for name, number in total.items() if number]
    if not names:
        return
    shown = list(groups(list(corpus.ledger), lambda s: corpus.entry(s).num_read))
    rows = [(name, "", _cells(corpus, f"edited.{name}")) for name in names[:MAX_ROWS]]
    yield heading("Edits")
    yield by_source("what was cut", ("number",), [_open(group) for group in shown], rows)


def _open(group: Group) -> Group:
    """A small table needs no toggles of its own."""
    return Group(group.title, group.sources, can_hide=False)


def _cells(corpus: Finished, name: str) -> Callable[[Group], Sequence[str]]:
    return lambda group: [count(sum(corpus.entry(s).changes[name] for s in group.sources))]


def _decontaminated(corpus: Finished) -> Iterator[Markup]:
    """How much of each evaluation set was found; the file alone names items and documents."""
    path = corpus.out / DECONTAMINATION
    if not path.is_file():
        return
    columns = (
        Column("evaluation set"),
        Column("action"),
        Column("documents", True),
        Column("items found", True),
        Column("of items", True),
        Column("below the overlap", True),
        Column("items too short", True),
    )
    rows = [
        Row(
            cells=[
                one["name"],
                one["action"],
                count(sum(one["num_documents"].values())),
                count(one["num_matched_items"]),
                f"{one['num_items']:,} ({share(one['num_matched_items'], one['num_items'])})",
                count(one.get("num_below_overlap", 0)),
                count(one["num_unmatchable_items"]),
            ]
        )
        for one in read_json(path)["sets"]
    ]
    yield heading("Evaluation sets")
    yield table(columns, rows[:MAX_ROWS])


def _strata(corpus: Finished) -> Iterator[Markup]:
    rows = []
    for source, entry in corpus.ledger.items():
        for name, number in entry.strata.items():
            tokens = [
                sum(s.num_tokens for s in corpus.shards_of(source, split) if s.stratum == name)
                for split in ("train", "validation")
            ]
            rows.append(Row(cells=[source, name, count(number), *map(count, tokens)]))
    if not rows:
        return
    columns = [Column("source"), Column("stratum"), Column("documents", True)]
    columns += [Column("tokens to train on", True), Column("to validate on", True)]
    yield heading("Strata")
    if corpus.manifest is not None and corpus.manifest.strata is not None:
        edges = ", ".join(f"{edge:g}" for edge in corpus.manifest.strata.edges)
        yield paragraph(f"By {corpus.manifest.strata.by}, edges {edges}.")
    yield table(columns, rows[:MAX_ROWS])


def _erased(corpus: Finished) -> Iterator[Markup]:
    """How many tombstones there are; whose, only their digests say."""
    path = corpus.out / TOMBSTONES
    if not path.is_file():
        return
    found = Counter(
        (stone["source"], stone["kind"]) for stone in read_json(path).get("tombstones", ())
    )
    rows = [Row(cells=[*kind, count(number)]) for kind, number in sorted(found.items())]
    yield heading("Erasures")
    yield table((Column("source"), Column("what"), Column("tombstones", True)), rows[:MAX_ROWS])
