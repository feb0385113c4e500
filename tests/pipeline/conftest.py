"""A small tokenizer for the session, and one prepared corpus that tests may read but not change."""

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
