"""A small prepared corpus in which everything happens to some document."""

import random
from pathlib import Path

import pytest

from tests.pipeline.corpora import Corpus, base_manifest, docstrings, near_copy

ESCAPE = "esc\x1b[31m\u202ecopy"
WRITE = " Write to ann@example.org today."


def half_like(text: str, other: str) -> str:
    """Words of `text`, the last fifth of them replaced: a similarity of about 0.65."""
    words, others = text.split(), other.split()
    cut = len(words) * 4 // 5
    return " ".join(words[:cut] + (others * len(words))[: len(words) - cut])


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    folder = tmp_path_factory.mktemp("explained")
    corpus = Corpus(folder, base_manifest(tokenizer_folder))
    corpus.manifest["sources"] = [
        {**source, "validation_fraction": 0.3} for source in corpus.manifest["sources"]
    ]
    corpus.manifest["strata"] = {"by": "num_chars", "edges": [900], "names": ["short", "long"]}
    texts = [text for text in docstrings() if len(text.split()) >= 80][:160]
    domain = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts[:80])]
    general = [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[80:])]
    general += [{"id": f"like-{n}", "text": half_like(texts[n], texts[-n])} for n in range(5, 70)]
    general += [
        {"id": "same", "text": texts[0]},
        {"id": ESCAPE, "text": near_copy(texts[1], 7) + "\u202eevil"},
        {"id": "near", "text": near_copy(texts[2], 8)},
        {"id": "twice", "text": texts[3] + WRITE + " And to bob@example.org."},
        {"id": "twice", "text": "word " * 300},
        {"id": "brief", "text": "This is a text of so few words that no filter likes it at all."},
        {"id": "blank", "text": "  "},
    ]
    random.Random(5).shuffle(general)
    corpus.write("domain.jsonl", domain)
    corpus.write("general.jsonl", general)
    (folder / "general-bad.jsonl").write_bytes(b'{"id": "x", "text": null}\nsecret \x1b[2J junk\n')
    corpus.prepare("--workers", "1")
    return corpus
