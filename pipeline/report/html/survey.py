"""What the filters found of all documents, read once from the stored signals; no text is read.

Of each refined file the columns of the filters are read, and of the texts the offsets alone, for
their sizes. Beyond `MAX_VALUES` signals every k-th document is taken.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import needs_fit
from filters.protocol import Filter, first_failures
from pipeline.arrow import num_value_bytes
from pipeline.calibration.measuring import names as filter_names
from pipeline.explaining.output import Item, Output
from pipeline.manifest import SOURCES_KEY
from pipeline.refined import RowReader
from pipeline.report.html.limits import MAX_VALUES
from pipeline.report.html.signals import SignalSurvey, Values, by_signal

KEPT, EARLIER = -1, -2  # by which filter a document went: none, or something before the filters
KINDS = ("kept", "dropped")
BYTES = "num_bytes"

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Tally:
    """Documents, and the UTF-8 bytes of their stored texts."""

    documents: int = 0
    num_bytes: int = 0

    def add(self, mask: Mask, sizes: np.ndarray) -> None:
        self.documents += int(np.count_nonzero(mask))
        self.num_bytes += int(sizes[mask].sum())


@dataclass(slots=True)
class RuleSurvey:
    """A rule of a filter: what it removes alone, first of its filter's, and what it did remove."""

    own: Tally = field(default_factory=Tally)
    removed: Tally = field(default_factory=Tally)
    examples: list["Spot"] = field(default_factory=list)  # of own, the first ones


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a document stands: item of the output, kind of file, row."""

    item: int
    kind: str
    row: int


@dataclass(slots=True)
class FilterSurvey:
    """A filter of the manifest over all of its sources.

    `measured`: documents that it has signals of. `own`: those of them that it would drop alone.
    `marginal`: of these, the ones that no other filter that measured them would drop; `unsure`: of
    these, the ones that some later filter has not measured, and might drop as well. `removed`:
    those that it did drop, being the first to do so.
    """

    name: str
    scope: Tally = field(default_factory=Tally)
    measured: Tally = field(default_factory=Tally)
    own: Tally = field(default_factory=Tally)
    marginal: Tally = field(default_factory=Tally)
    unsure: Tally = field(default_factory=Tally)
    removed: Tally = field(default_factory=Tally)
    rules: dict[str, RuleSurvey] = field(default_factory=dict)
    signals: dict[str, SignalSurvey] = field(default_factory=dict)


@dataclass(slots=True)
class Survey:
    """All filters by their places in the manifest; what went before any filter; languages."""

    filters: list[FilterSurvey]
    every: int = 1  # every so many-th document was looked at
    documents: Tally = field(default_factory=Tally)
    earlier: dict[str, Tally] = field(default_factory=dict)  # by rule
    languages: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)  # source, fate


@dataclass(frozen=True, slots=True)
class Judge:
    """A filter as it is applied to one source: `name` is the prefix of its columns there."""

    place: int
    name: str
    rule: Filter


@dataclass(frozen=True, slots=True)
class Documents:
    """Some documents of one refined file, erased ones left out."""

    item: Item
    kind: str
    rows: np.ndarray  # int64, where they stand
    columns: pa.RecordBatch
    sizes: np.ndarray  # int64
    rules: pa.Array  # by which each was dropped; null if not


def survey(output: Output) -> Survey:
    """Look at the signals of every document, or of every k-th."""
    manifest = output.plan.manifest
    found = Survey([FilterSurvey(name) for name in filter_names(manifest)])
    judges = {source: _judges(output, source) for source in output.sources}
    found.every = _every(output)
    number = 0
    for item in output.items:
        for kind in KINDS:
            num_rows = item.num_documents[kind]
            if num_rows:
                first = -number % found.every
                _add(found, judges[item.source], _read(item, kind, judges, first, found.every))
            number += num_rows
    return found


def _judges(output: Output, source: str) -> list[Judge]:
    """Places count over all filters of the manifest, names over those of the source."""
    places = [
        place
        for place, spec in enumerate(output.plan.manifest.filters)
        if spec.get(SOURCES_KEY) is None or source in spec[SOURCES_KEY]
    ]
    chain = output.plan.chain_of(source).filters
    return [Judge(place, name, rule) for place, (name, rule) in zip(places, chain, strict=True)]


def _every(output: Output) -> int:
    """So that no more than `MAX_VALUES` values are held."""
    num_values = 0
    for item in output.items:
        for kind in KINDS:
            if item.num_documents[kind]:
                names = RowReader(item.paths[kind]).schema.names
                num_values += item.num_documents[kind] * sum("." in name for name in names)
    return -(-num_values // MAX_VALUES) or 1


def _read(
    item: Item, kind: str, judges: dict[str, list[Judge]], first: int, every: int
) -> Documents:
    """Rows `first`, `first + every`, ... of a file, without those that were erased."""
    path = item.paths[kind]
    prefixes = tuple(f"{judge.name}." for judge in judges[item.source])
    names = [name for name in RowReader(path).schema.names if name.startswith(prefixes)]
    more = ["rule"] if kind == "dropped" else []
    batches, start = [], 0
    for batch in RowReader(path, "key", "text", *names, *more).batches():
        rows = np.arange((first - start) % every, batch.num_rows, every)
        sizes = pa.array(num_value_bytes(batch["text"]).astype(np.int64))
        part = batch.select(["key", *names, *more]).append_column(BYTES, sizes)
        part = part.append_column("row", pa.array(start + np.arange(batch.num_rows)))
        batches.append(part if every == 1 else part.take(pa.array(rows)))
        start += batch.num_rows
    whole = pa.concat_batches(batches)
    whole = whole.filter(whole["key"].is_valid())  # the others were erased
    rules = whole["rule"] if more else pa.nulls(whole.num_rows, pa.string())
    rows, sizes = (whole[name].to_numpy() for name in ("row", BYTES))
    return Documents(item, kind, rows, whole.select(names), sizes, rules)


def _add(found: Survey, judges: Sequence[Judge], documents: Documents) -> None:
    fates = _fates(found, judges, documents)
    found.documents.add(np.ones(len(fates), np.bool_), documents.sizes)
    _add_languages(found, judges, documents, fates == KEPT)
    decided = [_decide(judge, documents) for judge in judges]
    num_failed = np.sum([each.failed for each in decided], axis=0) if decided else None
    unmeasured = np.zeros(len(fates), np.bool_)
    for each in decided:
        unmeasured |= ~each.measured
    for judge, each in zip(judges, decided, strict=True):
        one = found.filters[judge.place]
        alone = each.failed & (num_failed == 1)
        one.scope.add(np.ones(len(fates), np.bool_), documents.sizes)
        one.measured.add(each.measured, documents.sizes)
        one.own.add(each.failed, documents.sizes)
        one.marginal.add(alone, documents.sizes)
        one.unsure.add(alone & unmeasured, documents.sizes)
        one.removed.add(fates == judge.place, documents.sizes)
        _add_rules(one, judge, each, documents, fates)
        spots = Values(documents.item.number, documents.kind, documents.rows, fates, judge.place)
        by_signal(one.signals, judge.rule, each.signals, each.measured, spots)


@dataclass(frozen=True, slots=True)
class _Decided:
    signals: pa.RecordBatch  # by their own names
    measured: Mask
    failed: Mask  # a filter alone would drop it
    rules: pa.Array  # by which; null where it would not


def _decide(judge: Judge, documents: Documents) -> _Decided:
    """What a filter makes of the documents that it measured."""
    prefix = f"{judge.name}."
    names = [name for name in documents.columns.schema.names if name.startswith(prefix)]
    own = documents.columns.select(names)
    own = own.rename_columns([name.removeprefix(prefix) for name in names])
    measured = np.zeros(len(documents.rows), np.bool_)
    for column in own.columns:
        measured |= column.is_valid().to_numpy(zero_copy_only=False)
    rules = pa.nulls(len(measured), pa.string())
    if not names or not measured.any() or needs_fit(judge.rule):
        return _Decided(own, measured, np.zeros_like(measured), rules)
    reached = own if measured.all() else own.filter(pa.array(measured))
    failures = first_failures(judge.rule, judge.name, reached)["rule"]
    places = np.cumsum(measured) - 1
    rules = failures.take(pa.array(places, mask=~measured))
    return _Decided(own, measured, rules.is_valid().to_numpy(zero_copy_only=False), rules)


def _fates(found: Survey, judges: Sequence[Judge], documents: Documents) -> np.ndarray:
    """The place of the filter that dropped each document, or `KEPT` or `EARLIER`."""
    encoded = documents.rules.dictionary_encode()
    places = [_place(rule, judges) for rule in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, len(places)).to_numpy()
    fates: np.ndarray = np.array([*places, KEPT])[codes]
    for code, rule in enumerate(encoded.dictionary.to_pylist()):
        if places[code] == EARLIER:
            found.earlier.setdefault(rule, Tally()).add(codes == code, documents.sizes)
    return fates


def _place(rule: str, judges: Sequence[Judge]) -> int:
    for judge in judges:
        if rule == judge.name or rule.startswith(f"{judge.name}."):
            return judge.place
    return EARLIER


def _add_rules(
    one: FilterSurvey, judge: Judge, decided: _Decided, documents: Documents, fates: np.ndarray
) -> None:
    """What each rule of a filter removes alone, and what it did remove."""
    for rule, mask in _each(decided.rules):
        survey_of = _rule(one, judge, rule)
        survey_of.own.add(mask, documents.sizes)
        if len(survey_of.examples) < EXAMPLES:
            rows = documents.rows[np.flatnonzero(mask)[: EXAMPLES - len(survey_of.examples)]]
            spots = (Spot(documents.item.number, documents.kind, int(row)) for row in rows)
            survey_of.examples.extend(spots)
    if documents.kind == "dropped":
        here = pc.if_else(pa.array(fates == judge.place), documents.rules, None)
        for rule, mask in _each(here):
            _rule(one, judge, rule).removed.add(mask, documents.sizes)


EXAMPLES = 3


def _rule(one: FilterSurvey, judge: Judge, rule: str) -> RuleSurvey:
    """By the rule's own name, which is that of a signal mostly."""
    return one.rules.setdefault(rule.removeprefix(f"{judge.name}."), RuleSurvey())


def _each(rules: pa.Array) -> Iterator[tuple[str, Mask]]:
    encoded = rules.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy()
    for code, rule in enumerate(encoded.dictionary.to_pylist()):
        if rule is not None:
            yield rule, codes == code


def _add_languages(
    found: Survey, judges: Sequence[Judge], documents: Documents, kept: Mask
) -> None:
    """By the first filter that has a signal `language`."""
    names = [f"{judge.name}.language" for judge in judges]
    name = next((name for name in names if name in documents.columns.schema.names), None)
    if name is None:
        return
    counts = found.languages.setdefault(
        documents.item.source, {fate: Counter() for fate in ("kept", "dropped")}
    )
    column = pc.fill_null(documents.columns[name].cast(pa.string()), "")
    for fate, mask in (("kept", kept), ("dropped", ~kept)):
        for counted in column.filter(pa.array(mask)).value_counts().to_pylist():
            counts[fate][counted["values"]] += counted["counts"]
