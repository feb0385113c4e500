"""Personal data: how much of each kind in each source, what became of it, masked contexts."""

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from pipeline.explaining.output import Output
from pipeline.files import read_json
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, details, join, paragraph, sample, table
from pipeline.pii_audit import AUDIT_NAME
from pipeline.refined import RowReader
from pipeline.report.html.columns import by_source, groups, source_toggles
from pipeline.report.html.corpus import Finished
from pipeline.report.html.limits import MAX_CONTEXTS
from pipeline.report.html.masking import lines, masked
from pipeline.report.html.texts import PII_RULES
from pipeline.report.html.words import count

LEAD = (
    "Found by the recognisers of each kind, in documents that filters dropped later as well. "
    "Contexts are masked; what no recogniser finds, such as a name, is not."
)
DROPPED = "drop_document"
NOT_SHOWN = (
    "Documents that were dropped for a kind with the mode drop_document are not shown, whatever "
    "else was found in them."
)
Sources = Mapping[str, Mapping[str, Mapping[str, Any]]]


def pii(corpus: Finished) -> Section:
    """From `pii.json`, which holds no value."""
    path = corpus.out / AUDIT_NAME
    if not path.is_file():
        return Section(id="pii", title="Personal data", body=paragraph("There is no audit."))
    audit = read_json(path)
    sources, modes = audit["sources"], audit["modes"]
    kinds = sorted(
        {kind for found in sources.values() for kind, one in found.items() if one["num"]},
        key=lambda kind: (-_number(sources, sources, kind), kind),
    )
    if not kinds:
        looked = f"None was found, of {len(modes)} kinds." if modes else "None was looked for."
        return Section(id="pii", title="Personal data", lead=LEAD, body=paragraph(looked))
    shown = groups(list(sources), lambda s: sum(one["num"] for one in sources[s].values()))
    rows = [
        (
            f"{kind} ({modes.get(kind, 'unknown').replace('_', ' ')})",
            "",
            lambda group, kind=kind: [count(_number(sources, group.sources, kind))],
        )
        for kind in kinds
    ]
    gone = _dropped_for_it(corpus.output) if DROPPED in modes.values() else frozenset()
    parts = [
        source_toggles(shown),
        by_source("kind (mode)", ("found",), shown, rows),
        paragraph(f"Looked for and not found: {_absent(modes, kinds)}."),
        *(details(f"{kind}: contexts", _contexts(sources, kind, gone)) for kind in kinds),
    ]
    if DROPPED in modes.values():
        parts.append(paragraph(NOT_SHOWN))
    return Section(id="pii", title="Personal data", lead=LEAD, body=join(parts))


def _absent(modes: Mapping[str, str], kinds: list[str]) -> str:
    return ", ".join(kind for kind in sorted(modes) if kind not in kinds) or "none"


def _number(sources: Sources, names: Any, kind: str) -> int:
    return sum(sources.get(name, {}).get(kind, {}).get("num", 0) for name in names)


def _dropped_for_it(output: Output | None) -> frozenset[str]:
    """Keys of the documents that went for their personal data: the audit has contexts of them."""
    found: set[str] = set()
    for item in () if output is None else output.items:
        if item.num_documents["dropped"]:
            for batch in RowReader(item.paths["dropped"], "key", "rule").batches():
                keys = batch["key"].filter(pc.starts_with(batch["rule"], PII_RULES))
                found.update(key.hex() for key in keys.to_pylist() if key is not None)
    return frozenset(found)


def _contexts(sources: Sources, kind: str, gone: frozenset[str]) -> Any:
    """A few of every source in turn, masked once more; none of a document that is `gone`."""
    by_turn = [
        [
            (name, one["context"], one["key"])
            for one in found.get(kind, {}).get("samples", [])
            if one["key"] not in gone
        ]
        for name, found in sources.items()
    ]
    depth = max(map(len, by_turn), default=0)
    mixed = [found[n] for n in range(depth) for found in by_turn if n < len(found)][:MAX_CONTEXTS]
    texts = masked([context for _, context, _ in mixed])
    if not mixed:
        return paragraph("There is none to show.")
    rows = [
        Row(cells=[name, key[:12], sample(lines(text))])
        for (name, _, key), text in zip(mixed, texts, strict=True)
    ]
    return table((Column("source"), Column("document"), Column("context")), rows)
