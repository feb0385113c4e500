"""A finished output with strata and long documents, and the same with a loss mask and erasures."""

from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus, base_manifest, docstrings
from tests.pipeline.formats.outputs import masked_copy


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """300 documents in two sources; rows of 64 tokens, so that most documents are cut."""
    manifest = base_manifest(tokenizer_folder)
    manifest["filters"] = []
    manifest["sources"][1].pop("validation_fraction")
    manifest["strata"] = {
        "by": "num_tokens",
        "edges": [300],
        "names": ["short", "long"],
        "sources": ["domain"],
    }
    manifest["pack"] = {"sequence_tokens": 64, "shard_tokens": 12_000}
    made = Corpus(tmp_path_factory.mktemp("formats"), manifest)
    texts = docstrings()
    made.write("domain.jsonl", [{"id": f"d{n}", "text": t} for n, t in enumerate(texts[:200])])
    made.write("general.jsonl", [{"id": f"g{n}", "text": t} for n, t in enumerate(texts[200:300])])
    made.prepare("--workers", "1")
    return made


@pytest.fixture(scope="session")
def masked(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same output, where `general` is learned in part and every 20th document is erased."""
    return masked_copy(corpus.out, tmp_path_factory.mktemp("masked") / "out")
