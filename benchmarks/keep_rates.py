"""What share of a corpus each filter keeps, alone: for the pages in docs/filters.

    python -m benchmarks.keep_rates --corpus DIR --language-model FILE [--name TEXT]

DIR holds `docs-*.jsonl.zst` with `id` and `text`; FILE is an English model of `prepare fit-lm`.
Writes docs/filters/keep_rates.json; `make filter-docs` then renews the pages. A filter without
defaults gets the parameters that stand beside its rate.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import Chain
from filters.models.language_model import shipped_model
from filters.registry import names
from filters.statistics import TextStatistics
from pipeline.sources.config import SourceConfig
from pipeline.sources.registry import open_reader

OUT = Path("docs/filters/keep_rates.json")
ENGLISH = {"use": "language", "keep": ["en"]}
# What a filter is given that has no defaults. Lists are the user's: these are examples of one.
PARAMETERS: dict[str, dict[str, Any]] = {
    "classifier": {"model": "lid.176.ftz", "label": "en", "min_score": 0.5},
    "expression": {"signals": ["language.language_score"], "keep": "language.language_score > 0.9"},
    "language": {"keep": ["en"]},
    "length": {"min_words": 50, "max_words": 100_000},
    "regex": {"refuse": [r"(?i)\blorem ipsum\b"]},
    "toxicity": {"words": {"en": ["damn", "hell", "crap"]}, "max_listed_words": 0},
    "url": {"strict_words": ["casino", "porn"]},
}
AFTER = {"expression": [ENGLISH], "perplexity": [ENGLISH]}  # filters whose signals they read


def main() -> None:
    """Measure every registered filter and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--language-model", required=True)
    parser.add_argument("--name", default="499 MB of mixed documentation")
    parser.add_argument("--only", choices=names())
    options = parser.parse_args()
    found = json.loads(OUT.read_text()) if OUT.is_file() else {"filters": {}}
    rates = found["filters"]
    for name in [options.only] if options.only else names():
        rates[name] = rate(name, options.corpus, options.language_model)
        print(name, rates[name], flush=True)
        written = {"corpus": options.name, "filters": dict(sorted(rates.items()))}
        OUT.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def rate(name: str, corpus: Path, language_model: str) -> dict[str, Any]:
    """Shares of documents and of bytes that the filter leaves, of those that reach it."""
    shown = dict(PARAMETERS.get(name, {}))
    given = dict(shown)
    if name == "classifier":
        given["model"] = str(shipped_model())
    if name == "perplexity":
        shown = {"model": {"en": "of prepare fit-lm"}, "keep_buckets": ["head", "middle"]}
        given = {"model": {"en": language_model}, "keep_buckets": ["head", "middle"]}
        given["cutoffs"] = fitted(given, corpus)
    chain = Chain.of(*AFTER.get(name, []), {"use": name, **given})
    totals = np.zeros(4)  # documents and bytes that reach it, documents and bytes kept
    for batch in batches(corpus):
        before = TextStatistics(batch["text"]).num_bytes.to_numpy()
        edited = chain.edit(batch)
        after = TextStatistics(edited["text"]).num_bytes.to_numpy()
        decision = chain.decide(edited)
        rules = pc.fill_null(decision.failures["rule"], "")
        kept = pc.equal(rules, "").to_numpy(zero_copy_only=False)
        own = pc.starts_with(rules, name).to_numpy(zero_copy_only=False)
        reached = kept | own
        totals += [reached.sum(), before[reached].sum(), kept.sum(), after[kept].sum()]
    shares = {
        "documents": round(totals[2] / totals[0], 4),
        "bytes": round(totals[3] / totals[1], 4),
    }
    return shares | ({"parameters": shown} if shown else {})


def fitted(parameters: Mapping[str, Any], corpus: Path) -> dict[str, Any]:
    """The cut-offs of buckets, from all documents of the corpus that are in English."""
    chain = Chain.of(ENGLISH, {"use": "perplexity", **parameters})
    rule: Any = chain.filters[-1][1]
    measured = [
        decision.signals.filter(decision.kept) for decision in map(chain.decide, batches(corpus))
    ]
    table = pa.Table.from_batches(measured).combine_chunks()
    own = [column for column in table.column_names if column.startswith("perplexity.")]
    batch = table.select(own).to_batches()[0]
    signals = batch.rename_columns([column.removeprefix("perplexity.") for column in own])
    return dict(rule.fit(signals)["cutoffs"])


def batches(corpus: Path) -> Iterator[pa.RecordBatch]:
    """The documents, as `prepare` reads them."""
    source = SourceConfig(
        name="kit", format="jsonl", paths=("docs-*.jsonl.zst",), id_field="id", url_field="url"
    )
    reader = open_reader(source, corpus, 10_000_000)
    for item in reader.inputs():
        for piece in reader.split(item):
            yield from (rows.documents for rows in reader.read(piece))


if __name__ == "__main__":
    main()
