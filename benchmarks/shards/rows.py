"""Tokenising, packing, verifying and resuming, as rows of the table of benchmarks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import signatures
from benchmarks.shards import memory, output, resuming, tokenising, verifying

Row = tuple[str, str, str]
TEXT_BYTES = 256e6
SHARD_TOKENS = 1 << 22  # for memory: so that both corpora have several parts
GROWTH = 4  # times the text, for memory
NUM_ITEMS = 10_000
ROUNDS = 5


def rows(
    folder: Path,
    corpus: Path | None,
    tokenizer: Path,
    text_bytes: float = TEXT_BYTES,
    num_items: int = NUM_ITEMS,
    rounds: int = ROUNDS,
) -> Iterator[Row]:
    """Make outputs in an empty folder and measure them."""
    shutil.rmtree(folder, ignore_errors=True)
    texts = signatures.texts(corpus, text_bytes)
    plan = output.make(folder / "one", texts, tokenizer)
    yield from _verifying(verifying.measure(plan, rounds))
    yield from _tokenising(*tokenising.measure(plan, rounds))
    some = signatures.texts(corpus, text_bytes / GROWTH)
    peaks = []
    for copies in (1, GROWTH):
        output.make(folder / f"{copies}x", some, tokenizer, copies, shard_tokens=SHARD_TOKENS)
        peaks.append(memory.measure(folder / f"{copies}x"))
    yield "tokenise and pack, peak memory", f"{peaks[0] / 1e6:,.0f} MB", ""
    yield f"  for {GROWTH} times the text", f"{peaks[1] / peaks[0] - 1:+.1%}", "independent of it"
    ran = resuming.measure(folder / "many", tokenizer, num_items, rounds)
    wall, cpu = [each.seconds for each in ran], [each.cpu_seconds for each in ran]
    spread = f"{median(wall):.2f} s ({min(wall):.2f} to {max(wall):.2f}), CPU {median(cpu):.2f} s"
    yield f"resuming a finished corpus of {num_items:,} items", spread, "< 2 s"


def _verifying(found: verifying.Verified) -> Iterator[Row]:
    size = found.shard_bytes / 1e6
    label = f"verify {size:,.0f} MB of shards: sha256, ledger, structure"
    yield label, f"{size / found.shards_seconds:,.0f} MB/s", ">= 500 MB/s"
    label = f"  with {found.other_bytes / 1e6:,.0f} MB of texts and token files"
    yield label, f"{size / found.whole_seconds:,.0f} MB/s of shards", ">= 500 MB/s"


def _tokenising(num_bytes: int, measured: list[tokenising.Round]) -> Iterator[Row]:
    size, ratios = num_bytes / 1e6, [each.ratio for each in measured]
    rate = median(size / each.ours for each in measured)
    yield f"tokenise and pack {size:,.0f} MB, one core", f"{rate:.0f} MB/s", ""
    spread = f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
    rate = median(size / each.bare for each in measured)
    yield f"  beside bare fastokens ({rate:.0f} MB/s)", spread, ">= 0.8x"
