"""`prepare` with evaluation sets, from the manifest to the report."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import SourceError
from pipeline.files import file_hash
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.refilter import finished_plan, refilter
from pipeline.run import run
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus, Rows, docstrings
from tests.pipeline.decontamination.benchmarks import human_eval, write_mmlu
from tests.pipeline.decontamination.test_benchmarks import human_eval_items, planted
from tests.pipeline.dedup.oracle import words
from tests.pipeline.test_refilter import context_of


def manifest(tokenizer_folder: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "test",
        "output": "out",
        "sources": [
            {"name": name, "format": "jsonl", "paths": [f"{name}-*"], "id_field": "id"}
            for name in ("domain", "general")
        ],
        "filters": [{"use": "length", "min_chars": 50}],
        "decontaminate": [
            {
                "name": "human_eval",
                "paths": ["eval/HumanEval.jsonl.gz"],
                "text_fields": ["prompt", "canonical_solution"],
                "id_field": "task_id",
            },
            {
                "name": "mmlu",
                "paths": ["eval/mmlu.jsonl"],
                "text_fields": ["question", "target"],
                "id_field": "id",
                "action": "cut",
            },
            {"name": "notes", "paths": ["eval/*.txt"], "action": "report", "min_overlap": 0.5},
        ],
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 256, "shard_tokens": 60_000},
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """240 real documents; 20 hold a HumanEval prompt, 20 an MMLU question, 1 is nothing else."""
    folder = tmp_path_factory.mktemp("contaminated")
    (folder / "eval").mkdir()
    shutil.copy(human_eval(), folder / "eval")
    questions = [item["question"] for item in write_mmlu(folder / "eval" / "mmlu.jsonl")]
    texts = docstrings()[:200]
    (folder / "eval" / "note.txt").write_text(texts[7])
    (folder / "eval" / "short.txt").write_text("too short to be found")
    rows: Rows = [{"id": f"clean-{n}", "text": text} for n, text in enumerate(texts)]
    for n, item in enumerate(human_eval_items()[:20]):
        rows.append({"id": f"code-{n}", "text": planted(item["prompt"], 200 + n)})
    for n, question in enumerate(questions[:20]):
        rows.append({"id": f"mmlu-{n}", "text": planted(question, 230 + n)})
    rows.append({"id": "bare", "text": questions[20]})
    made = Corpus(folder, manifest(tokenizer_folder))
    for n in range(2):
        made.write(f"domain-{n}.jsonl", rows[n * 60 : (n + 1) * 60])
    made.write("general-0.jsonl.gz", rows[120:])
    prepare(made)
    return made


def prepare(corpus: Corpus) -> None:
    """In this process, where the kernels are compiled once."""
    corpus.save()
    run(context_of(Plan(load_manifest(corpus.folder / "m.yaml"), corpus.folder, corpus.out)))


def rows_of(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in table.to_pylist()}


def test_each_document_ends_where_its_set_sends_it(corpus: Corpus) -> None:
    kept, dropped = rows_of(corpus.table("kept")), rows_of(corpus.table("dropped"))
    assert dropped.keys() == {*(f"code-{n}" for n in range(20)), "bare"}
    assert {row["rule"] for name, row in dropped.items() if name != "bare"} == {
        "decontaminate.human_eval"
    }
    assert (dropped["bare"]["rule"], dropped["bare"]["text"]) == ("decontaminate.mmlu", "")
    for n in range(20):
        row = dropped[f"code-{n}"]
        assert row["decontaminate.human_eval.item"] == f"HumanEval/{n}"
        assert n in row["decontaminate.human_eval.items"]
        assert row["value"] == row["decontaminate.human_eval.num_ngrams"] >= row["threshold"] == 1
        cut = kept[f"mmlu-{n}"]
        assert cut["edited.decontaminate.mmlu.num_words"] > 0
        whole = words(docstrings()[230 + n])
        assert len(words(cut["text"])) <= len(whole)
    assert [name for name, row in kept.items() if row["decontaminate.notes.items"]] == ["clean-7"]
    assert kept["clean-7"]["decontaminate.notes.overlap"] == 1.0


def test_the_report_names_items_and_documents(corpus: Corpus) -> None:
    code, mmlu, notes = json.loads((corpus.out / "decontamination.json").read_text())["sets"]
    assert code["num_items"] == 164
    assert code["num_documents"] == {"domain": 0, "general": 20}
    assert code["items"]["3"]["id"] == "HumanEval/3"
    named = [document["id"] for document in code["items"]["3"]["documents"]]
    assert "code-3" in named
    assert sum(mmlu["num_documents"].values()) == 21
    assert mmlu["num_matched_items"] >= 20
    assert notes["num_documents"] == {"domain": 1, "general": 0}
    assert notes["unmatchable_items"] == ["eval/short.txt#0"]
    assert (notes["num_items"], notes["num_unmatchable_items"]) == (2, 1)


def test_the_run_tells_what_was_found(corpus: Corpus) -> None:
    printed = " ".join(corpus.prepare("--workers", "1").split())
    assert "Nothing to do" in printed
    # Two prompts have lines in common.
    assert "human_eval: 20 documents overlap with 21 of 164 items; action: drop." in printed
    assert "notes: 1 document overlaps with 1 of 2 items; action: report." in printed
    assert "1 items are too short to be found." in printed
    assert "dropped: decontaminate.human_eval" in printed


def test_verify_finds_no_overlap_until_one_is_planted(corpus: Corpus, tmp_path: Path) -> None:
    assert list(faults(corpus.out)) == []
    copy = Corpus(tmp_path, corpus.manifest)
    shutil.copytree(corpus.out, copy.out)
    text = (copy.out / "manifest.yaml").read_text()
    assert load_manifest(copy.out / "manifest.yaml").decontaminate[2].action == "report"
    (copy.out / "manifest.yaml").write_text(text.replace("action: report", "action: drop"))
    assert ["not the manifest" in fault for fault in faults(copy.out)] == [True]
    run = json.loads((copy.out / "run.json").read_text())
    run["manifest_xxh3"] = file_hash(copy.out / "manifest.yaml")
    (copy.out / "run.json").write_text(json.dumps(run))
    assert ["'clean-7'" in fault for fault in faults(copy.out)] == [True]


@pytest.mark.slow
def test_bytes_depend_on_neither_workers_nor_order_nor_what_was_there(
    corpus: Corpus, tmp_path: Path
) -> None:
    other = Corpus(tmp_path, corpus.manifest)
    for path in corpus.folder.glob("*-*.jsonl*"):
        shutil.copy(path, tmp_path)
    shutil.copytree(corpus.folder / "eval", tmp_path / "eval")
    items = (tmp_path / "eval" / "mmlu.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "eval" / "mmlu.jsonl").write_bytes(b"".join(items[:5]))
    prepare(other)
    assert other.hashes() != corpus.hashes()
    before = (other.out / "decontamination.json").read_bytes()
    # The whole file again: `refine` is done again, and its n-grams are those of the new file.
    (tmp_path / "eval" / "mmlu.jsonl").write_bytes(b"".join(items))
    other.prepare("--workers", "2")
    report = (other.out / "decontamination.json").read_bytes()
    assert report == (corpus.out / "decontamination.json").read_bytes() != before
    assert other.hashes() == corpus.hashes()
    assert len(list((other.out / "decontaminate").iterdir())) == 2
    refilter(context_of(finished_plan(other.out, ["filters.0.min_chars=600"])))
    rules = set(other.table("dropped")["rule"].to_pylist())
    assert rules == {"decontaminate.human_eval", "decontaminate.mmlu", "length.num_chars"}
    assert list(faults(other.out)) == []
    other.manifest = {k: v for k, v in other.manifest.items() if k != "decontaminate"}
    prepare(other)
    assert not (other.out / "decontamination.json").exists()
    assert "code-3" in rows_of(other.table("kept"))


def test_a_set_that_is_missing_stops_the_run_before_any_work(
    corpus: Corpus, tmp_path: Path
) -> None:
    other = Corpus(tmp_path, corpus.manifest)
    shutil.copy(corpus.folder / "domain-0.jsonl", tmp_path)
    shutil.copy(corpus.folder / "general-0.jsonl.gz", tmp_path)
    with pytest.raises(SourceError, match=r"decontaminate.0 \(human_eval\): .*no such file"):
        prepare(other)
    assert not (other.out / "refined").exists()
