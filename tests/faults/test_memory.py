"""What is too large to be held is not held: a line of 200 MB, and files that expand to 10 GB.

All kinds of bombs, a sixteenth as large, are tested in tests/pipeline/sources/test_bombs.py.
"""

import json
import lzma
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

pytestmark = pytest.mark.faults

MAX_PEAK_BYTES = 800_000_000
EXPANDED_BYTES = 10_000_000_000
MAX_SECONDS = 120  # of CPU
READ = """
import json, sys
from collections import Counter
from pathlib import Path
from pipeline.sources import Slice, SourceConfig, open_reader
from tests.peak import peak_bytes
path, kind = Path(sys.argv[1]), sys.argv[2]
reader = open_reader(SourceConfig(name="s", format=kind, paths=(path.name,)), path.parent, 10**7)
num_documents, reasons, raw_bytes = 0, Counter(), 0
for rows in reader.read(Slice(input=reader.inputs()[0])):
    num_documents += rows.documents.num_rows
    reasons.update(rows.quarantined["reason"].to_pylist())
    raw_bytes += rows.quarantined["raw"].nbytes
print(json.dumps([num_documents, reasons, raw_bytes, peak_bytes()]))
"""


def read(path: Path, kind: str) -> tuple[int, dict[str, int], int]:
    """Documents, reasons and bytes of quarantined rows of a file, read by a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", READ, str(path), kind], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answer = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < MAX_SECONDS
    num_documents, reasons, raw_bytes, peak_bytes = json.loads(answer)
    assert peak_bytes < MAX_PEAK_BYTES
    return num_documents, reasons, raw_bytes


def test_a_line_of_200_mb_is_one_bad_row(tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb") as handle:
        handle.write(b'{"text": "before"}\n{"text": "')
        for _ in range(200):
            handle.write(b"a long line " * 83_334)
        handle.write(b'"}\n{"text": "after"}\n')
    num_documents, reasons, raw_bytes = read(tmp_path / "long", "jsonl")
    assert (num_documents, reasons) == (2, {"too_large": 1})
    assert raw_bytes < 2_000_000  # its beginning is kept


def zst(unit: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(unit)


def gz(unit: bytes) -> bytes:
    return zlib.compress(unit, wbits=31)


@pytest.mark.parametrize("unit", [b"a", b"\n", b'{"text": "the same row"}\n'])
@pytest.mark.parametrize("compress", [zst, gz, lzma.compress])
def test_a_compressed_bomb_is_stopped(
    compress: Callable[[bytes], bytes], unit: bytes, tmp_path: Path
) -> None:
    """Members one after another, which is one stream to whoever reads it."""
    member = unit * (50_000_000 // len(unit))
    packed = compress(member)
    (tmp_path / "bomb").write_bytes(packed * (EXPANDED_BYTES // len(member)))
    # gzip cannot do more than 1 to 1,032.
    assert (tmp_path / "bomb").stat().st_size < (40_000_000 if compress is gz else 4_000_000)
    num_documents, reasons, raw_bytes = read(tmp_path / "bomb", "jsonl")
    assert reasons["expands_too_far"] == 1
    assert raw_bytes < 5_000_000
    assert num_documents * len(unit) < EXPANDED_BYTES / 4


def test_a_bomb_of_parquet_is_stopped(tmp_path: Path) -> None:
    """One value, which every row names."""
    num_rows = 11_000
    indices = pa.array([0] * num_rows, pa.int32())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(indices, pa.array(["a" * 900_000]))})
    pq.write_table(table, tmp_path / "bomb", compression="zstd", store_schema=False)
    assert (tmp_path / "bomb").stat().st_size < 1_000_000
    num_documents, reasons, _ = read(tmp_path / "bomb", "parquet")
    assert reasons == {"expands_too_far": 1}
    assert num_documents * 900_000 < EXPANDED_BYTES / 4
