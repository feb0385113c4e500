"""Small corpora of real text with known duplicates, and `prepare` run on them as a user would."""

import ast
import gzip
import json
import os
import random
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.shards import read_index

Rows = list[dict[str, Any]]


@cache
def docstrings() -> tuple[str, ...]:
    """Docstrings of the standard library of at least 400 characters, distinct, in order."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if len(text) >= 400:
                    found[text] = None
    return tuple(found)


def near_copy(text: str, seed: int) -> str:
    """The text with a word in the middle replaced: similarity above 0.8 from 60 words on."""
    words = text.split(" ")
    words[len(words) // 2] = f"variant{seed}"
    return " ".join(words)


@dataclass
class Corpus:
    """A folder with a manifest; `prepare` runs in a process of its own."""

    folder: Path
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def save(self) -> None:
        (self.folder / "m.yaml").write_text(yaml.safe_dump(self.manifest, sort_keys=False))

    def write(self, name: str, rows: Rows) -> Path:
        """JSON lines, compressed when the name says so."""
        path = self.folder / name
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self.save()
        command = [sys.executable, "-m", "pipeline.cli", "run", "m.yaml", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`prepare run`, whatever its exit code."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def prepare(self, *arguments: str) -> str:
        """`prepare run`, which must succeed; its standard output."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hashes(self) -> dict[str, str]:
        """sha256 of every part, as the index has them."""
        return {shard.path: shard.sha256 for shard in read_index(self.out).shards}

    def ledger(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.out / "ledger.json").read_text())
        return values

    def table(self, kind: str) -> pa.Table:
        """All rows of one kind of refined file, with the column `id` to find them by."""
        tables = []
        for path in sorted((self.out / "refined").rglob(f"*.{kind}.arrow")):
            with pa.memory_map(str(path)) as source:
                tables.append(pa.ipc.open_file(source).read_all())
        return pa.concat_tables(tables, promote_options="permissive")

    def removals(self) -> pa.Table:
        (path,) = self.out.glob("dedup/*/removals.arrow")
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()

    def surviving_ids(self) -> set[str]:
        kept = self.table("kept")
        removed = set(self.removals()["key"].to_pylist())
        pairs = zip(kept["id"].to_pylist(), kept["key"].to_pylist(), strict=True)
        return {name for name, key in pairs if key not in removed}


def tokenizer(folder: Path) -> Path:
    """A byte-level BPE tokenizer of 600 tokens, trained on the standard library's docstrings."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(docstrings()[:300], trainer)
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<eos>").save_pretrained(folder)
    return folder


def base_manifest(tokenizer_folder: Path) -> dict[str, Any]:
    """Two sources, all stages on."""
    return {
        "version": 1,
        "name": "test",
        "output": "out",
        "sources": [
            {
                "name": "domain",
                "format": "jsonl",
                "paths": ["domain*"],
                "id_field": "id",
                "priority": 10,
                "validation_fraction": 0.1,
            },
            {
                "name": "general",
                "format": "jsonl",
                "paths": ["general*"],
                "id_field": "id",
                "validation_fraction": 0.1,
            },
        ],
        "filters": [
            {"use": "length", "min_chars": 50},
            {"use": "language", "keep": ["en"], "min_score": 0.3},
            {"use": "gopher_quality", "min_words": 20},
        ],
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 256, "shard_tokens": 60_000},
        "limits": {"max_quarantined_fraction": 0.2},
    }


def mixed_corpus(folder: Path, tokenizer_folder: Path) -> Corpus:
    """About 900 rows: distinct texts, exact and near copies across sources, PII, and bad rows."""
    corpus = Corpus(folder, base_manifest(tokenizer_folder))
    texts = docstrings()
    half = len(texts) // 2
    chance = random.Random(5)
    domain = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts[:half])]
    general = [{"id": f"g{n}", "text": text} for n, text in enumerate(texts[half:])]
    for n, row in enumerate(chance.sample(domain, 60)):
        general.append({"id": f"copy-{row['id']}", "text": row["text"]})
        general.append({"id": f"near-{row['id']}", "text": near_copy(row["text"], n)})
    general.append({"id": "pii", "text": texts[0][:300] + " Write to ann@example.org today. " * 3})
    chance.shuffle(general)
    third = len(general) // 3
    corpus.write("domain.jsonl", domain)
    corpus.write("general-0.jsonl", general[:third])
    corpus.write("general-1.jsonl.gz", general[third : 2 * third])
    corpus.write("general-2.jsonl", general[2 * third :])
    bad = b'{"id": "x", "text": null}\nnot json\n{"id": "y", "text": "\xff\xfe"}\n{"id": "z"}\n'
    (folder / "general-3.jsonl").write_bytes(bad)
    return corpus
