"""Any bytes in, whatever the format: rows and quarantined rows come out, and never an exception.

Where it can be counted without the reader, what comes out is what was there.
"""

import bz2
import gzip
import json
import lzma
import os
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pipeline.sources import Slice
from pipeline.sources.compression import MAGIC_BYTES, compression_of
from tests.pipeline.sources.archives import Stored, archive
from tests.pipeline.sources.conftest import Read, collect, reader_of

FORMATS: dict[str, dict[str, Any]] = {
    "jsonl": {"format": "jsonl", "id_field": "id", "meta_fields": ("n",)},
    "csv": {"format": "csv", "id_field": "id"},
    "tsv": {"format": "tsv", "meta_fields": ("n",)},
    "text": {"format": "text"},
    "lines": {"format": "text", "per": "line"},
    "parquet": {"format": "parquet", "id_field": "id", "meta_fields": ("n",)},
    "arrow": {"format": "arrow", "id_field": "id", "meta_fields": ("n",)},
    "html": {"format": "html"},
    "warc": {"format": "warc", "id_field": "WARC-Record-ID"},
}
TEXTS = ["first é", "", 'a "quoted", one\nof two lines', "last 漢字" * 9]
TABLE = pa.table({"id": ["a", None, "c", "d"], "text": TEXTS, "n": [1, None, 3, 4]})


def _parquet() -> bytes:
    sink = BytesIO()
    pq.write_table(TABLE, sink, row_group_size=2, compression="snappy")
    return sink.getvalue()


def _arrow(new: Callable[..., Any], compression: str | None) -> bytes:
    table = TABLE.append_column("kind", pa.array(["x", "x", "y", "x"]).dictionary_encode())
    sink = BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue()


def _rows(delimiter: str) -> bytes:
    quoted = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
    lines = [delimiter.join(["id", "text", "n"]), *(delimiter.join(["a", q, "1"]) for q in quoted)]
    return "\r\n".join(lines).encode()


PAGES = [Stored(f"http://a.example/{n}", f"<p>{text}".encode()) for n, text in enumerate(TEXTS)]
JSONL = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(TEXTS)).encode()
# Of every format several valid files, to be damaged.
VALID: dict[str, list[bytes]] = {
    "jsonl": [JSONL, gzip.compress(JSONL), zstandard.compress(JSONL * 20)],
    "csv": [_rows(","), bz2.compress(_rows(","))],
    "tsv": [_rows("\t"), lzma.compress(_rows("\t"))],
    "text": ["plain é".encode() * 9, gzip.compress(b"plain" * 99)],
    "lines": [b"one\ntwo\r\n\nthree", zstandard.compress(b"one\ntwo\n" * 99)],
    "parquet": [_parquet()],
    "arrow": [
        _arrow(new, compression)
        for new in (pa.ipc.new_file, pa.ipc.new_stream)
        for compression in (None, "zstd")
    ],
    "html": [b"<html><meta charset=latin-1><p>caf\xe9", gzip.compress(b"<p>page" * 99)],
    "warc": [archive(PAGES, is_gzip=is_gzip) for is_gzip in (True, False)],
}


def read_bytes(kind: str, data: bytes) -> Read:
    """All rows of a file with these bytes; each slice, too, must be read without an exception."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").write_bytes(data)
        reader = reader_of(Path(folder), paths=("data",), limit=100_000, **FORMATS[kind])
        (item,) = reader.inputs()
        for piece in reader.split(item):
            collect(reader.read(piece))
        return collect(reader.read(Slice(input=item)))


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A valid file with a few bytes replaced, cut out, doubled or added, or its end cut off."""
    data = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), start + draw(st.sampled_from([1, 1, 2, 4, 8, 100])))
        how = draw(st.sampled_from(["replace", "cut", "double", "insert", "end", "zero", "ones"]))
        new = {
            "replace": lambda n=end - start: draw(st.binary(min_size=n, max_size=n)),
            "cut": lambda: b"",
            "double": lambda s=start, e=end, d=data: d[s:e] * 2,
            "insert": lambda s=start, e=end, d=data: draw(st.binary(max_size=9)) + d[s:e],
            "end": lambda: b"",
            "zero": lambda n=end - start: bytes(n),
            "ones": lambda n=end - start: b"\xff" * n,
        }[how]()
        data = data[:start] + new + (b"" if how == "end" else data[end:])
    return data


HYPOTHESIS = settings(
    max_examples=int(os.environ.get("ANY_BYTES_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", FORMATS)
def test_any_bytes_are_read_without_an_exception(kind: str) -> None:
    heads = [b"", *(file[:n] for file in VALID[kind] for n in (4, 12))]

    @HYPOTHESIS
    @example(data=b"")
    @example(data=b"\0" * 100)
    @example(data=b"\xff\xfe\0\n\r\n\"'")
    @given(data=st.builds(bytes.__add__, st.sampled_from(heads), st.binary(max_size=300)))
    def check(data: bytes) -> None:
        got = read_bytes(kind, data)
        if not data:
            assert [row["reason"] for row in got.quarantined] == ["empty_file"]
        elif kind in ("text", "html"):
            assert len(got.documents) + len(got.quarantined) == 1
        elif kind == "lines" and compression_of(data[:MAGIC_BYTES]) is None:
            bom = b"\xef\xbb\xbf"
            lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
            num_rows = sum(map(bool, lines))
            assert len(got.documents) + len(got.quarantined) == num_rows - (lines[0] == bom and 0)

    check()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_read_without_an_exception(kind: str) -> None:
    @HYPOTHESIS
    @given(data=damaged(VALID[kind]))
    def check(data: bytes) -> None:
        got = read_bytes(kind, data)
        places = [(row["source_row"], row["reason"]) for row in got.quarantined]
        assert all(row >= 0 for row, _ in places)

    check()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_loses_nothing(kind: str) -> None:
    for data in VALID[kind]:
        got = read_bytes(kind, data)
        assert got.documents
        assert got.quarantined == []


@HYPOTHESIS
@given(lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=20))
def test_every_line_of_jsonl_is_a_row_or_a_quarantined_one(lines: list[bytes]) -> None:
    data = b"\n".join([*lines, b""])
    assume(data and compression_of(data[:MAGIC_BYTES]) is None)
    got = read_bytes("jsonl", data)
    filled = [line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r") for line in lines]
    assert len(got.documents) + len(got.quarantined) == sum(map(bool, filled)) + (
        0 if any(filled) or any(lines) or len(data) else 1
    )


@HYPOTHESIS
@given(
    rows=st.lists(
        st.tuples(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9)), max_size=30
    ),
    kind=st.sampled_from(["parquet", "arrow", "stream"]),
)
def test_every_row_of_a_column_is_a_document_or_quarantined(
    rows: list[tuple[bytes | None, bytes | None]], kind: str
) -> None:
    columns = {"id": [one for one, _ in rows], "text": [text for _, text in rows]}
    table = pa.table({name: pa.array(column, pa.binary()) for name, column in columns.items()})
    sink = BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=7)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    got = read_bytes("parquet" if kind == "parquet" else "arrow", sink.getvalue())
    numbers = [row["source_row"] for row in (*got.documents, *got.quarantined)]
    assert sorted(numbers) == list(range(len(rows)))
