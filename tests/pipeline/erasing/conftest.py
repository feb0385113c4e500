"""One prepared output a session; tests change copies of it."""

from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import copied, make_corpus


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """Prepared; not to be changed."""
    corpus = make_corpus(tmp_path_factory.mktemp("erasing"), tokenizer_folder)
    corpus.prepare("--workers", "1")
    return corpus


@pytest.fixture
def corpus(original: Corpus, tmp_path: Path) -> Corpus:
    """A copy of it."""
    return copied(original, tmp_path / "copy")
