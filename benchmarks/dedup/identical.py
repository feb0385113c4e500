"""`prepare run` over documents that are all the same: one bucket of all of them in every band.

The text is one of 60 words; each document has an id of its own. All stages run; the tokenizer is
one of bytes, for there is one document left to tokenise.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import process_peak
from benchmarks.dedup.stages import dedup_manifest

NUM_FILES = 8
WRITE_ROWS = 10_000
NUM_WORDS = 60
MAX_GROWTH = 1.2  # of the time per document
Row = tuple[str, str, str]


def write(folder: Path, num_documents: int) -> Path:
    """Write the documents and the manifest that reads them; returns the manifest."""
    folder.mkdir(parents=True)
    text = " ".join(f"word{number}" for number in range(NUM_WORDS))
    for file in range(NUM_FILES):
        first, last = (num_documents * (file + i) // NUM_FILES for i in (0, 1))
        with (folder / f"same-{file}.jsonl").open("w", encoding="utf-8") as handle:
            for start in range(first, last, WRITE_ROWS):
                numbers = range(start, min(start + WRITE_ROWS, last))
                handle.write("".join(f'{{"id": "{n}", "text": "{text}"}}\n' for n in numbers))
    manifest = folder / "manifest.yaml"
    values = dedup_manifest(["same-*.jsonl"], "jsonl", id_field="id")
    values["tokenizer"] = {"path": str(byte_tokenizer(folder / "tokenizer"))}
    values["pack"] = {"sequence_tokens": 256}
    manifest.write_text(yaml.safe_dump(values))
    return manifest


def byte_tokenizer(folder: Path) -> Path:
    """A token for each byte, and one that ends a document."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    model = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens(["<eos>"])
    PreTrainedTokenizerFast(tokenizer_object=model, eos_token="<eos>").save_pretrained(folder)
    return folder


def measure(
    work: Path | None, sizes: Sequence[int], num_workers: int
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of the table, and the figures behind them; raises SystemExit where one is wrong."""
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    for size in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            manifest = write(Path(folder) / "corpus", size)
            command = [sys.executable, "-m", "pipeline.cli", "run", str(manifest)]
            ran = process_peak.run([*command, "--workers", str(num_workers)])
            record = deduplicated(manifest.parent / "out")
        counts = record["counts"]
        num_removed = counts["num_exact"] + counts["num_near"] + counts["num_leaks"]
        if num_removed != size - 1:
            raise SystemExit(f"benchmark: {num_removed:,} of {size:,} removed, want all but one")
        raw[str(size)] = {
            "seconds": ran.seconds,
            "cpu_seconds": ran.cpu_seconds,
            "deduplicate_seconds": record["seconds"],
            "peak_bytes": ran.peak_bytes,
            "counts": counts,
        }
        parts = f"{ran.seconds:.1f} s, {record['seconds']:.1f} s of them deduplicate"
        rows += [
            (f"prepare run of {size:,} equal documents", parts, ""),
            ("  documents that stay", f"{size - num_removed:,}", "1"),
            ("  peak memory, all processes", f"{ran.peak_bytes / 1e9:.2f} GB", ""),
        ]
    return rows + growth(sizes, raw), raw


def deduplicated(out: Path) -> dict[str, Any]:
    """The record of the stage."""
    (path,) = (out / "state" / "deduplicate").glob("[!.]*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def growth(sizes: Sequence[int], raw: dict[str, Any]) -> list[Row]:
    """Of the time, from the fewest documents to the most."""
    least, most = min(sizes), max(sizes)
    if least == most:
        return []
    times = most / least
    labels = {
        "seconds": "whole run",
        "cpu_seconds": "its CPU",
        "deduplicate_seconds": "deduplicate",
    }
    return [
        (
            f"  time for {times:g}x the documents, {label}",
            f"{raw[str(most)][key] / raw[str(least)][key]:.1f}x",
            f"<= {times * MAX_GROWTH:g}x",
        )
        for key, label in labels.items()
    ]
