"""What a person gets wrong: one message, the right exit code, nothing half-done."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.graph.runner import check_beam_arguments
from tests.pipeline.corpora import Corpus, base_manifest, docstrings


@pytest.fixture
def corpus(tmp_path: Path, tokenizer_folder: Path) -> Corpus:
    made = Corpus(tmp_path, base_manifest(tokenizer_folder))
    texts = docstrings()[:40]
    made.write("domain.jsonl", [{"id": f"d{n}", "text": text} for n, text in enumerate(texts[:20])])
    made.write(
        "general.jsonl", [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[20:])]
    )
    return made


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sources.0.paths=[nowhere/*.jsonl]", "nowhere"),
        ("filters.0.use=gophre_quality", "gopher_quality"),
        ("filters.0.min_chras=3", "min_chars"),
        ("tokenizer.path=no/such/tokenizer", "no/such/tokenizer"),
        ("sources.1.name=domain", "two sources are called domain"),
        ("filters.0.sources=[elsewhere]", "elsewhere"),
        ("dedup.minhash.bands=20", "num_perm"),
        ("pii.kinds=[emial]", "email"),
        ("version=2", "version"),
    ],
)
def test_a_wrong_manifest_is_one_message_and_exit_2(
    corpus: Corpus, override: str, message: str
) -> None:
    done = corpus.run("--set", override)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(corpus.out.rglob("*.arrow"))


def test_a_missing_manifest_and_a_wrong_option_are_exit_2(corpus: Corpus) -> None:
    assert corpus.run("--workers", "0").returncode == 2
    done = corpus.run("--", "--runner=DirectRunner", "--direct_running_mode=multi_threading")
    assert done.returncode == 2
    assert "lose rows" in done.stderr


def test_options_that_beam_would_ignore_are_named() -> None:
    arguments = ["--runner=PortableRunner", "--job_endpoint=x:1", "--job_endpiont=y:2"]
    assert check_beam_arguments(arguments) == ["--job_endpiont=y:2"]


def test_too_many_bad_rows_fail_the_run_and_name_the_files(corpus: Corpus) -> None:
    (corpus.folder / "domain-bad.jsonl").write_bytes(b"not json\n" * 30)
    done = corpus.run()
    assert done.returncode == 1
    assert "domain-bad.jsonl (30)" in done.stderr
    assert "not_json 30" in done.stderr
    assert not (corpus.out / "shards").exists()


def test_damaged_files_are_quarantined_and_the_rest_goes_on(corpus: Corpus) -> None:
    rows = "".join(
        json.dumps({"id": f"t{n}", "text": t}) + "\n" for n, t in enumerate(docstrings()[40:80])
    )
    (corpus.folder / "domain-cut.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-2000])
    (corpus.folder / "domain-empty.jsonl").write_bytes(b"")
    (corpus.folder / "domain-long.jsonl").write_text(json.dumps({"text": "long " * 9000}) + "\n")
    corpus.prepare("--set", "limits.max_document_bytes=40000")
    ledger = corpus.ledger()["domain"]
    assert ledger["quarantined"] == {"truncated": 1, "empty_file": 1, "too_large": 1}
    assert ledger["num_read"] > 23
    reasons = {row["source_path"]: row["reason"] for row in corpus.table("quarantined").to_pylist()}
    assert reasons["domain-cut.jsonl.gz"] == "truncated"


def test_two_runs_at_once_are_refused(corpus: Corpus) -> None:
    import fcntl

    corpus.out.mkdir()
    with (corpus.out / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = corpus.run()
    assert done.returncode == 2
    assert "another `prepare` is writing" in done.stderr
