"""All benchmarks in one table.

    python -m benchmarks [--corpus DIR] [--peer PYTHON] [--workers N] [--work DIR] [--only NAME]

DIR holds `docs-*.jsonl.zst` with the fields `id` and `text`, and perhaps `html-*.jsonl.zst` with
pages in the field `html`; without it the text of the Python environment is read. PYTHON is an
interpreter that has Presidio and datatrove (`make bench` makes one): PII is measured beside them.
Times are of this machine, now: compare only what one run prints.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks import clean, packing, plan, prepare, signatures, stream
from benchmarks.pii import speed as pii
from benchmarks.shards import rows as shards

MODEL = Path("models/smollm2").resolve()
PII_PEER_MEGABYTES, PII_ROUNDS = 2.0, 3  # Presidio does 1 MB/s
Row = tuple[str, str, str]


def main() -> None:
    """Measure what was asked for and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer", type=Path, help="a Python that has Presidio and datatrove")
    parser.add_argument("--work", type=Path, help="where `prepare` writes (default: temporary)")
    parser.add_argument("--only", choices=sorted(BENCHMARKS))
    options = parser.parse_args()
    table = Table("what", "measured", "target", title="Headwater, this machine, now")
    for name, measure in BENCHMARKS.items():
        if options.only in (None, name):
            for row in measure(options):
                table.add_row(*row)
    Console().print(table)


def _signatures(options: argparse.Namespace) -> Iterator[Row]:
    rate = signatures.megabytes_per_second(signatures.texts(options.corpus))
    yield "MinHash signatures, one core", f"{rate:.0f} MB/s", ">= 100 MB/s"


def _stream(_: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        stream.write_corpus(Path(folder), 40_000)
        rate = stream.measure(Path(folder), 64)
    yield "training stream, one core", f"{rate / 1e6:.0f}M tokens/s", ">= 50M tokens/s"


def _prepare(options: argparse.Namespace) -> Iterator[Row]:
    corpus = options.corpus.resolve() if options.corpus else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or Path(temporary)) / "prepare"
        once, twice = (
            prepare.measure(folder, prepare.manifest(corpus, MODEL, copies), options.workers)
            for copies in (1, 2)
        )
    label = f"prepare run, {once.text_bytes / 1e6:,.0f} MB, {options.workers} workers"
    yield label, f"{once.seconds:.1f} s", ""
    yield "  text per core", f"{once.rate / 1e6:.2f} MB/s", ">= 6 MB/s"
    yield "  peak memory, all processes", f"{once.peak_bytes / 1e9:.2f} GB", "<= 2.5 GB"
    growth = twice.peak_bytes / once.peak_bytes - 1
    yield "  peak memory for twice the input", f"{growth:+.1%}", "<= +10 %"
    yield "  text per core for twice the input", f"{twice.rate / 1e6:.2f} MB/s", ""


def _plan(options: argparse.Namespace) -> Iterator[Row]:
    corpus = options.corpus.resolve() if options.corpus else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or Path(temporary)) / "plan"
        found = plan.measure(folder, prepare.manifest(corpus, MODEL, 1), options.workers)
    times = f"{found.plan_seconds:.1f} s beside {found.run_seconds:.1f} s of the run"
    yield f"prepare plan, {options.workers} workers", times, "<= 60 s"
    targets = {"duplicates removed": "", "seconds": "0.5 to 2x"}
    for figure in found.figures:
        values = f"{figure.predicted:,.0f} for {figure.actual:,.0f}, {figure.ratio:.2f}x"
        yield f"  {figure.name}", values, targets.get(figure.name, "0.8 to 1.2x")


def _clean(options: argparse.Namespace) -> Iterator[Row]:
    yield from clean.measure_text(signatures.texts(options.corpus))
    pages = clean.pages_of(options.corpus) if options.corpus else None
    if pages is not None:
        yield from clean.measure_pages(pages)


def _pii(options: argparse.Namespace) -> Iterator[Row]:
    texts = signatures.texts(options.corpus)
    batches = [pa.record_batch({"text": each}) for each in texts]
    (_, *rows), _ = pii.measure(batches, options.peer, PII_PEER_MEGABYTES, PII_ROUNDS)
    yield from rows


def _packing(options: argparse.Namespace) -> Iterator[Row]:
    lengths = packing.lengths_of(signatures.texts(options.corpus, math.inf), MODEL)
    found = {packed.strategy: packed for packed in packing.pack(lengths)}
    fifth = found["concat"].num_truncated / 5
    targets = {"best_fit": (">= 99.5 %", f"<= {fifth:,.0f}, a fifth of concat's")}
    for name, packed in found.items():
        full, truncated = targets.get(name, ("", ""))
        label = f"packing, {len(lengths):,} documents at T={packing.SEQUENCE_TOKENS}: {name}"
        yield label, f"{packed.utilisation:.3%} of the places used", full
        yield "  documents truncated", f"{packed.num_truncated:,}", truncated
    before = 0.0
    for num_documents, seconds in packing.seconds(lengths).items():
        label = f"  best_fit plan of {num_documents:,} documents"
        times = f", {seconds / before:.1f}x the time before" if before else ""
        each = f"{seconds / num_documents * 1e9:.0f} ns each"
        yield label, f"{seconds * 1e3:,.0f} ms, {each}{times}", "O(n log n)"
        before = seconds


def _shards(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or Path(temporary)) / "shards"
        yield from shards.rows(folder, options.corpus, MODEL)


BENCHMARKS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "signatures": _signatures,
    "stream": _stream,
    "clean": _clean,
    "pii": _pii,
    "packing": _packing,
    "shards": _shards,
    "plan": _plan,
    "prepare": _prepare,
}

if __name__ == "__main__":
    main()
