"""HumanEval and the MMLU prompts, planted in real documents: who is found."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.decontamination.match import Decontaminator
from pipeline.decontamination.sets import decontaminator_of, with_evaluation_sets
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from tests.pipeline.corpora import docstrings
from tests.pipeline.decontamination.benchmarks import human_eval, write_mmlu
from tests.pipeline.decontamination.test_sets import plan_of
from tests.pipeline.dedup.oracle import words


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Decontaminator, list[str]]:
    """Both sets, and the texts of the prompts of HumanEval and of the questions of MMLU."""
    folder = tmp_path_factory.mktemp("benchmarks")
    questions = [item["question"] for item in write_mmlu(folder / "mmlu.jsonl")]
    plan = with_evaluation_sets(plan_of(folder, *entries(folder)))
    made = decontaminator_of(plan)
    assert made is not None
    prompts = pa.Table.from_pylist(human_eval_items())["prompt"].to_pylist()
    return made, [*prompts, *questions]


def entries(folder: Path, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": "human_eval",
            "paths": [str(human_eval())],
            "text_fields": ["prompt", "canonical_solution"],
            "id_field": "task_id",
            **more,
        },
        {
            "name": "mmlu",
            "paths": [str(folder / "mmlu.jsonl")],
            "text_fields": ["question", "target"],
            "id_field": "id",
            **more,
        },
    ]


def human_eval_items() -> list[dict[str, Any]]:
    import gzip
    import json

    with gzip.open(human_eval(), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def planted(text: str, number: int) -> str:
    """In the middle of a real document."""
    document = docstrings()[number % len(docstrings())]
    middle = document.index("\n", len(document) // 2) if "\n" in document[200:] else 200
    return f"{document[:middle]}\n\n{text}\n\n{document[middle:]}"


def found(made: Decontaminator, texts: list[str]) -> list[bool]:
    """Whether each text, stored as `refine` stores it, matches a set."""
    cleaned = clean(pa.array(texts, pa.string()), CleanConfig()).texts
    stored = anonymise(cleaned, PiiConfig()).texts
    return [bool(hit) for hit in made.overlaps(stored).matched.any(axis=1)]


def test_real_documents_hold_no_item(benchmarks: tuple[Decontaminator, list[str]]) -> None:
    made, _ = benchmarks
    assert not any(found(made, list(docstrings())))


def test_every_item_is_found_verbatim(benchmarks: tuple[Decontaminator, list[str]]) -> None:
    made, items = benchmarks
    long = [text for text in items if len(words(text)) >= 8]
    assert len(long) == len(items)
    hits = found(made, [planted(text, n) for n, text in enumerate(long)])
    assert hits == [True] * len(long)


def test_case_punctuation_and_white_space_hide_nothing(
    benchmarks: tuple[Decontaminator, list[str]],
) -> None:
    made, items = benchmarks
    # A number keeps its shape: another one might be a telephone number, which becomes a tag.
    texts = [re.sub(r"[^\w]+(?![\d ])", " ~\n ", text).swapcase() for text in items]
    same = [n for n, text in enumerate(texts) if words(text) == words(items[n])]
    assert len(same) > 0.95 * len(items)
    hits = found(made, [planted(texts[n], n) for n in same])
    assert sum(hits) >= 0.99 * len(same)


def test_a_changed_word_hides_only_what_is_shorter_than_two_ngrams(
    benchmarks: tuple[Decontaminator, list[str]],
) -> None:
    made, items = benchmarks
    split = [words(text) for text in items]
    middle = [[*w[: len(w) // 2], "zebra", *w[len(w) // 2 + 1 :]] for w in split]
    hits = found(made, [" ".join(text) for text in middle])
    for text, hit in zip(middle, hits, strict=True):
        if len(text) >= 27:  # 13 words on one side of the changed one
            assert hit, text


def test_twelve_words_are_not_enough(benchmarks: tuple[Decontaminator, list[str]]) -> None:
    made, items = benchmarks
    starts = [words(text) for text in items]
    twelve = [" ".join(text[:12]) for text in starts if len(text) >= 13]
    thirteen = [" ".join(text[:13]) for text in starts if len(text) >= 13]
    assert not any(found(made, twelve))
    assert sum(found(made, thirteen)) >= 0.98 * len(thirteen)
