"""Synthetic documents, refined: signatures of random buckets with planted duplicates among them.

The files are those that `refine` leaves: signatures to the column, of the kept documents what the
deduplication reads, which is `text`, `key` and `text_hash`. Everything about a document follows
from its number by a mixing function, so that a copy is made without the original at hand. Texts
are 16 words, for the verification to have something to compare. Planted are

    copies     every tenth document; every other one of them has one word more, another whole-text
               hash, and only 7 of the 14 bands in common with its original
    crowds     8 of 1,000 documents share one bucket; they are 4 pairs of equal texts that share
               nothing else. A round compares all with one of them, so a crowd takes four rounds.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.dedup.stages import SOURCE, WRITTEN_NAME, Done, dedup_manifest, run
from pipeline.files import arrow_writer, write_json
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.refined import refined_paths
from pipeline.refining import build_refinery
from pipeline.sources.schema import DOCUMENT

FILE_ROWS = 4_000  # of 4 kB make the 16 MB of a work item
BATCH_ROWS = 1_000
NUM_BANDS, SHARED_BANDS = 14, 7
NUM_WORDS, WORD_BYTES = 16, 6  # with the space after it
CROWD, CROWD_PAIRS = 1_000, 4
MAX_GROWTH = 1.2  # of the time per document
Row = tuple[str, str, str]


def mixed(values: np.ndarray, salt: int) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014); uint64."""
    with np.errstate(over="ignore"):
        mix = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mix += np.uint64((salt + 1) * 0xD1B54A32D192ED03 % (1 << 64))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mix = (mix ^ mix >> np.uint64(shift)) * np.uint64(factor)
        found: np.ndarray = mix ^ mix >> np.uint64(31)
    return found


def originals(number: np.ndarray) -> np.ndarray:
    """The document whose text each document has: its own number, unless it is planted."""
    # The last digit of an original is 1 to 4: of crowds it is 0 or 5, of copies 9.
    copied = mixed(number, 1) % np.maximum(number, 1)
    copied = copied - copied % np.uint64(10) + np.uint64(1) + mixed(number, 2) % np.uint64(4)
    place = number % np.uint64(CROWD)
    step = CROWD // (2 * CROWD_PAIRS)
    in_crowd = (place % np.uint64(step) == 0) & (place >= np.uint64(step * CROWD_PAIRS))
    found = np.where(in_crowd, number - np.uint64(step * CROWD_PAIRS), number)
    chosen: np.ndarray = np.where(number % np.uint64(10) == 9, copied, found)
    return chosen


def num_planted(num_documents: int) -> int:
    """Documents that have to go."""
    number = np.arange(num_documents, dtype=np.uint64)
    return int((originals(number) != number).sum())


