"""A small tokenizer for the session, and one prepared corpus that tests may read but not change.

And Beam's local job service, where a test wants one.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus, mixed_corpus, tokenizer


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    corpus = mixed_corpus(tmp_path_factory.mktemp("prepared"), tokenizer_folder)
    corpus.prepare("--workers", "1")
    return corpus


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[str]:
    """Beam's own job service on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    log = (tmp_path / "job-service.log").open("w")
    process = subprocess.Popen(
        [*command, "-p", str(port), "--staging_dir", str(tmp_path / "staging")],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    try:
        deadline = time.monotonic() + 60
        while not _listens(port) and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "job-service.log").read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        log.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
