"""Compressed files that break off anywhere: whole rows are kept, the broken end is one bad row."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.sources import Slice
from pipeline.sources.compression import MAGIC_BYTES, compression_of
from pipeline.verify import faults
from tests.pipeline.corpora import docstrings
from tests.pipeline.here import run_here, small_manifest
from tests.pipeline.sources.conftest import collect, reader_of

pytestmark = pytest.mark.faults

NUM_OFFSETS = 60
ROWS = [
    {"id": f"{number}", "text": f"{number} {text}"} for number, text in enumerate(docstrings()[:60])
]
DATA = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
HALF = DATA.index(b"\n", len(DATA) // 2) + 1


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    """In blocks of a few rows, so that there is something before a fault."""
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    pieces = [data[at : at + 3000] for at in range(0, len(data), 3000)]
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    blocks = [stream.compress(piece) + stream.flush(flush) for piece in pieces]
    return b"".join(blocks) + stream.flush()


def inflated(cut: bytes) -> bytes:
    """What is to be had of a broken gzip stream, by zlib alone."""
    return zlib.decompressobj(wbits=31).decompress(cut)


def unpacked(cut: bytes) -> bytes:
    """The same of a zstd stream, by its own decoder."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(cut)


FORMATS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gz": (gz, inflated),
    "zst": (zst, unpacked),
}


def cuts(kind: str) -> list[bytes]:
    """One stream cut at seeded random offsets, short of its end."""
    whole = FORMATS[kind][0](DATA)
    random_ = random.Random(f"cut {kind}")
    return [whole[: random_.randrange(len(MAGIC), len(whole))] for _ in range(NUM_OFFSETS)]


MAGIC = b"\0" * MAGIC_BYTES


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_before_the_cut_are_kept_and_the_rest_is_one_bad_row(
    kind: str, tmp_path: Path
) -> None:
    for number, cut in enumerate(cuts(kind)):
        assert compression_of(cut[:MAGIC_BYTES]) == kind
        (tmp_path / f"{number}").write_bytes(cut)
        reader = reader_of(tmp_path, format="jsonl", id_field="id", paths=(f"{number}",))
        got = collect(reader.read(Slice(input=reader.inputs()[0])))
        lines = FORMATS[kind][1](cut).split(b"\n")[:-1]
        assert [row["id"] for row in got.documents] == [json.loads(line)["id"] for line in lines]
        assert [row["reason"] for row in got.quarantined] == ["truncated"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_in_the_second_member_keeps_the_first(kind: str, tmp_path: Path) -> None:
    first, second = (FORMATS[kind][0](part) for part in (DATA[:HALF], DATA[HALF:]))
    random_ = random.Random(f"member {kind}")
    for number in range(10):
        cut = random_.randrange(MAGIC_BYTES, len(second))
        (tmp_path / f"{number}").write_bytes(first + second[:cut])
        reader = reader_of(tmp_path, format="jsonl", id_field="id", paths=(f"{number}",))
        got = collect(reader.read(Slice(input=reader.inputs()[0])))
        num_lines = DATA[:HALF].count(b"\n")
        assert [row["id"] for row in got.documents][:num_lines] == [
            row["id"] for row in ROWS[:num_lines]
        ]
        assert [row["reason"] for row in got.quarantined] == ["truncated"]


def test_a_run_over_all_of_them_balances(tmp_path: Path, tokenizer_folder: Path) -> None:
    for name, kind in (("domain", "gz"), ("general", "zst")):
        for number, cut in enumerate(cuts(kind)):
            (tmp_path / f"{name}-{number:02d}.jsonl.{kind}").write_bytes(cut)
    done = run_here(tmp_path, small_manifest(tokenizer_folder))
    for name, kind in (("domain", "gz"), ("general", "zst")):
        entry = done.ledger[name]
        assert entry.quarantined == {"truncated": NUM_OFFSETS}
        unpack = FORMATS[kind][1]
        assert entry.num_kept == sum(unpack(cut).count(b"\n") for cut in cuts(kind))
    assert list(faults(tmp_path / "out")) == []
