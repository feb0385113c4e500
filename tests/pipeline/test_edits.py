"""The `edits` pass, end to end on real text with footers, headers and copied passages put in."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import plan as plan_module
from pipeline.cli import main
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.refilter import finished_plan, refilter
from pipeline.run import Outcome, run
from pipeline.stage import Context
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus, base_manifest, docstrings
from tests.pipeline.plugins import HereRunner, NoReporter

FOOTER = "Copyright the authors of this page, all rights reserved"
LICENCE = (
    "Permission is hereby granted to whoever reads this\nheader to read it again, and again,\n"
    "without limitation of times or places."
)
PASSAGE = " ".join(f"passage{n} of" for n in range(60))
EDITS: dict[str, Any] = {
    "lines": {"max_documents": 6},
    "paragraphs": {"max_documents": 6},
    "substrings": {"min_tokens": 50},
}


def rows(texts: tuple[str, ...], name: str) -> list[dict[str, str]]:
    found = []
    for n, original in enumerate(texts):
        text = original
        if n % 4 == 0:
            text = f"{text}\n{FOOTER if n % 8 else FOOTER.upper()}!"
        if n % 9 == 0:
            text = f"{LICENCE}\n\n{text}"
        if n % 20 == 0:
            middle = len(text) // 2
            text = f"{text[:middle]} {PASSAGE}. {text[middle:]}"
        found.append({"id": f"{name}{n}", "text": text})
    return found


def corpus_in(folder: Path, tokenizer_folder: Path) -> Corpus:
    manifest = base_manifest(tokenizer_folder) | {"edits": EDITS}
    manifest["filters"] = [{"use": "length", "min_chars": 50}]
    corpus = Corpus(folder, manifest)
    texts = docstrings()[:240]
    general = rows(texts[80:], "g")
    general += [{"id": f"copy{n}", "text": general[n]["text"]} for n in (0, 8, 9)]
    corpus.write("domain.jsonl", rows(texts[:80], "d"))
    corpus.write("general-1.jsonl", general[:100])
    corpus.write("general-2.jsonl.gz", general[100:])
    corpus.save()
    return corpus


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    corpus = corpus_in(tmp_path_factory.mktemp("edited"), tokenizer_folder)
    corpus.prepare("--workers", "1")
    return corpus


def prepare_here(corpus: Corpus, *overrides: str) -> tuple[Outcome, list[str]]:
    """`prepare run` in this process, and the stages in which there was something to do."""
    plan = Plan(load_manifest(corpus.folder / "m.yaml", overrides), corpus.folder, corpus.out)
    outcome = run(Context(plan, HereRunner(), NoReporter(), 10**9))
    return outcome, [stage for stage, number in outcome.num_run.items() if number]


def texts_of(corpus: Corpus) -> dict[str, str]:
    kept = corpus.table("kept")
    return dict(zip(kept["id"].to_pylist(), kept["text"].to_pylist(), strict=True))


def holding(corpus: Corpus, part: str) -> set[str]:
    return {name for name, text in texts_of(corpus).items() if part.lower() in text.lower()}


def test_what_repeats_stays_in_the_best_document_only(edited: Corpus) -> None:
    raw = [*rows(docstrings()[:80], "d")]
    for part in (FOOTER, LICENCE.split("\n")[1]):
        longest = max(
            (r for r in raw if part.lower() in r["text"].lower()),
            key=lambda r: len(r["text"].encode()),
        )
        assert holding(edited, part) == {longest["id"]}
    longest = max((r for r in raw if PASSAGE in r["text"]), key=lambda r: len(r["text"].encode()))
    assert holding(edited, PASSAGE) == {longest["id"]}
    assert holding(edited, "passage30") == {longest["id"]}


def test_nothing_else_goes(edited: Corpus) -> None:
    left = texts_of(edited)
    untouched = [r for n, r in enumerate(rows(docstrings()[:80], "d")) if n % 4 and n % 9]
    same = [left[row["id"]].split() == row["text"].split() for row in untouched]
    assert sum(same) > 0.9 * len(same)  # the rest has lines of its own that repeat
    assert all("\n\n\n" not in text and not text.endswith("\n") for text in left.values())


def test_what_is_cut_is_counted_with_the_document_and_in_the_ledger(edited: Corpus) -> None:
    kept = edited.table("kept")
    counts = {name: kept[name] for name in kept.column_names if name.startswith("edited.")}
    assert set(counts) == {
        "edited.lines.num_dropped",
        "edited.paragraphs.num_dropped",
        "edited.substrings.num_bytes",
    }
    assert {column.type for column in counts.values()} == {pa.int32()}
    ledger = edited.ledger()
    for name, column in counts.items():
        total = sum(entry["changes"][name] for entry in ledger.values())
        assert total == sum(column.to_pylist()) > 10


def test_copies_of_one_text_are_edited_alike_and_then_removed_as_duplicates(edited: Corpus) -> None:
    removed = edited.removals().to_pylist()
    names = dict(zip(edited.table("kept")["key"].to_pylist(), texts_of(edited), strict=True))
    gone = {names[row["key"]] for row in removed if row["rule"] == "exact_duplicate"}
    for n in (0, 8, 9):
        assert len({f"copy{n}", f"g{n}"} & gone) == 1


def test_the_output_is_sound_and_nothing_is_left_to_do(edited: Corpus) -> None:
    assert list(faults(edited.out)) == []
    assert "Nothing to do" in edited.prepare()
    assert not list((edited.out / "state" / "scan").glob("*.json"))
    assert {path.suffix for path in edited.out.glob("edits/**/*") if path.is_file()} == {".npy"}


@pytest.mark.slow
def test_workers_and_rounds_do_not_show(
    tmp_path: Path, tokenizer_folder: Path, edited: Corpus
) -> None:
    other = corpus_in(tmp_path, tokenizer_folder)
    other.prepare("--workers", "2", "--memory", "300KB")
    assert other.hashes() == edited.hashes()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(
    tmp_path: Path, tokenizer_folder: Path, edited: Corpus
) -> None:
    other = corpus_in(tmp_path, tokenizer_folder)
    process = other.start("--workers", "2")
    deadline = time.monotonic() + 120
    while not any((other.out / "state" / "scan").glob("*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (other.out / "state" / "refine").exists()
    other.prepare("--workers", "2")
    assert other.hashes() == edited.hashes()
    assert list(other.out.rglob(".tmp-*")) == []


def test_names_of_files_do_not_decide_what_stays(
    tmp_path: Path, tokenizer_folder: Path, edited: Corpus
) -> None:
    other = corpus_in(tmp_path, tokenizer_folder)
    for before, after in (("general-1.jsonl", "general-9.jsonl"), ("domain.jsonl", "domain-z")):
        (other.folder / before).rename(other.folder / after)
    prepare_here(other)
    assert texts_of(other) == texts_of(edited)


@pytest.mark.slow
def test_other_thresholds_do_not_edit_again_and_other_edits_refine_again(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    corpus = corpus_in(tmp_path, tokenizer_folder)
    first, stages = prepare_here(corpus)
    assert {"edits", "scan", "repeats", "refine"} <= set(stages)
    again, stages = prepare_here(corpus, "filters.0.min_chars=600")
    assert "edits" not in stages
    assert "scan" not in stages
    plan = finished_plan(corpus.out, ["filters.0.min_chars=50"])
    back = refilter(Context(plan, HereRunner(), NoReporter(), 10**9))
    assert back.index == first.index != again.index
    assert list(faults(corpus.out)) == []
    assert prepare_here(corpus)[0].nothing_to_do
    _, stages = prepare_here(corpus, "edits.lines.max_documents=1000")
    assert {"edits", "scan", "refine"} <= set(stages)
    assert len(holding(corpus, FOOTER)) > 6
    assert len(list((corpus.out / "edits").iterdir())) == 1
    prepare_here(corpus, "edits=null")
    assert len(holding(corpus, PASSAGE)) > 6
    assert not list((corpus.out / "edits").glob("*"))
    assert not [n for n in corpus.table("kept").column_names if n.startswith("edited.")]
    assert prepare_here(corpus)[0].index == first.index


def test_files_that_cannot_be_split_are_read_once_for_both_passes(
    tmp_path: Path, tokenizer_folder: Path, edited: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_in(tmp_path, tokenizer_folder)
    monkeypatch.setattr(plan_module, "SPOOL_BYTES", 1000)
    _, stages = prepare_here(corpus)
    assert "spool" in stages
    assert texts_of(corpus) == texts_of(edited)
    assert prepare_here(corpus)[0].nothing_to_do
    _, stages = prepare_here(corpus, "filters.0.min_chars=600")
    assert not {"spool", "scan"} & set(stages)
    _, stages = prepare_here(corpus, "edits.substrings.min_tokens=40")
    assert {"spool", "scan", "edits"} <= set(stages)


def test_lines_of_each_source_stay_once_in_each(tmp_path: Path, tokenizer_folder: Path) -> None:
    corpus = corpus_in(tmp_path, tokenizer_folder)
    prepare_here(corpus, "edits={lines: {scope: source}, paragraphs: {scope: source}}")
    assert sorted(name[0] for name in holding(corpus, FOOTER) if "copy" not in name) == ["d", "g"]


def test_a_document_of_nothing_else_is_dropped_as_empty(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    corpus = corpus_in(tmp_path, tokenizer_folder)
    corpus.write("general-3.jsonl", [{"id": "only", "text": f"{FOOTER}\n\n{LICENCE}"}])
    prepare_here(corpus)
    (row,) = (row for row in corpus.table("dropped").to_pylist() if row["id"] == "only")
    assert (row["rule"], row["text"], row["edited.lines.num_dropped"]) == ("empty", "", 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{}", "want lines, paragraphs or substrings"),
        ("{lines: {max_documents: 0}}", "max_documents"),
        ("{words: {}}", "words"),
    ],
)
def test_a_wrong_section_is_refused(edited: Corpus, value: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_manifest(edited.folder / "m.yaml", [f"edits={value}"])


def test_strata_may_go_by_what_was_cut(edited: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    strata = 'strata={by: edited.lines.numdropped, edges: [1], names: ["a", "b"]}'
    assert main(["run", str(edited.folder / "m.yaml"), "--set", strata]) == 2
    assert "edited.lines.num_dropped" in capsys.readouterr().err
    assert json.loads((edited.out / "run.json").read_text())["edit_table"]
