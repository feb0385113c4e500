"""The whole deduplication of a corpus: our two stages, beside datatrove's four.

Ours are `refine`, without cleaning, anonymisation and filters, and `deduplicate`: documents are
read, signed and written, then candidates are found, verified and decided. Theirs are `signature`,
`buckets`, `cluster` and `filter`, which reads again and writes what stays; ours leaves a table of
removals beside the documents, which the next stage applies as it reads. Seconds are of wall time
of whole processes, imports included.

Both get the same documents of the first files of the corpus, cut into a Parquet file for each
worker, for datatrove's tasks are files.
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks import process_peak
from benchmarks.dedup.stages import Done, dedup_manifest, done, run
from pipeline.arrow import num_value_bytes
from pipeline.sources.config import SourceConfig
from pipeline.sources.registry import open_reader

PEER = Path(__file__).parents[1] / "peers" / "datatrove_dedup.py"
COLUMNS = ("id", "text")
CUT_ROWS = 100  # the parts differ by fewer documents than that
WARM_UP = 200  # documents of a first run, which compiles
TARGET = 30
Row = tuple[str, str, str]


def corpus_files(corpus: Path) -> list[Path]:
    """`docs-*.parquet`, or else `docs-*.jsonl.zst`, in order."""
    for pattern in ("docs-*.parquet", "docs-*.jsonl.zst"):
        if files := sorted(corpus.resolve().glob(pattern)):
            return files
    raise SystemExit(f"benchmark: {corpus}: no docs-*.parquet and no docs-*.jsonl.zst")


def format_of(file: Path) -> str:
    """As a manifest names it."""
    return "parquet" if file.suffix == ".parquet" else "jsonl"


def batches(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """`id` and `text` of all documents."""
    for file in files:
        source = SourceConfig(name="kit", format=format_of(file), paths=(file.name,), id_field="id")
        reader = open_reader(source, file.parent, 10_000_000)
        for item in reader.inputs():
            for piece in reader.split(item):
                for rows in reader.read(piece):
                    yield rows.documents.select(COLUMNS)


def cut(files: Sequence[Path], folder: Path, num_parts: int) -> int:
    """Write the documents into Parquet files of about as many bytes; returns bytes of UTF-8."""
    folder.mkdir(parents=True)
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    writers = [pq.ParquetWriter(folder / f"{part}.parquet", schema) for part in range(num_parts)]
    num_bytes = [0] * num_parts
    for batch in batches(files):
        for first in range(0, len(batch), CUT_ROWS):
            piece = batch.slice(first, CUT_ROWS).cast(schema)
            part = num_bytes.index(min(num_bytes))
            writers[part].write_batch(piece)
            num_bytes[part] += int(num_value_bytes(piece["text"]).sum())
    for writer in writers:
        writer.close()
    return sum(num_bytes)


def ours(files: Sequence[Path], work: Path | None, num_workers: int) -> Done:
    """One run of our stages in an empty folder."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        manifest = Path(folder) / "manifest.yaml"
        paths = [str(file.resolve()) for file in files]
        values = dedup_manifest(paths, format_of(files[0]), id_field="id")
        manifest.write_text(yaml.safe_dump(values))
        return run(manifest, num_workers)


def theirs(python: Path, folder: Path, work: Path | None, num_workers: int) -> Done:
    """One run of datatrove's stages."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        return done(process_peak.run([python, PEER, folder, out, str(num_workers)]))


def warm_up(files: Sequence[Path], work: Path | None, num_workers: int) -> None:
    """A run over a few documents, twice each: what is compiled is compiled."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        few = pa.Table.from_batches([next(batches(files)).slice(0, WARM_UP)])
        path = Path(folder) / "few.parquet"
        pq.write_table(pa.concat_tables([few, few]), path)
        ours([path], work, num_workers)


