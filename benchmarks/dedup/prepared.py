"""`prepare run` on texts, with nothing but deduplication between reading and packing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from transformers import PreTrainedTokenizerFast

from benchmarks.dedup.curve import BANDS, ROWS, THRESHOLD
from benchmarks.dedup.oracle import NGRAM
from benchmarks.forgetting_data import END_OF_TEXT, PADDING, train_tokenizer
from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.signature import band_hashes, sign

NUM_DRAWS = 16  # of all permutations, for how much chance there is in one
SIGNED_DOCUMENTS = 2000  # at once, 7 kB each
FILE_BYTES = 16_000_000
TOKENIZER_TEXTS = 200  # that it is made from: every text has ids, and how many is no matter here


Source: TypeAlias = tuple[str, int, Sequence[str]]  # name, priority, texts


class Outcome(NamedTuple):
    """What became of documents 0 .. n - 1."""

    survivor: np.ndarray  # (n,) int64: the document that each went for; -1: it stays
    similarity: np.ndarray  # (n,) float64, as recorded; NaN where it stays
    bands: np.ndarray  # (n, bands) uint64
    has_bands: np.ndarray  # (n,) bool: not those shorter than a shingle
    whole: np.ndarray  # (n,) uint64, the bucket of the whole text
    num_bytes: np.ndarray  # (n,) int64, of the text as it is stored

    @property
    def stays(self) -> np.ndarray:
        """Which documents are left, bool (n,)."""
        left: np.ndarray = self.survivor < 0
        return left

    def share_bucket(
        self, one: np.ndarray, two: np.ndarray, bands: np.ndarray | None = None
    ) -> np.ndarray:
        """Which pairs of documents met in a bucket, or would with other bands; bool (m,)."""
        bands = self.bands if bands is None else bands
        met: np.ndarray = (bands[one] == bands[two]).any(axis=1)
        met &= self.has_bands[one] & self.has_bands[two]
        return met | (self.whole[one] == self.whole[two])


def deduplicate(work: Path, sources: Sequence[Source], num_workers: int) -> Outcome:
    """Run the command line on sources; documents count through all."""
    shutil.rmtree(work, ignore_errors=True)
    first = 0
    for name, _, texts in sources:
        _write(work / name, texts, first)
        first += len(texts)
    _make_tokenizer(sources[0][2], work / "tokenizer")
    (work / "m.yaml").write_text(yaml.safe_dump(manifest(sources)), encoding="utf-8")
    command = [sys.executable, "-m", "pipeline.cli", "run", str(work / "m.yaml")]
    done = subprocess.run(
        [*command, "--workers", str(num_workers)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    if done.returncode:
        sys.exit(f"benchmark: `prepare run` on {work} ended with {done.returncode}")
    return read_outcome(work / "out", first)


def manifest(sources: Sequence[Source]) -> dict[str, Any]:
    """The defaults of `dedup`, written down; no filter, and nothing that changes a text."""
    common = {"format": "parquet", "id_field": "id", "validation_fraction": 0.0}
    return {
        "version": 1,
        "name": "quality",
        "output": "out",
        "sources": [
            {"name": name, "priority": priority, "paths": [f"{name}/*.parquet"], **common}
            for name, priority, _ in sources
        ],
        "clean": {"html": "never", "unicode": "none", "collapse_whitespace": False},
        "pii": {"mode": "off"},
        "dedup": {
            "minhash": {
                "ngram": NGRAM,
                "num_perm": BANDS * ROWS,
                "bands": BANDS,
                "rows": ROWS,
                "threshold": THRESHOLD,
            }
        },
        "tokenizer": {"path": "tokenizer"},
    }


def _write(folder: Path, texts: Sequence[str], first: int) -> None:
    folder.mkdir(parents=True)
    for number, block in enumerate(_blocks(texts)):
        ids = pa.array(range(first, first + len(block))).cast(pa.string())
        pq.write_table(
            pa.table({"id": ids, "text": pa.array(block)}), folder / f"{number:03d}.parquet"
        )
        first += len(block)


def _blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    num_bytes = 0
    for text in texts:
        block.append(text)
        num_bytes += len(text)
        if num_bytes >= FILE_BYTES:
            yield block
            block, num_bytes = [], 0
    if block:
        yield block


def _make_tokenizer(texts: Sequence[str], folder: Path) -> None:
    sample = iter([text[:2000] for text in texts[:TOKENIZER_TEXTS]])
    PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(sample), eos_token=END_OF_TEXT, pad_token=PADDING
    ).save_pretrained(folder)


def read_outcome(out: Path, num_documents: int) -> Outcome:
    """From the files of a finished run; exits where it did not keep every document to compare."""
    (folder,) = (out / "dedup").iterdir()
    files = read_arrow(folder / "files.arrow")
    kept = [read_arrow(out / path, "id", "text") for path in files["kept"].to_pylist()]
    numbers = pa.concat_tables(kept)["id"].cast(pa.int64()).to_numpy()
    if not np.array_equal(np.sort(numbers), np.arange(num_documents)):
        sys.exit(
            f"{out}: {len(numbers):,} documents were compared, want all {num_documents:,}; "
            f"ledger: {json.loads((out / 'ledger.json').read_text())}"
        )
    signed = pa.concat_tables([read_arrow(out / p) for p in files["signatures"].to_pylist()])
    place = np.argsort(numbers)  # the row of document 0, 1, ...
    removals = read_arrow(folder / "removals.arrow")
    starts = np.cumsum([0, *(table.num_rows for table in kept)])
    gone = numbers[_rows(removals["doc"].to_numpy(), starts)]
    survivor = np.full(num_documents, -1, np.int64)
    survivor[gone] = numbers[_rows(removals["survivor_doc"].to_numpy(), starts)]
    similarity = np.full(num_documents, np.nan)
    similarity[gone] = removals["similarity"].to_numpy()
    bands = signed["bands"].combine_chunks()
    num_bytes = pc.binary_length(pa.concat_tables(kept)["text"]).to_numpy()
    values = bands.values.to_numpy(zero_copy_only=False).reshape(len(bands), -1)
    return Outcome(
        survivor,
        similarity,
        values[place],
        bands.is_valid().to_numpy(zero_copy_only=False)[place],
        signed["exact"].to_numpy()[place],
        num_bytes[place].astype(np.int64),
    )


def drawn_bands(texts: Sequence[str], chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Bands of the chosen documents (ascending) under `NUM_DRAWS` other draws of permutations.

    Each is uint64 (n, BANDS), with zeros for what is not chosen.
    """
    config = MinHashConfig(
        ngram=NGRAM,
        num_perm=NUM_DRAWS * BANDS * ROWS,
        bands=NUM_DRAWS * BANDS,
        rows=ROWS,
        seed=2,
    )
    hashes = np.zeros((len(chosen), config.bands), np.uint64)
    for first in range(0, len(chosen), SIGNED_DOCUMENTS):
        part = pa.array([texts[place] for place in chosen[first : first + SIGNED_DOCUMENTS]])
        signatures = sign(part, DedupConfig(minhash=config))
        hashes[first : first + len(part)] = band_hashes(signatures.minhashes, config)
    for number in range(NUM_DRAWS):
        bands = np.zeros((len(texts), BANDS), np.uint64)
        bands[chosen] = hashes[:, number * BANDS : (number + 1) * BANDS]
        yield bands


def _rows(docs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Places of documents (file << 32 | row) where the files are put end to end."""
    return starts[(docs >> np.uint64(32)).astype(np.int64)] + (docs & np.uint64(2**32 - 1)).astype(
        np.int64
    )


def read_arrow(path: Path, *columns: str) -> pa.Table:
    """An Arrow file, or some of its columns."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return table.select(columns) if columns else table
