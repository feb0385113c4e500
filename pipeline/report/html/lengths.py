"""Lengths of documents in tokens, and how well they fill the sequences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from pipeline.page import plots
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, join, paragraph, table
from pipeline.refined import RowReader
from pipeline.report.html.columns import Group, groups
from pipeline.report.html.corpus import Finished
from pipeline.report.html.words import count, share, short
from pipeline.shards import SPLITS
from pipeline.tokens.token_file import lengths as token_lengths

LEAD = (
    "Lengths are of whole documents, begin and end marks included, train and validation together. "
    "Utilisation is real tokens as a share of the places of all rows. Learned are all tokens, but "
    "for prompts and the like, which a loss mask makes context alone."
)
PERCENTILES = (5, 50, 95)
MAX_CURVES = 8
MASK = "loss_mask"


@dataclass(frozen=True, slots=True)
class Packed:
    """The parts of one source and split. `pieces_per_row`: int64, of each row."""

    num_rows: int
    num_tokens: int
    num_documents: int
    pieces_per_row: np.ndarray
    num_learned: int  # tokens that are no mere context: all, where there is no loss mask


def lengths(corpus: Finished) -> Section:
    """Of an import, which has no token files, only what its rows say."""
    shown = groups(corpus.sources, corpus.num_tokens)
    if not corpus.index.shards or not sum(map(corpus.num_tokens, corpus.sources)):
        body = paragraph("There are no tokens.")
        return Section(id="lengths", title="Lengths and packing", body=body)
    found = {source: _lengths(corpus, source) for source in corpus.sources}
    parts = [_figure(found)] if any(map(len, found.values())) else [paragraph(NO_LENGTHS)]
    parts += [_documents(corpus, shown, found), _packing(corpus, shown)]
    if corpus.index.sequence_tokens:
        parts.append(paragraph(_explained(corpus)))
    return Section(id="lengths", title="Lengths and packing", lead=LEAD, body=join(parts))


NO_LENGTHS = "The token files are gone or there were none, so lengths of documents are not known."


def _lengths(corpus: Finished, source: str) -> np.ndarray:
    """Tokens of each document, int64, from the offsets of the token files."""
    parts = [np.zeros(0, np.int64)]
    for record in corpus.records.get("tokenise", ()):
        for output in record["outputs"].values():
            path = corpus.out / output["path"]
            if path.parent.name == source and path.is_file():
                parts.append(token_lengths(path))
    found = np.concatenate(parts)
    return found[found > 0]  # an erased document has none left


def _figure(found: dict[str, np.ndarray]) -> Markup:
    """A curve for each of the largest sources, of the share of its documents."""
    chosen = sorted((s for s in found if len(found[s])), key=lambda s: -len(found[s]))[:MAX_CURVES]
    everything = np.concatenate([found[source] for source in chosen])
    low, high = everything.min(), everything.max()
    edges = np.geomspace(max(low, 1), max(high, low + 1) + 1, 49)
    figure, axes = plots.new_axes(230, xlabel="tokens of a document", ylabel="% of documents")
    for number, source in enumerate(chosen):
        counts = np.histogram(found[source], edges)[0]
        shares = 100 * counts / len(found[source])
        axes.stairs(shares, edges, color=plots.series(number), linewidth=1.6, label=_cut(source))
    axes.set_xscale("log")
    axes.minorticks_off()
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    plots.legend_above(figure)
    return plots.draw(
        figure,
        label=f"Lengths of documents in tokens, {low:,} to {high:,}, by source.",
        caption="Lengths of documents, of the sources with most of them.",
    )


def _cut(source: str) -> str:
    return source if len(source) <= 24 else f"{source[:23]}…"


def _documents(corpus: Finished, shown: Sequence[Group], found: dict[str, np.ndarray]) -> Markup:
    columns = [
        Column("source"),
        Column("documents", True),
        Column("mean", True),
        *(Column(f"{p} %", True) for p in PERCENTILES),
        Column("longest", True),
        Column(f"longer than {corpus.index.sequence_tokens:,}", True),
    ]
    rows = []
    for group in shown:
        values = np.concatenate([np.zeros(0, np.int64), *(found[s] for s in group.sources)])
        if len(values):
            longer = int(np.count_nonzero(values > corpus.index.sequence_tokens))
            figures = [values.mean(), *np.percentile(values, PERCENTILES), values.max()]
            cells = [group.title, count(len(values)), *map(count, figures)]
            rows.append(Row(cells=[*cells, share(longer, len(values)) or "0 %"]))
    return table(columns, rows, caption="Documents in tokens") if rows else Markup("")


def _packing(corpus: Finished, shown: Sequence[Group]) -> Markup:
    columns = (
        Column("source"),
        Column("split"),
        Column("rows", True),
        Column("tokens", True),
        Column("learned", True),
        Column("utilisation", True),
        Column("documents", True),
        Column("pieces per document", True),
        Column("pieces per row", True),
    )
    rows = []
    for group in shown:
        for split in SPLITS:
            packed = _packed(corpus, group.sources, split)
            if packed.num_rows:
                rows.append(Row(cells=[group.title, split, *_cells(corpus, packed)]))
    return table(columns, rows, caption="Rows of packed sequences")


def _packed(corpus: Finished, sources: Sequence[str], split: str) -> Packed:
    shards = [shard for source in sources for shard in corpus.shards_of(source, split)]
    pieces, num_learned = [np.zeros(0, np.int64)], 0
    for shard in shards:
        path = corpus.shards_folder / shard.path
        mask = [MASK] if MASK in RowReader(path).schema.names else []
        for batch in RowReader(path, "doc_start", "num_tokens", *mask).batches():
            pieces.append(np.diff(batch["doc_start"].offsets.to_numpy()))
            num_learned += _num_learned(batch)
    return Packed(
        sum(shard.num_rows for shard in shards),
        sum(shard.num_tokens for shard in shards),
        sum(shard.num_documents for shard in shards),
        np.concatenate(pieces),
        num_learned,
    )


def _num_learned(batch: pa.RecordBatch) -> int:
    """Padding is not; of a row without a mask everything else is."""
    if MASK not in batch.schema.names:
        return pc.sum(batch["num_tokens"]).as_py() or 0
    mask = batch[MASK]
    plain = batch["num_tokens"].filter(mask.is_null())
    return (pc.sum(mask.flatten()).as_py() or 0) + (pc.sum(plain).as_py() or 0)


def _cells(corpus: Finished, packed: Packed) -> list[str]:
    pieces = int(packed.pieces_per_row.sum())
    return [
        count(packed.num_rows),
        count(packed.num_tokens),
        count(packed.num_learned),
        share(packed.num_tokens, packed.num_rows * corpus.index.sequence_tokens),
        count(packed.num_documents),
        f"{pieces / packed.num_documents:.2f}" if packed.num_documents else "",
        f"{pieces / packed.num_rows:.1f}",
    ]


def _explained(corpus: Finished) -> str:
    length = f"Rows are of {corpus.index.sequence_tokens:,} tokens."
    if corpus.manifest is None:
        return length
    told = {
        "best_fit": "Strategy best_fit: only documents longer than a row are cut.",
        "concat": "Strategy concat: documents stand end to end, and are cut where a row ends.",
        "pad": "Strategy pad: a row holds tokens of one document alone.",
    }
    return f"{length} {told[corpus.manifest.pack.strategy]} No token is left out."