def measure(
    corpus: Path,
    peer: Path | None,
    work: Path | None,
    num_files: int | None,
    num_peer_files: int,
    num_workers: int,
    num_rounds: int,
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of the table, and the figures behind them."""
    files = corpus_files(corpus)[:num_files]
    warm_up(files, work, num_workers)
    all_of = [ours(files, work, num_workers) for _ in range(num_rounds)]
    raw: dict[str, Any] = {"all": [each._asdict() for each in all_of]}
    rows = _own_rows(f"all {len(files)} files", all_of)
    if peer is None:
        return rows, raw
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        folder = Path(temporary) / "cut"
        size = cut(files[:num_peer_files], folder, num_workers) / 1e6
        parts = sorted(folder.iterdir())
        same = [ours(parts, work, num_workers)]  # in turn: before, after
        other = theirs(peer, folder, work, num_workers)
        same += [ours(parts, work, num_workers) for _ in range(max(1, num_rounds - 1))]
    raw["beside"] = {
        "megabytes": size,
        "ours": [each._asdict() for each in same],
        # Its workers are a fork server's children, so the CPU of the process is not theirs.
        "datatrove": {k: v for k, v in other._asdict().items() if k != "cpu_seconds"},
    }
    rows += _own_rows(f"{min(num_peer_files, len(files))} of the files, both sides", same)
    rows += _peer_rows(size, same, other)
    if num_peer_files < len(files):  # what follows was not measured
        rows.append(_extrapolated(size / other.seconds, all_of))
    return rows, raw


def _own_rows(label: str, runs: Sequence[Done]) -> list[Row]:
    """Seconds of both stages, their median and spread."""
    seconds = [each.seconds for each in runs]
    answer = runs[0].answer
    size = answer["num_bytes"] / 1e6
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    median = statistics.median(seconds)
    parts = {
        name: statistics.median(each.answer[f"{name}_seconds"] for each in runs)
        for name in ("refine", "deduplicate")
    }
    counts = answer["counts"]
    removed = counts["num_exact"] + counts["num_near"]
    return [
        (f"deduplication of {label}, {size:.0f} MB", f"{median:.1f} s ({spread})", ""),
        ("  of these " + ", ".join(f"{n} {s:.1f}" for n, s in parts.items()) + " s", "", ""),
        ("  text", f"{size / median:.1f} MB/s", ""),
        ("  CPU", f"{statistics.median(each.cpu_seconds for each in runs):.1f} s", ""),
        (f"  removed of {answer['num_documents']:,} documents", f"{removed:,}", ""),
        ("  peak memory", f"{max(each.peak_bytes for each in runs) / 1e9:.2f} GB", ""),
    ]


def _peer_rows(size: float, same: Sequence[Done], other: Done) -> list[Row]:
    ratios = [other.seconds / each.seconds for each in same]
    parts = ", ".join(f"{name} {took:.1f}" for name, took in other.answer["seconds"].items())
    removed = same[0].answer["num_documents"] - other.answer["num_kept"]
    found = f"{statistics.median(ratios):.1f}x ({min(ratios):.1f} to {max(ratios):.1f})"
    return [
        (f"  datatrove, {size:.0f} MB, one run: {parts} s", f"{other.seconds:.1f} s", ""),
        ("  datatrove removed", f"{removed:,}", ""),
        ("  datatrove's peak memory", f"{other.peak_bytes / 1e9:.2f} GB", ""),
        ("  beside datatrove, the same documents", found, f">= {TARGET}x"),
    ]


def _extrapolated(rate: float, runs: Sequence[Done]) -> Row:
    """Beside what datatrove would take for all files at its rate of the first ones."""
    size = runs[0].answer["num_bytes"] / 1e6
    seconds = statistics.median(each.seconds for each in runs)
    label = (
        f"  all files, extrapolated: datatrove at {rate:.2f} MB/s would take {size / rate:.0f} s"
    )
    return label, f"{size / rate / seconds:.1f}x", ""