def signatures(number: np.ndarray) -> dict[str, Any]:
    """The columns of a signature file."""
    is_copy = number % np.uint64(10) == 9
    is_near = is_copy & (number % np.uint64(20) == 9)
    original = np.where(is_copy, originals(number), number)
    bands = np.empty((len(number), NUM_BANDS), np.uint64)
    for band in range(NUM_BANDS):
        same = band < SHARED_BANDS
        bands[:, band] = mixed(np.where(is_near & ~same, number, original), 100 + band)
    in_crowd = number % np.uint64(CROWD // (2 * CROWD_PAIRS)) == 0
    bands[in_crowd, 0] = mixed(number[in_crowd] // np.uint64(CROWD), 99)
    flat = pa.array(bands.reshape(-1))
    return {
        "rank_high": mixed(number, 3),
        "rank_low": mixed(number, 4),
        "exact": mixed(np.where(is_near, number, original), 5),
        "bands": pa.FixedSizeListArray.from_arrays(flat, NUM_BANDS),
    }


def texts(number: np.ndarray) -> pa.StringArray:
    """Words of five letters, one more of every other copy."""
    original, is_near = originals(number), number % np.uint64(20) == 9
    letters = np.full((len(number), NUM_WORDS + 1, WORD_BYTES), ord(" "), np.uint8)
    for word in range(NUM_WORDS + 1):
        source = original if word < NUM_WORDS else number
        drawn = mixed(source, 200 + word).view(np.uint8).reshape(-1, 8)[:, : WORD_BYTES - 1]
        letters[:, word, :-1] = drawn % 26 + ord("a")
    present = np.ones(letters.shape[:2], np.bool_)
    present[:, NUM_WORDS] = is_near
    offsets = np.zeros(len(number) + 1, np.int32)
    np.cumsum(present.sum(axis=1) * WORD_BYTES, out=offsets[1:])
    data = pa.py_buffer(letters[present].tobytes())
    return pa.StringArray.from_buffers(len(number), pa.py_buffer(offsets.tobytes()), data)


def keys(number: np.ndarray, salt: int) -> pa.FixedSizeBinaryArray:
    """16 bytes each."""
    words = np.stack([mixed(number, salt), mixed(number, salt + 1)], axis=1)
    data = pa.py_buffer(words.tobytes())
    return pa.Array.from_buffers(pa.binary(16), len(number), [None, data])


def write(folder: Path, num_documents: int) -> Path:
    """Write refined files and the manifest that they belong to; returns the manifest."""
    folder.mkdir(parents=True)
    manifest = folder / "manifest.yaml"
    manifest.write_text(yaml.safe_dump(dedup_manifest(["nowhere.jsonl"], "jsonl")))
    plan = Plan(load_manifest(manifest, []), folder, folder / "out")
    refinery = build_refinery(plan, SOURCE)
    empty = refinery(pa.RecordBatch.from_pylist([], schema=DOCUMENT))
    written = {}
    for first in range(0, num_documents, FILE_ROWS):
        number = np.arange(first, min(first + FILE_ROWS, num_documents), dtype=np.uint64)
        name = f"{first // FILE_ROWS:032x}"
        paths = refined_paths(plan.out, SOURCE, name)
        _write(paths["signatures"], empty.signatures.schema, signatures(number))
        kept = {"text": texts(number), "key": keys(number, 6), "text_hash": keys(number, 8)}
        schema = pa.schema([empty.kept.schema.field(column) for column in kept])
        _write(paths["kept"], schema, kept)
        written[name] = len(number)
    write_json(plan.out / WRITTEN_NAME, written)
    return manifest


def _write(path: Path, schema: pa.Schema, columns: dict[str, Any]) -> None:
    table = pa.table({field.name: columns[field.name] for field in schema}).cast(schema)
    with arrow_writer(path, schema) as writer:
        writer.write_table(table, BATCH_ROWS)


def removed_of(done: Done) -> int:
    """Documents that a run removed."""
    return sum(done.answer["counts"][name] for name in ("num_exact", "num_near", "num_leaks"))


def measure(
    work: Path | None, sizes: Sequence[int], num_workers: int, memory: str | None
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of the table, and the figures behind them; raises SystemExit where one is wrong."""
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    by_size = {}
    for size in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            manifest = write(Path(folder) / "corpus", size)
            more = ["--signatures", *(["--memory", memory] if memory else [])]
            done = by_size[size] = run(manifest, num_workers, *more)
        if removed_of(done) != num_planted(size):
            raise SystemExit(
                f"benchmark: {removed_of(done):,} of {size:,} documents removed, want the "
                f"{num_planted(size):,} planted ones"
            )
        raw[str(size)] = done._asdict()
        rows += _rows(size, done)
    least, most = min(sizes), max(sizes)
    if least < most:
        rows += _growth(by_size[least], by_size[most], most / least)
    return rows, raw


def _growth(less: Done, more: Done, times: float) -> list[Row]:
    """Of the time, from the fewest documents to the most."""
    wall = more.answer["deduplicate_seconds"] / less.answer["deduplicate_seconds"]
    want = f"<= {times * MAX_GROWTH:.0f}x"
    cpu = more.cpu_seconds / less.cpu_seconds
    return [
        (f"  time for {times:g}x the documents", f"{wall:.1f}x", want),
        (f"  CPU for {times:g}x the documents", f"{cpu:.1f}x", ""),
    ]


def _rows(size: int, done: Done) -> list[Row]:
    answer = done.answer
    parts = ", ".join(f"{name} {took:.1f}" for name, took in answer["part_seconds"].items())
    label = f"{size / 1e6:g}M synthetic signatures, {answer['counts']['num_rounds']} rounds"
    return [
        (label, f"{answer['deduplicate_seconds']:.1f} s", ""),
        (f"  of these: {parts} s", f"{removed_of(done):,} removed, all planted ones", ""),
        ("  CPU of the whole process", f"{done.cpu_seconds:.1f} s", ""),
        ("  peak memory, all processes", f"{done.peak_bytes / 1e9:.2f} GB", "< 6 GB"),
    ]
