"""`prepare duplicates`: all of the removal table, in clusters, with what differs marked."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pipeline.cli import main
from pipeline.explaining.clusters import clusters, overview, select
from pipeline.explaining.output import open_output
from pipeline.removals import NEAR
from pipeline.report.clusters import print_cluster
from tests.pipeline.corpora import Corpus
from tests.pipeline.explaining.conftest import ESCAPE

Capture = pytest.CaptureFixture[str]


def duplicates(corpus: Corpus, capsys: Capture, *arguments: str) -> str:
    assert main(["duplicates", str(corpus.out), *arguments]) == 0
    return capsys.readouterr().out


def objects(corpus: Corpus, capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    lines = duplicates(corpus, capsys, *arguments, "--json", "--limit", "0").splitlines()
    return [json.loads(line) for line in lines]


def test_the_clusters_are_the_removal_table(explained: Corpus, capsys: Capture) -> None:
    found = objects(explained, capsys)
    told = {
        (each["removed"]["key"], each["survivor"]["key"], each["similarity"], each["rule"])
        for cluster in found
        for each in cluster["removed"]
    }
    rows = explained.removals().to_pylist()
    assert told == {
        (r["key"].hex(), r["survivor_key"].hex(), r["similarity"], r["rule"]) for r in rows
    }
    sizes = [len(cluster["removed"]) for cluster in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes == [cluster["num_removed"] for cluster in found]
    least = [
        cluster["removed"][0]["similarity"]
        for cluster in objects(explained, capsys, "--by", "similarity")
    ]
    assert least == sorted(least)


def test_the_first_line_counts_clusters_and_rules(explained: Corpus, capsys: Capture) -> None:
    rows = explained.removals().to_pylist()
    by_rule = Counter(row["rule"] for row in rows)
    head, *rest = duplicates(explained, capsys, "--limit", "1").splitlines()
    num_clusters = len({row["survivor_key"] for row in rows})
    assert head.startswith(f"{num_clusters:,} clusters, {len(rows):,} documents removed; by rule: ")
    for rule, number in by_rule.items():
        assert f"{rule} {number}" in head
    bars = [line for line in rest if "\u2588" in line]
    assert sum(int(line.split()[1]) for line in bars) == len(rows)


def test_limits_of_similarity_and_source_select_removals(
    explained: Corpus, capsys: Capture
) -> None:
    for cluster in objects(
        explained, capsys, "--min-similarity", "0.8", "--max-similarity", "0.99"
    ):
        assert all(0.8 <= each["similarity"] <= 0.99 for each in cluster["removed"])
    for cluster in objects(explained, capsys, "--source", "domain"):
        for each in cluster["removed"]:
            assert "domain" in (each["removed"]["source"], each["survivor"]["source"])
    assert main(["duplicates", str(explained.out), "--source", "x"]) == 2
    assert (
        main(["duplicates", str(explained.out), "--min-similarity", "1", "--max-similarity", "0"])
        == 2
    )


def test_a_document_is_shown_beside_its_survivor_with_marks(
    explained: Corpus, capsys: Capture
) -> None:
    text = duplicates(explained, capsys, ESCAPE)
    assert "1 cluster, 1 document removed" in text
    assert "d1 (domain" in text
    assert "{-variant7-}" in text
    assert "words in common" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "the same text" in duplicates(explained, capsys, "same")
    lonely = next(
        name
        for name in sorted(explained.surviving_ids())
        if name != "twice" and not objects(explained, capsys, name)
    )
    assert f"{lonely}: in no cluster" in duplicates(explained, capsys, lonely)


def test_an_unknown_document_is_an_error(explained: Corpus, capsys: Capture) -> None:
    assert main(["duplicates", str(explained.out), "nobody"]) == 1
    assert "no document has this id" in capsys.readouterr().out


@pytest.mark.parametrize(("width", "no_color"), [(60, False), (200, False), (100, True)])
def test_colours_take_the_place_of_marks_on_a_terminal(
    explained: Corpus, width: int, no_color: bool
) -> None:
    output = open_output(explained.out)
    selection = select(output, source="domain")
    cluster = next(
        each
        for each in clusters(output, selection, "size", None, None)
        if each.removed[0].rule == NEAR
    )
    docs = [each.removed.doc for each in cluster.removed]
    texts = output.read(np.array([*docs, cluster.survivor.doc], np.uint64), "text")["text"]
    console = Console(width=width, force_terminal=True, color_system="standard", no_color=no_color)
    with console.capture() as capture:
        print_cluster(cluster, texts[:-1], texts[-1], console)
    assert ("\x1b[1;31m" in capture.get()) != no_color
    assert ("{+" in capture.get()) == no_color
    lines = Text.from_ansi(capture.get()).plain.splitlines()
    table = lines[next(n for n, line in enumerate(lines) if "stays   " in line) :]
    assert max(cell_len(line) for line in table if line.startswith("    ")) <= width


def test_nothing_removed_is_an_empty_overview(explained: Corpus) -> None:
    output = open_output(explained.out)
    selection = select(output, docs=[])
    found = overview(output, selection)
    assert (found.num_clusters, found.num_removed) == (0, 0)
    assert not list(clusters(output, selection, "size", None, None))
