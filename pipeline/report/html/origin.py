"""Where the corpus comes from: manifest, fitted thresholds, inputs, fingerprints, versions."""

import json
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import yaml
from markupsafe import Markup

from pipeline.files import read_json
from pipeline.manifest import manifest_values
from pipeline.page.document import Section
from pipeline.page.elements import Column, Row, code, details, heading, join, paragraph, table
from pipeline.report.html.corpus import INPUTS, STAGES, Finished
from pipeline.report.html.limits import MANIFEST_CHARS, MAX_ROWS
from pipeline.report.html.masking import name as shown_name
from pipeline.report.html.masking import settings
from pipeline.report.html.words import count, megabytes

LEAD = "What the output was made of. Two outputs with one fingerprint of shards hold one stream."
LIBRARIES = ("headwater", "pyarrow", "numpy", "apache-beam", "tokenizers", "fastokens", "numba")
HIDDEN = "(a file, not named here)"


def origin(corpus: Finished) -> Section:
    """Everything that says which output this is."""
    parts = [_fingerprints(corpus), *_inputs(corpus), *_fits(corpus), *_code(corpus), _versions()]
    parts += list(_manifest(corpus))
    return Section(id="origin", title="Origin", lead=LEAD, body=join(parts))


def _fingerprints(corpus: Finished) -> Markup:
    index = corpus.index
    facts = [
        ("corpus", index.corpus),
        ("shards", index.fingerprint()),
        ("manifest", index.manifest_fingerprint),
        ("tokenizer", f"{index.tokenizer.fingerprint}, {index.tokenizer.num_ids:,} ids"),
        ("sequence", f"{index.sequence_tokens:,} tokens of {index.dtype}"),
        ("format", str(index.format_version)),
    ]
    if corpus.imported:
        facts += [("imported from", ", ".join(map(shown_name, corpus.imported.get("inputs", ()))))]
    rows = [Row(cells=[name, value]) for name, value in facts]
    return table((Column("of"), Column("fingerprint")), rows)


def _inputs(corpus: Finished) -> Iterator[Markup]:
    path = corpus.out / INPUTS
    if not path.is_file():
        return
    contents = corpus.run.get("inputs", {})
    rows = []
    for source, files in read_json(path).get("sources", {}).items():
        sizes = [values[0] for values in files.values() if isinstance(values[0], int)]
        cells = [source, count(len(files)), megabytes(sum(sizes)), str(contents.get(source, ""))]
        rows.append(Row(cells=cells))
    columns = [Column("source"), Column("files", True), Column("MB", True)]
    yield heading("Inputs")
    yield table([*columns, Column("fingerprint of the contents")], rows[:MAX_ROWS])


def _fits(corpus: Finished) -> Iterator[Markup]:
    fits = corpus.run.get("fits", ())
    if not fits:
        return
    rows = [
        Row(
            cells=[
                fit["source"],
                fit["filter"],
                count(fit["num_documents"]),
                json.dumps(fit["parameters"], sort_keys=True),
            ]
        )
        for fit in fits
    ]
    columns = (Column("source"), Column("filter"), Column("documents", True), Column("found"))
    yield heading("Fitted thresholds")
    yield table(columns, rows[:MAX_ROWS])


def _code(corpus: Finished) -> Iterator[Markup]:
    """Whether all items of a stage were made by the same code."""
    rows = []
    for stage in STAGES:
        made = [record["of"]["code"] for record in corpus.records.get(stage, ()) if "of" in record]
        if made:
            rows.append(Row(cells=[stage, ", ".join(sorted(set(made))[:3])]))
    if rows:
        yield heading("Code that made it")
        yield table((Column("stage"), Column("fingerprint")), rows)


def _versions() -> Markup:
    found = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return paragraph(f"This page was written with {', '.join(found)}.")


def _manifest(corpus: Finished) -> Iterator[Markup]:
    if corpus.manifest is None:
        return
    values = manifest_values(corpus.manifest)
    if values.get("pii", {}).get("key_file"):
        values["pii"]["key_file"] = HIDDEN
    text = settings(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    if len(text) > MANIFEST_CHARS:
        text = f"{text[:MANIFEST_CHARS]}\n# ... the rest is in manifest.yaml"
    yield heading("Manifest")
    yield details("As it was understood, with all defaults", code(text))
