"""What a manifest may say of strata, and where a value belongs."""

import bisect
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.errors import ManifestError, PrepareError
from pipeline.files import arrow_writer
from pipeline.graph.pack import TokeniseItem
from pipeline.graph.stratify import StratifyItem, stratify_item
from pipeline.keys import KEY_TYPE, hash_values
from pipeline.manifest import load_manifest
from pipeline.parts import group_documents
from pipeline.plan import Plan
from pipeline.signals import check_strata, known_signals
from pipeline.strata import MISSING, StrataConfig, stratum_numbers
from pipeline.stratifying import stratum_documents
from pipeline.tokens.token_file import Span, read_spans, token_batch, tokens_schema
from pipeline.tokens.tokenize import Tokens
from tests.pipeline.corpora import base_manifest

EDGES = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique=True)


def write(folder: Path, strata: dict[str, Any]) -> Path:
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump(base_manifest(folder / "tokenizer") | {"strata": strata}))
    return path


@given(EDGES.map(sorted), st.lists(st.floats(width=32)))
def test_a_value_is_above_every_edge_that_it_reaches(
    edges: list[float], values: list[float]
) -> None:
    numbers = stratum_numbers(np.array(values, np.float64), tuple(edges))
    assert numbers.tolist() == [
        len(edges) + 1 if math.isnan(value) else bisect.bisect_right(edges, value)
        for value in values
    ]


def test_names_are_those_given_or_numbers(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, {"by": "num_bytes", "edges": [1, 2.5]}))
    assert manifest.strata is not None
    assert manifest.strata.all_names == ("stratum-0", "stratum-1", "stratum-2", MISSING)
    given_names = StrataConfig(by="x", edges=(1,), names=("low", "high"))
    assert given_names.all_names == ("low", "high", MISSING)
    assert manifest.strata_of("domain") == manifest.strata_of("general") == manifest.strata


def test_sources_that_are_not_named_have_no_strata(tmp_path: Path) -> None:
    strata = {"by": "num_bytes", "edges": [1], "sources": ["general"]}
    manifest = load_manifest(write(tmp_path, strata))
    assert manifest.strata_of("general") == manifest.strata
    assert manifest.strata_of("domain") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [2, 1]}, "strata.edges: .*want ascending edges, but 1 follows 2"),
        ({"edges": [1, 1]}, "strata.edges: .*want ascending edges, but 1 follows 1"),
        ({"edges": []}, "strata.edges: "),
        ({"edges": [math.inf]}, "strata.edges.0: .*finite"),
        ({"edges": [math.nan]}, "strata.edges.0: .*finite"),
        ({"names": ["a", "b"]}, "strata: .*2 names for 2 edges; want 3"),
        ({"names": ["a", "b", "c", "d"]}, "strata: .*4 names for 2 edges; want 3"),
        ({"names": ["a", "b", "B"]}, "strata.names: .*differ"),
        ({"names": ["a", "b", "none"]}, "strata.names: .*'none' is the stratum of documents"),
        ({"names": ["a", "b", "../c"]}, "strata.names.2: "),
        ({"names": ["a", "b", "c.d"]}, "strata.names.2: "),
        ({"sources": ["domian"]}, r"strata: .*'domian' \(did you mean 'domain'\?\)"),
        ({"sources": []}, "strata.sources: "),
        ({"edge": [1]}, r"strata.edge: unknown key \(did you mean 'edges'\?\)"),
    ],
)
def test_bad_strata_are_refused_by_line_and_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, {"by": "num_bytes", "edges": [1, 2]} | changes)
    with pytest.raises(ManifestError, match=r"m\.yaml:\d+: " + message):
        load_manifest(path)


def test_an_unknown_signal_stops_the_run_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in ("domain", "general"):
        (tmp_path / f"{source}.jsonl").write_text('{"id": "1", "text": "x"}\n')
    path = write(tmp_path, {"by": "gopher_quality.num_word", "edges": [1]})
    assert main(["run", str(path)]) == 2
    error = capsys.readouterr().err
    assert "strata.by: got 'gopher_quality.num_word' (did you mean 'gopher_quality." in error
    for name in ("length.num_chars", "language.language_score", "num_tokens", "num_duplicates"):
        assert name in error
    assert not (tmp_path / "out").exists()


def test_a_signal_must_be_known_of_each_source_with_strata(tmp_path: Path) -> None:
    path = write(tmp_path, {"by": "length.num_chars", "edges": [1]})
    manifest = load_manifest(path, ["filters.0.sources=[domain]"])
    plan = Plan(manifest, tmp_path, tmp_path / "out")
    assert "length.num_chars" in known_signals(plan, "domain")
    with pytest.raises(ManifestError, match=r"of the source general .*strata\.sources without gen"):
        check_strata(plan)
    only = load_manifest(path, ["filters.0.sources=[domain]", "strata.sources=[domain]"])
    check_strata(Plan(only, tmp_path, tmp_path / "out"))


