"""Outputs to erase from: everything on that a document leaves something of itself in."""

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.cli import main
from pipeline.shards import find_shards, read_index
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, near_copy

KEY = "a-secret-of-sixteen-characters-or-more"
SECRET = " Write to zoe.quirk@example.org or call zoe today. "


def manifest(tokenizer_folder: Path) -> dict[str, Any]:
    """Two sources with a split, strata, pseudonyms, minhashes, and small parts."""
    values = base_manifest(tokenizer_folder)
    values["pii"] = {"mode": "pseudonym", "kinds": ["email"], "key_file": "key"}
    values["strata"] = {"by": "gopher_quality.num_words", "edges": [120]}
    values["dedup"] = {"minhash": {"signatures": True}}
    values["pack"] = {"sequence_tokens": 256, "shard_tokens": 8_000}
    return values


def make_corpus(folder: Path, tokenizer_folder: Path) -> Corpus:
    """About 330 rows: distinct texts, exact and near copies across sources, PII, bad rows."""
    corpus = Corpus(folder, manifest(tokenizer_folder))
    (folder / "key").write_text(KEY)
    texts = [text + SECRET for text in docstrings()[:240]]
    chance = random.Random(5)
    domain = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts[:120])]
    general = [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[120:])]
    for n, row in enumerate(chance.sample(domain, 40)):
        general.append({"id": f"copy-{row['id']}", "text": row["text"]})
        general.append({"id": f"near-{row['id']}", "text": near_copy(row["text"], n)})
        if n % 4 == 0:
            general.append({"id": f"upper-{row['id']}", "text": row["text"].upper()})
    chance.shuffle(general)
    half = len(general) // 2
    corpus.write("domain.jsonl", domain)
    corpus.write("general-0.jsonl", general[:half])
    corpus.write("general-1.jsonl", general[half:])
    (folder / "general-2.jsonl").write_bytes(b'not json by zoe\n{"id": "z"}\n')
    return corpus


def copied(corpus: Corpus, folder: Path) -> Corpus:
    """The corpus with its output in another folder, to be changed."""
    shutil.copytree(corpus.folder, folder)
    return Corpus(folder, copy.deepcopy(corpus.manifest))


def erase(corpus: Corpus, *names: str, **options: Any) -> int:
    """`prepare erase`; its exit code."""
    path = corpus.folder / "ids.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    flags = [f"--{name.replace('_', '-')}" for name, is_on in options.items() if is_on is True]
    for name, value in options.items():
        flags += [] if value is True else [f"--{name}", value]
    return main(["erase", str(corpus.out), "--ids", str(path), *flags])


def verify(corpus: Corpus, *names: str) -> int:
    """`prepare verify`, with ids if any are given; its exit code."""
    path = corpus.folder / "ids.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    return main(["verify", str(corpus.out), *(["--ids", str(path)] if names else [])])


def files(out: Path) -> Iterator[Path]:
    return (path for path in sorted(out.rglob("*")) if path.is_file())


def holding(out: Path, *needles: bytes) -> dict[str, bytes]:
    """Files that hold one of some bytes, and which."""
    found = {}
    for path in files(out):
        data = path.read_bytes()
        for needle in needles:
            if needle in data:
                found[path.relative_to(out).as_posix()] = needle
    return found


def arrow_hashes(out: Path) -> dict[str, str]:
    """Of every file of rows, and the index of shards."""
    wanted = [path for path in files(out) if path.suffix == ".arrow"]
    wanted.append(out / "shards" / "index.json")
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in wanted
    }


def tree(out: Path) -> dict[str, str]:
    """Of every file."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(out)
    }


def parts(out: Path) -> dict[str, pa.Table]:
    """Every part, read."""
    folder = find_shards(out)
    return {
        shard.path: pa.ipc.open_file(pa.OSFile(str(folder / shard.path))).read_all()
        for shard in read_index(out).shards
    }


def tombstones(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "tombstones.json").read_text())["tombstones"]
    return found


def document(corpus: Corpus, name: str, column: str, kind: str = "kept") -> Any:
    """A column of one document of a refined file."""
    table = corpus.table(kind)
    (row,) = [n for n, each in enumerate(table["id"].to_pylist()) if each == name]
    return table[column][row].as_py()


def removed(corpus: Corpus, rule: str) -> list[tuple[str, str]]:
    """(id, id of its survivor) of the documents that a rule removed."""
    kept = corpus.table("kept")
    ids = dict(zip(kept["key"].to_pylist(), kept["id"].to_pylist(), strict=True))
    rows = corpus.removals().to_pylist()
    return [(ids[r["key"]], ids[r["survivor_key"]]) for r in rows if r["rule"] == rule]
