"""Small files that expand to far more than anybody holds: stopped by a limit, in bounded memory.

With a sixteenth of what a small file may have, so that it takes a sixteenth of the time.
"""

import bz2
import gzip
import lzma
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.sources import Slice, compression
from pipeline.sources.compression import MAX_EXPANSION
from tests import peak
from tests.pipeline.sources.archives import Stored, archive
from tests.pipeline.sources.conftest import reader_of

BLOCK_BYTES = 4_000_000
FREE_BYTES = compression.FREE_BYTES >> 4
BOMB_BYTES = 60_000_000  # over the limit of all but gzip, which is tested by itself
MAX_GROWTH_BYTES = 400_000_000


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "zst": lambda: zstandard.ZstdCompressor().compressobj(),
    "bz2": bz2.BZ2Compressor,
    "xz": lambda: lzma.LZMACompressor(preset=0),
}
READERS: dict[str, dict[str, Any]] = {
    "jsonl": {"format": "jsonl"},
    "csv": {"format": "csv"},
    "lines": {"format": "text", "per": "line"},
    "warc": {"format": "warc"},
}


@pytest.fixture(autouse=True)
def small_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", FREE_BYTES)


def bomb(path: Path, new: Callable[[], Compressor], unit: bytes, num_bytes: int) -> None:
    stream, block = new(), unit * (BLOCK_BYTES // len(unit))
    with path.open("wb") as handle:
        handle.write(stream.compress(b"text\n"))
        for _ in range(num_bytes // len(block)):
            handle.write(stream.compress(block))
        handle.write(stream.flush())
    assert path.stat().st_size < 1_000_000


def reasons(path: Path, **config: Any) -> tuple[int, list[str]]:
    """Documents and reasons; time and memory in bounds."""
    before, started = peak.forget(), time.process_time()
    reader = reader_of(path.parent, paths=(path.name,), limit=1_000_000, **config)
    num_documents, found = 0, []
    for rows in reader.read(Slice(input=reader.inputs()[0])):
        num_documents += rows.documents.num_rows
        found += rows.quarantined["reason"].to_pylist()
    assert peak.peak_bytes() - before < MAX_GROWTH_BYTES
    assert time.process_time() - started < 60
    return num_documents, found


@pytest.mark.parametrize("unit", [b"a", b"\n"])
@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("reader", READERS)
def test_a_compressed_bomb_is_one_quarantined_row(
    tmp_path: Path, reader: str, kind: str, unit: bytes
) -> None:
    bomb(tmp_path / "bomb", COMPRESSORS[kind], unit, BOMB_BYTES)
    _, found = reasons(tmp_path / "bomb", **READERS[reader])
    assert found[-1] == "expands_too_far"
    assert len(found) <= 3


@pytest.mark.parametrize("config", [{"format": "text"}, {"format": "html"}])
def test_a_file_that_is_one_document_is_left_at_its_limit(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    bomb(tmp_path / "bomb", COMPRESSORS["xz"], b"a", BOMB_BYTES)
    assert reasons(tmp_path / "bomb", **config) == (0, ["too_large"])


def test_gzip_is_stopped_at_its_share_and_text_that_compresses_well_is_read(tmp_path: Path) -> None:
    member = gzip.compress(b"\n" * 10_000_000)  # 1 to 1,027
    (tmp_path / "bomb").write_bytes(member * 8)
    assert len(member) * 8 * MAX_EXPANSION + FREE_BYTES < 8 * 10_000_000
    assert reasons(tmp_path / "bomb", format="jsonl")[1] == ["expands_too_far"]
    rows = b'{"text": "the same row again"}\n' * 200_000  # 1 to 300 or so, but 6 MB
    (tmp_path / "fine").write_bytes(zlib.compress(rows, wbits=31))
    assert reasons(tmp_path / "fine", format="jsonl") == (200_000, [])


def test_a_page_of_parquet_that_expands_too_far_is_not_decompressed(tmp_path: Path) -> None:
    table = pa.table({"text": ["a" * 900_000] * 100})
    pq.write_table(table, tmp_path / "bomb", compression="zstd", use_dictionary=False)
    assert reasons(tmp_path / "bomb", format="parquet") == (0, ["expands_too_far"])


def test_values_that_begin_as_the_one_before_are_decoded_few_at_a_time(tmp_path: Path) -> None:
    texts = [f"{'a' * 100_000}{number}" for number in range(600)]
    encoding = {"column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "use_dictionary": False}
    pq.write_table(pa.table({"text": texts}), tmp_path / "bomb", compression="zstd", **encoding)
    num_documents, found = reasons(tmp_path / "bomb", format="parquet")
    assert found == ["expands_too_far"]
    assert 150 < num_documents < 400


@pytest.mark.parametrize("kind", [pa.binary(100_000), pa.list_(pa.string())])
def test_a_field_beside_the_text_is_written_out_piece_by_piece_too(
    tmp_path: Path, kind: pa.DataType
) -> None:
    value = b"a" * 100_000 if pa.types.is_fixed_size_binary(kind) else ["a" * 100_000]
    other = pa.array([value], kind).take(pa.array([0] * 600))
    table = pa.table({"text": ["text"] * 600, "other": other})
    pq.write_table(table, tmp_path / "bomb", compression="zstd", store_schema=False)
    num_documents, found = reasons(tmp_path / "bomb", format="parquet", meta_fields=("other",))
    assert found == ["expands_too_far"]
    assert 150 < num_documents < 400


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
def test_one_value_in_every_row_is_written_out_piece_by_piece(tmp_path: Path, kind: str) -> None:
    indices = pa.array([0] * 5000, pa.int32())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(indices, pa.array(["a" * 900_000]))})
    if kind == "parquet":
        pq.write_table(table, tmp_path / "bomb", compression="zstd", store_schema=False)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with new(tmp_path / "bomb", table.schema, options=options) as writer:
            writer.write_table(table)
    config = {"format": "parquet" if kind == "parquet" else "arrow"}
    num_documents, found = reasons(tmp_path / "bomb", **config)
    assert found == ["expands_too_far"]
    assert 15 < num_documents < 40


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_buffer_of_arrow_that_claims_too_much_is_not_decompressed(
    tmp_path: Path, kind: str, new: Callable[..., Any]
) -> None:
    table = pa.table({"text": ["a" * 1_000_000] * 100})
    options = pa.ipc.IpcWriteOptions(compression=kind)
    with new(tmp_path / "bomb", table.schema, options=options) as writer:
        writer.write_table(table)
    assert reasons(tmp_path / "bomb", format="arrow") == (0, ["expands_too_far"])


def test_nulls_without_end_are_a_bomb(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.nulls(1_000_000, pa.string())}), tmp_path / "bomb")
    num_documents, found = reasons(tmp_path / "bomb", format="parquet")
    assert num_documents == 0
    assert found[-1] == "expands_too_far"
    assert set(found[:-1]) == {"null_text"}


