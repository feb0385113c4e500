"""Duplicates: how many, how alike, and the largest clusters with their differences marked."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from pipeline.explaining.clusters import Cluster, Overview, clusters, overview, select
from pipeline.explaining.differences import Piece, compare
from pipeline.explaining.duplication import Other, Removal
from pipeline.explaining.output import Output
from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import (
    details,
    heading,
    join,
    marked,
    pair,
    paragraph,
    prose,
    sample,
    tiles,
)
from pipeline.refined import COMPARED
from pipeline.report.html.limits import (
    COMPARED_CHARS,
    MAX_CLUSTERS,
    MAX_DIFFERENCE_CHARS,
    MAX_MEMBERS,
)
from pipeline.report.html.masking import heads, lines, shortened
from pipeline.report.html.masking import name as shown_name
from pipeline.report.html.words import count, limit, plural

LEAD = prose(
    "Each removed document was compared with the one that stays for it; clusters are not chains. "
    "`prepare duplicates` shows all of them."
)
CONTEXT_WORDS, MAX_WORDS, MAX_DIFFERENCES = 10, 50, 5


def duplicates(output: Output) -> Section:
    """Figures over all removals, and texts of a few."""
    chosen = select(output)
    found = overview(output, chosen)
    if not found.num_removed:
        body = paragraph("Deduplication removed no document.")
        return Section(id="duplicates", title="Duplicates", body=body)
    facts = [
        ("documents removed", count(found.num_removed), ""),
        ("clusters", count(found.num_clusters), "documents that others went for"),
        *((name.replace("_", " "), count(number), "") for name, number in found.by_rule.items()),
    ]
    parts = [tiles(facts), _histogram(found)]
    for title, order in (("The largest clusters", "size"), ("The least alike", "similarity")):
        listed = clusters(output, chosen, order, MAX_CLUSTERS // 2, MAX_MEMBERS)  # type: ignore[arg-type]
        parts += [heading(title), *(_cluster(output, cluster) for cluster in listed)]
    return Section(id="duplicates", title="Duplicates", lead=LEAD, body=join(parts))


def _histogram(found: Overview) -> Markup:
    figure, axes = plots.new_axes(190, ylabel="removed documents")
    labels = [f"{low:.2f}-{high:.2f}" if low < high else "1" for low, high, _ in found.histogram]
    axes.bar(labels, [number for *_, number in found.histogram], color=plots.ROLES["c0"], width=0.7)
    axes.grid(visible=False, axis="x")
    label = f"How similar {found.num_removed:,} removed documents are to those that stay for them."
    return plots.draw(figure, label=label, caption="Similarity to the document that stays.")


def _cluster(output: Output, cluster: Cluster) -> Markup:
    docs = [one.removed.doc for one in cluster.removed]
    here = [] if cluster.survivor.doc is None else [cluster.survivor.doc]
    texts = _texts(output, [doc for doc in [*docs, *here] if doc is not None])
    survivor = texts[-1] if here else None
    title = f"{_who(cluster.survivor)} stays, {plural(cluster.num_removed, 'document')} went for it"
    members = [
        _member(removal, text, survivor)
        for removal, text in zip(cluster.removed, texts, strict=False)
    ]
    return details(title, join(members))


def _texts(output: Output, docs: Sequence[int]) -> list[str]:
    """The beginnings of the texts, masked."""
    found = output.read(np.array(docs, np.uint64), COMPARED)[COMPARED]
    beginnings = pc.utf8_slice_codeunits(pa.array(found, pa.string()), 0, COMPARED_CHARS + 1)
    return [lines(text) for text in heads(beginnings.to_pylist(), COMPARED_CHARS)]


def _who(other: Other) -> str:
    where = other.source or f"corpus {other.corpus}"
    return f"{shown_name(where)}, {other.key[:12] or 'erased'}"


def _member(removal: Removal, text: str, survivor: str | None) -> Markup:
    head = paragraph(
        f"{_who(removal.removed)}: {removal.rule.replace('_', ' ')}, similarity "
        f"{removal.similarity:.3f} (threshold {limit(removal.threshold)})",
        "who",
    )
    if not text or survivor == "":
        return join([head, paragraph("Erased since.")])
    if survivor is None:
        return join([head, paragraph("The text that stays is in the other corpus.")])
    pieces = compare(text, survivor)
    places = [place for place, piece in enumerate(pieces) if not piece.is_same]
    if not places:
        same = sample(_shortened(text))
        return join([head, paragraph("The same words; here is how the text begins:"), same])
    shown = [pair(*_sides(pieces, place)) for place in places[:MAX_DIFFERENCES]]
    left = len(places) - len(shown)
    more = [paragraph(f"… and {plural(left, 'difference')} more")] if left else []
    return join([head, _titles(), *shown, *more])


def _titles() -> Markup:
    return pair(paragraph("What went"), paragraph("What stays"))


def _shortened(text: str) -> str:
    return text[:240] + (" …" if len(text) > 240 else "")


def _sides(pieces: Sequence[Piece], place: int) -> Iterator[Markup]:
    """A difference with what stands around it, in both texts."""
    for side, tag in enumerate(("del", "ins")):
        before = _side(pieces[place - 1], side)[-CONTEXT_WORDS:] if place else []
        after = _side(pieces[place + 1], side)[:CONTEXT_WORDS] if place + 1 < len(pieces) else []
        words = _side(pieces[place], side)
        around = [_joined(words_of) for words_of in (before, after)]
        yield sample(
            marked([("", around[0]), (tag, _cut(words)), ("", around[1])])
            if words
            else marked([("", "".join(around))])
        )


def _side(piece: Piece, side: int) -> list[str]:
    return piece.right if side else piece.left


def _cut(words: Sequence[str]) -> str:
    if len(words) <= MAX_WORDS:
        return _joined(words)
    half = MAX_WORDS // 2
    left_out = len(words) - 2 * half
    return f"{_joined(words[:half])} … {left_out:,} words … {_joined(words[-half:])}"


def _joined(words: Sequence[str]) -> str:
    return shortened("".join(words), MAX_DIFFERENCE_CHARS)
