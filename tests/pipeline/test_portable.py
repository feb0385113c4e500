"""The same graph on Beam's portable runner, through its local job service: the same bytes.

This is what shows that every transform, argument and coder survives being sent to another process.
"""

from pathlib import Path

from tests.pipeline.corpora import Corpus, mixed_corpus


def test_the_portable_runner_makes_the_same_bytes(
    tmp_path: Path, prepared: Corpus, job_service: str
) -> None:
    corpus = mixed_corpus(tmp_path, Path(prepared.manifest["tokenizer"]["path"]))
    corpus.prepare(
        "--",
        "--runner=PortableRunner",
        f"--job_endpoint={job_service}",
        "--environment_type=LOOPBACK",
    )
    assert corpus.hashes() == prepared.hashes()
    assert corpus.ledger() == prepared.ledger()
