"""No near-duplicates stand on both sides of the split, by brute force over the texts of shards."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.explaining.output import open_output
from pipeline.shards import read_index
from pipeline.verify import faults
from tests.pipeline.corpora import docstrings, near_copy
from tests.pipeline.here import run_here, small_manifest
from training.errors import DataError
from training.sources.corpus import open_shards
from training.sources.leakage import check_no_leakage

FRACTIONS = (0.5, 0.2)


def write_rows(folder: Path) -> None:
    """Texts with copies of one changed word, in capitals, and of the same bytes, in two sources."""
    rows = []
    for n, text in enumerate(" ".join(text.split()) for text in docstrings()[40:75]):
        once = near_copy(text, n)
        rows += [text, once, near_copy(once, n + 1), text.upper(), near_copy(text, n + 2), text]
    for number, name in enumerate(("domain", "general")):
        own = [json.dumps({"id": f"{name}{n}", "text": t}) for n, t in enumerate(rows[number::2])]
        (folder / f"{name}.jsonl").write_text("\n".join(own) + "\n")


def manifest(tokenizer: Path, dedup: dict[str, Any]) -> dict[str, Any]:
    made = small_manifest(tokenizer, dedup=dedup, pack={"sequence_tokens": 256})
    for source, fraction in zip(made["sources"], FRACTIONS, strict=True):
        source["validation_fraction"] = fraction
    return made


def sides(out: Path) -> dict[str, list[str]]:
    """The texts of the documents whose tokens stand in the shards of each split."""
    texts: dict[bytes, str] = {}
    for item in open_output(out).items:
        with pa.memory_map(str(item.paths["kept"])) as file:
            kept = pa.ipc.open_file(file).read_all()
        texts |= dict(zip(kept["key"].to_pylist(), kept["text"].to_pylist(), strict=True))
    found: dict[str, set[bytes]] = {"train": set(), "validation": set()}
    for shard in read_index(out).shards:
        with pa.memory_map(str(out / "shards" / shard.path)) as file:
            for keys in pa.ipc.open_file(file).read_all()["doc_key"].to_pylist():
                found[shard.split] |= set(keys)
    return {split: [texts[key] for key in sorted(keys)] for split, keys in found.items()}


def crossing(out: Path, least: float) -> int:
    """Pairs of a text that trains and one that validates, of that Jaccard similarity or more."""
    split = {name: [shingles(text) for text in found] for name, found in sides(out).items()}
    pairs = product(split["train"], split["validation"])
    return sum(len(a & b) >= least * len(a | b) for a, b in pairs)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return set(zip(*(words[n:] for n in range(5)), strict=False))


def test_near_duplicates_are_on_one_side(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_rows(tmp_path)
    run_here(tmp_path, manifest(tokenizer_folder, {"exact": True, "minhash": {"threshold": 0.8}}))
    out = tmp_path / "out"
    split = sides(out)
    assert min(map(len, split.values())) >= 5
    assert crossing(out, 0.8) == 0
    assert check_no_leakage(open_shards([out])) is None


def test_without_deduplication_they_are_not_and_train_refuses_the_same_text_on_both_sides(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    write_rows(tmp_path)
    run_here(tmp_path, manifest(tokenizer_folder, {"exact": False, "minhash": None}))
    out = tmp_path / "out"
    assert crossing(out, 0.8) > 20
    assert any("stand in train and in validation" in fault for fault in faults(out))
    with pytest.raises(DataError, match=r"dedup\.exact: true, or one validation_fraction"):
        check_no_leakage(open_shards([out]))
