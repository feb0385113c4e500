"""A tokenizer, and one corpus prepared by a run that nothing disturbed."""

from pathlib import Path

import pytest

from tests.faults.runs import Undisturbed, complete, watch
from tests.pipeline.corpora import tokenizer
from tests.pipeline.erasing.outputs import make_corpus


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Undisturbed:
    """About 330 rows of two sources: split, strata, PII, filters, duplicates, two bad rows.

    A run in this process compiles what numba has not kept; the one after it is watched.
    """
    corpus = make_corpus(tmp_path_factory.mktemp("undisturbed"), tokenizer_folder)
    complete(corpus)
    return watch(corpus)