def test_signals_are_numbers_that_describe_a_document(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, {"by": "num_bytes", "edges": [1]}))
    known = known_signals(Plan(manifest, tmp_path, tmp_path / "out"), "domain")
    assert {"gopher_quality.alpha_word_ratio", "pii.num_pii_email", "num_bytes"} <= set(known)
    assert not {"language.language", "source_row", "key", "text"} & set(known)


KEYS = hash_values(pa.array([f"k{n}" for n in range(7)], pa.string()))


def item_of(out: Path, values: list[float | None], split: dict[str, list[int]]) -> StratifyItem:
    """A refined file with one signal, in batches of 4 documents, and its token files."""
    schema = pa.schema([pa.field("key", KEY_TYPE), pa.field("f.signal", pa.float64())])
    with arrow_writer(out / "kept.arrow", schema) as writer:
        for first in range(0, len(values), 4):
            rows = slice(first, min(first + 4, len(values)))
            columns = [KEYS[rows], pa.array(values[rows], pa.float64(), from_pandas=False)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    for name, rows in split.items():
        tokens = Tokens(np.array(rows, np.uint16), np.arange(len(rows) + 1))
        keys, sizes = KEYS.take(pa.array(rows, pa.int64())), np.ones(len(rows), np.int64)
        with arrow_writer(out / f"{name}.arrow", tokens_schema(pa.uint16())) as writer:
            writer.write_batch(token_batch(tokens, keys, keys, sizes))
    paths = tuple((name, f"{name}.arrow") for name in split)
    strata = StrataConfig(by="f.signal", edges=(0.0, 1.0))
    return StratifyItem("domain", strata, "kept.arrow", paths, "removals.arrow", "item")


def test_documents_without_a_value_are_a_stratum_of_their_own(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, {"by": "num_bytes", "edges": [1]}))
    values = [1.0, None, -1.0, 0.5, float("nan"), 7.0, 0.0]
    item = item_of(tmp_path, values, {"train": [0, 1, 2, 3, 4, 6], "validation": [5]})
    record = stratify_item(item, Plan(manifest, tmp_path, tmp_path))
    assert record["counts"]["num_documents"] == {"train": [1, 2, 1, 2], "validation": [0, 0, 1, 0]}
    order = tmp_path / record["outputs"]["train"]["path"]
    got = [
        read_spans([Span(tmp_path / "train.arrow", first, last, order)]).values.tolist()
        for first, last in ((0, 1), (1, 3), (3, 4), (4, 6))
    ]
    assert got == [[2], [3, 6], [0], [1, 4]]


def test_a_document_that_was_not_refined_is_an_error(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, {"by": "num_bytes", "edges": [1]}))
    item = item_of(tmp_path, [0.0] * 4, {"train": [0, 6], "validation": []})
    with pytest.raises(PrepareError, match="1 of 2 documents are in no refined file"):
        stratify_item(item, Plan(manifest, tmp_path, tmp_path))


def test_the_documents_of_a_stratum_keep_the_order_of_the_files(tmp_path: Path) -> None:
    strata = {"by": "num_bytes", "edges": [0, 1], "sources": ["domain"]}
    plan = Plan(load_manifest(write(tmp_path, strata)), tmp_path, tmp_path)
    values = ([1.0, -1.0, 0.5, -2.0], [-3.0, 0.0, 2.0, -4.0, 5.0])
    tokenised, stratified = [], {}
    for number, signal in enumerate(values):
        item = item_of(tmp_path / str(number), list(signal), {"train": list(range(len(signal)))})
        paths = {"train": tmp_path / str(number) / "train.arrow"}
        record = plan.records("tokenise").commit(str(number), paths, {}, 0.0)
        kept, tokens = f"{number}/kept.arrow", (("train", f"{number}/train.arrow"),)
        made = replace(item, kept=kept, tokens=(*tokens, ("validation", tokens[0][1])))
        tokenised.append((TokeniseItem("domain", kept, "", 0, 0, str(number)), record))
        stratified[str(number)] = stratify_item(replace(made, fingerprint=str(number)), plan)
    found = {
        name: [
            read_spans([documents.below(tmp_path) for documents in group]).values.tolist()
            for group in group_documents(tmp_path, documents, 2)
        ]
        for name, documents in stratum_documents(plan, "domain", "train", tokenised, stratified)
    }
    assert found == {
        "stratum-0": [[1, 3], [0, 3]],
        "stratum-1": [[2, 1]],
        "stratum-2": [[0, 2], [4]],
        MISSING: [],
    }
