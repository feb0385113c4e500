"""How fast one core cleans text, gets text out of HTML pages and reads web archives.

Seconds are of CPU, the best of some rounds, from Arrow buffers (archives: files) in memory to Arrow
buffers; compiling is left out. Cleaning does what a manifest that says nothing of it does. The
corpus is a folder of `docs-*.jsonl.zst` with the field `text`, and of `html-*.jsonl.zst` with the
field `html` if it has pages.
"""

import gzip
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.config import SourceConfig
from pipeline.sources.registry import open_reader
from pipeline.text.clean import CleanConfig, clean
from pipeline.text.html.extract import Extractor, extract

ROW_BATCH = 1_000  # as readers have them
NUM_ROUNDS = 3
MAX_DOCUMENT_BYTES = 10_000_000
# Kana, ideographs, Hangul: a text is CJK where a third of its characters are.
CJK = r"[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}]"
MIN_CJK_RATE = 1 / 3
GOALS = {"ASCII": 100, "CJK": 30}
# Megabytes of pages for each: trafilatura reads one in a second
EXTRACTORS: dict[Extractor, float] = {"resiliparse": 16.0, "strip": 16.0, "trafilatura": 1.0}
ARCHIVE_MEGABYTES = 32.0
Row = tuple[str, str, str]


def measure_text(batches: Iterable[pa.StringArray]) -> Iterator[Row]:
    """Cleaning without HTML of what is ASCII, what is Chinese, Japanese or Korean, and of all."""
    config = CleanConfig(html="never")
    for name, texts in kinds_of(batches).items():
        if rate := megabytes_per_second(texts, lambda batch: clean(batch, config)):
            goal = f">= {GOALS[name]} MB/s" if name in GOALS else ""
            label = f"cleaning, {name}, {megabytes(texts):.0f} MB, one core"
            yield label, f"{rate:.0f} MB/s", goal


def measure_pages(pages: pa.StringArray) -> Iterator[Row]:
    """Text out of HTML by each extractor, and the same pages out of an archive."""
    for extractor, size in EXTRACTORS.items():
        some = batches_of(first(pages, size))
        rate = megabytes_per_second(some, lambda batch, by=extractor: extract(batch, by))  # type: ignore[misc]
        yield f"HTML to text, {extractor}, {megabytes(some):.1f} MB", f"{rate:.1f} MB/s", ""
    for suffix in ("warc.gz", "warc"):
        rate = archive_rate(first(pages, ARCHIVE_MEGABYTES), suffix)
        yield f"reading pages of .{suffix}, charsets included", f"{rate:.0f} MB/s", ""


def kinds_of(batches: Iterable[pa.StringArray]) -> dict[str, list[pa.StringArray]]:
    """The texts by name of their kind, each in batches as a reader makes them."""
    every = pa.chunked_array(batches, pa.string())
    num_cjk = pc.count_substring_regex(every, CJK)
    masks = {
        "ASCII": pc.string_is_ascii(every),
        "CJK": pc.greater(num_cjk, pc.multiply(pc.utf8_length(every), MIN_CJK_RATE)),
    }
    found = {name: batches_of(every.filter(mask)) for name, mask in masks.items()}
    return {**found, "all": batches_of(every)}


def batches_of(texts: pa.ChunkedArray | pa.StringArray) -> list[pa.StringArray]:
    """Arrays of at most `ROW_BATCH` texts."""
    table = pa.table({"text": texts}).combine_chunks()
    return [batch["text"] for batch in table.to_batches(max_chunksize=ROW_BATCH)]


def first(pages: pa.StringArray, size: float) -> pa.StringArray:
    """The first pages, together of about so many megabytes."""
    sizes = pc.cumulative_sum(pc.binary_length(pages).cast(pa.int64()))
    return pages.slice(0, 1 + pc.sum(pc.less(sizes, int(size * 1e6))).as_py())


def pages_of(corpus: Path) -> pa.StringArray | None:
    """The pages of the first file that has some; None where there is no such file."""
    files = sorted(corpus.glob("html-*.jsonl.zst"))
    if not files:
        return None
    source = SourceConfig(name="k", format="jsonl", paths=(files[0].name,), text_field="html")
    reader = open_reader(source, corpus, MAX_DOCUMENT_BYTES)
    pieces = (piece for item in reader.inputs() for piece in reader.split(item))
    texts = [rows.documents["text"] for piece in pieces for rows in reader.read(piece)]
    return pa.concat_arrays(texts)


def archive_rate(pages: pa.StringArray, suffix: str) -> float:
    """Megabytes of pages in a second out of an archive that holds them as responses."""
    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(folder) / f"pages.{suffix}", pages.to_pylist())
        source = SourceConfig(name="w", format="warc", paths=(f"pages.{suffix}",))
        reader = open_reader(source, Path(folder), MAX_DOCUMENT_BYTES)

        def read() -> int:
            pieces = (piece for item in reader.inputs() for piece in reader.split(item))
            return sum(rows.documents.num_rows for piece in pieces for rows in reader.read(piece))

        assert read() == len(pages), "a page was not read"
        return megabytes([pages]) / best_seconds(read)


def write_archive(path: Path, pages: Iterable[str]) -> None:
    """A WARC file of responses; with `.gz` a member for each record."""
    with path.open("wb") as file:
        for number, page in enumerate(pages):
            body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page.encode()
            head = (
                "WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
                f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012}>\r\n"
                f"WARC-Target-URI: https://example.com/{number}\r\n"
                f"Content-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            record = head.encode() + body + b"\r\n\r\n"
            file.write(gzip.compress(record) if path.suffix == ".gz" else record)


def megabytes(batches: Iterable[pa.StringArray]) -> float:
    """Of UTF-8."""
    return sum(pc.sum(pc.binary_length(batch)).as_py() or 0 for batch in batches) / 1e6


def megabytes_per_second(
    batches: list[pa.StringArray], work: Callable[[pa.StringArray], object]
) -> float:
    """Of text on one core; 0 where there is none."""
    return megabytes(batches) / best_seconds(lambda: [work(batch) for batch in batches])


def best_seconds(work: Callable[[], object], num_rounds: int = NUM_ROUNDS) -> float:
    """Of CPU, after one round that compiles."""
    work()
    times = []
    for _ in range(num_rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)