def test_a_body_in_many_codings_is_refused() -> None:
    from pipeline.sources.http_message import BadBody, Response, decoded_body

    headers = {"content-encoding": ", ".join(["gzip"] * 50_000)}
    with pytest.raises(BadBody, match="more than 4 Content-Encodings"):
        decoded_body(Response(200, headers, b"\x1f\x8b"), 1000)


def test_a_page_of_an_archive_that_expands_too_far_is_too_large(tmp_path: Path) -> None:
    body = zlib.compress(b"a" * 30_000_000, wbits=31)
    page = Stored("http://a.example/", body, http={"Content-Encoding": "gzip"})
    (tmp_path / "bomb").write_bytes(archive([page, Stored("http://a.example/2", b"<p>fine")]))
    assert reasons(tmp_path / "bomb", format="warc") == (1, ["too_large"])


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
def test_units_that_are_no_bombs_of_themselves_are_one_together(tmp_path: Path, kind: str) -> None:
    """Slice by slice, and all at once."""
    batch = pa.record_batch({"text": ["a" * 900_000] * 10})  # of 16 MB that are free
    write_units(tmp_path / "bomb", batch, 12, kind)
    config = {"format": "parquet" if kind == "parquet" else "arrow"}
    num_documents, found = reasons(tmp_path / "bomb", **config)
    assert found == ["expands_too_far"]
    assert 15 < num_documents < 40
    reader = reader_of(tmp_path, paths=("bomb",), limit=1_000_000, **config)
    reader = replace(reader, split_bytes=1)
    slices = reader.split(reader.inputs()[0])
    assert len(slices) == (1 if kind == "stream" else 12)
    num_bytes = sum(
        rows.documents["text"].nbytes for piece in slices for rows in reader.read(piece)
    )
    limit = FREE_BYTES + MAX_EXPANSION * (tmp_path / "bomb").stat().st_size
    assert num_bytes < 2 * limit < 12 * batch.nbytes


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_units_of_one_file_may_differ(tmp_path: Path, kind: str) -> None:
    """Text in the first, the same row again in all others: each slice gives all of its rows."""
    noise = np.random.default_rng(0).integers(0, 26, (100, 30_000)) + ord("a")
    texts = [row.astype(np.uint8).tobytes().decode() for row in noise]
    first, *others = [texts, *[["b" * 30_000] * 100] * 9]
    with unit_writer(tmp_path / "fine", pa.schema({"text": pa.string()}), kind) as writer:
        for unit in (first, *others):
            writer.write_batch(pa.record_batch({"text": unit}))
    config = {"format": kind}
    reader = replace(reader_of(tmp_path, paths=("fine",), **config), split_bytes=1)
    slices = reader.split(reader.inputs()[0])
    found = [sum(rows.documents.num_rows for rows in reader.read(piece)) for piece in slices]
    assert found == [100] * 10


def write_units(path: Path, batch: pa.RecordBatch, num_units: int, kind: str) -> None:
    with unit_writer(path, batch.schema, kind) as writer:
        for _ in range(num_units):
            writer.write_batch(batch)


def unit_writer(path: Path, schema: pa.Schema, kind: str) -> Any:
    if kind == "parquet":
        return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False)
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    return new(path, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))


def test_members_of_an_archive_that_are_no_bombs_of_themselves_are_one_together(
    tmp_path: Path,
) -> None:
    page = Stored("http://a.example/", b"<p>" + b"a" * 900_000)
    (tmp_path / "bomb").write_bytes(archive([page]) * 60)
    num_documents, found = reasons(tmp_path / "bomb", format="warc")
    assert found == ["expands_too_far"]
    limit = FREE_BYTES + MAX_EXPANSION * (tmp_path / "bomb").stat().st_size
    assert 10 < num_documents <= limit // 900_000 < 60
