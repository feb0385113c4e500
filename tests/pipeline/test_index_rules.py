"""Corner cases of what goes: the split, priorities, what was deleted from an index, its place."""

import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import UsageError
from pipeline.index.deletion import delete_ids
from pipeline.index.segments import segments
from pipeline.keys import hash_values
from pipeline.splits import validation_mask
from tests.pipeline.corpora import Corpus
from tests.pipeline.test_index import evidence, month, prepare

HALF = "sources.0.validation_fraction=0.5"


def words(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [f"word{chance.randrange(10**6)}" for _ in range(count)]


def on_side(validates: bool, *parts: list[str] | int) -> str:
    """A text of these words, a number standing for so many others, on one side of a half split."""
    for seed in itertools.count():
        text = " ".join(
            word
            for part in parts
            for word in (words(part, seed) if isinstance(part, int) else part)
        )
        if validation_mask(hash_values(pa.array([text])), 0.5)[0] == validates:
            return text
    raise AssertionError


def corpus(folder: Path, tokenizer: Path, name: str, texts: dict[str, str], **dedup: Any) -> Corpus:
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    return month(folder, tokenizer, name, rows, **dedup)


def test_what_went_for_a_leak_only_is_back(tmp_path: Path, tokenizer_folder: Path) -> None:
    base = words(200, 1)
    texts = {
        "leak": on_side(True, base, 1),
        "trains": on_side(False, base[:165], 20),  # like the leak, but no duplicate of the copy
        "copy": on_side(False, 12, base[12:]),
    }
    made = corpus(
        *(tmp_path, tokenizer_folder, "one", texts),
        **{"index": None, "minhash": {"candidate_threshold": 0.3}, "survivor": ["longest"]},
    )
    prepare(made, HALF)
    gone = evidence(made)
    assert {name: row["rule"] for name, row in gone.items()} == {"leak": "validation_leak"}
    assert gone["leak"]["similarity"] >= 0.5
    assert made.surviving_ids() == {"trains", "copy"}


def test_an_indexed_text_inside_of_a_new_one_is_a_leak(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    held_out = words(100, 7)
    minhash = {"similarity": "containment", "candidate_threshold": 0.2}
    old = corpus(
        *(tmp_path, tokenizer_folder, "may", {"held": on_side(True, held_out, 1)}), minhash=minhash
    )
    new = corpus(
        *(tmp_path, tokenizer_folder, "june", {"long": on_side(False, held_out, 150)}),
        minhash=minhash,
    )
    prepare(old, HALF)
    prepare(new, HALF)
    row = evidence(new)["long"]
    assert (row["rule"], row["method"]) == ("validation_leak_in_index", "containment")
    assert row["similarity"] > 0.9


def test_another_priority_of_an_indexed_corpus_decides_anew(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    text = {"one": " ".join(words(80, 3))}
    old = corpus(tmp_path, tokenizer_folder, "may", text)
    new = corpus(tmp_path, tokenizer_folder, "june", text)
    prepare(old)
    prepare(new, "sources.0.priority=5")
    assert new.surviving_ids() == {"one"}
    prepare(old, "sources.0.priority=10")
    assert "Nothing to do" not in prepare(new, "sources.0.priority=5")
    assert new.surviving_ids() == set()


def test_a_deleted_text_stays_deleted_wherever_it_stands_later(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    texts = {f"t{n}": " ".join(words(80, n)) for n in range(3)}
    old = corpus(tmp_path, tokenizer_folder, "may", texts)
    new = corpus(tmp_path, tokenizer_folder, "june", texts)
    prepare(old)
    delete_ids(segments(tmp_path / "index"), pa.array(["t1"]))
    rows = [{"id": "first", "text": "Another one stands before them."}]
    old.write("news.jsonl", rows + [{"id": name, "text": text} for name, text in texts.items()])
    prepare(old)
    prepare(new)
    assert new.surviving_ids() == {"t1"}


def test_a_corpus_does_not_take_the_place_of_another_of_its_name(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    old = corpus(tmp_path, tokenizer_folder, "may", {"one": "Some words."})
    new = corpus(tmp_path, tokenizer_folder, "june", {"two": "Other words."})
    prepare(old)
    with pytest.raises(UsageError, match=r"segment may is of .*may/out, not of .*june/out; give"):
        prepare(new, "name=may")
    prepare(new, "name=may", 'dedup.index={"path": "../index", "segment": "june"}')
    assert [segment.name for segment in segments(tmp_path / "index")] == ["may", "june"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("out", "want two folders, neither inside"),
        ("out/dedup/index", "want two folders, neither inside"),
        ("..", "want two folders, neither inside"),
        ("news.jsonl", "is a file, want a folder"),
        ("s3://bucket/index", "want a local or shared folder, no URL"),
        ('{"path": "../index", "segment": "lock"}', "want another name: a file has that"),
    ],
)
def test_a_place_that_is_none_for_an_index_stops_the_run(
    tmp_path: Path, tokenizer_folder: Path, index: str, message: str
) -> None:
    made = corpus(tmp_path, tokenizer_folder, "may", {"one": "Some words."})
    with pytest.raises(UsageError, match=message):
        prepare(made, f"dedup.index={index}")
    assert not (made.out / "state").exists()


def test_without_any_comparison_nothing_goes_for_an_index(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    text = {"one": " ".join(words(80, 3))}
    for name in ("may", "june"):
        made = corpus(tmp_path, tokenizer_folder, name, text, exact=False, minhash=None)
        prepare(made)
    assert made.surviving_ids() == {"one"}
