"""CSV and TSV: rows as Python's csv module has them, and every other row quarantined."""

import csv
import gzip
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.sources import SourceConfig
from pipeline.sources.compression import DamagedStream
from pipeline.sources.delimited import DelimitedReader
from pipeline.sources.documents import Bad
from pipeline.sources.rows import RowCutter
from tests.pipeline.sources.conftest import Read, read_all, reader_of

Reading = Callable[..., Read]

# All that the parser treats specially, and two letters.
raw_csv = st.lists(st.sampled_from(['"', ",", "\n", "\r", "\r\n", "a", "é"]), max_size=30).map(
    "".join
)
cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def cut(chunks: list[bytes]) -> tuple[list[tuple[int, bytes, int]], list[Bad]]:
    cutter = RowCutter(ord(","), 1 << 20, 0)
    found = [part for chunk in chunks for part in cutter.add(chunk)] + list(cutter.finish())
    rows = [
        (block.first_row + i, block.data[start:end], int(num))
        for block in found
        if not isinstance(block, Bad)
        for i, (start, end, num) in enumerate(
            zip(block.start, block.end, block.num_fields, strict=True)
        )
    ]
    return rows, [part for part in found if isinstance(part, Bad)]


@settings(max_examples=300, deadline=None)
@example(text='a\r\n\r\nb"\r"x""y"\n,\n')
@given(text=raw_csv)
def test_rows_end_where_pyarrow_ends_them_wherever_chunks_do(text: str) -> None:
    data = text.encode()
    rows, bad = cut([data])
    singles = cut([data[i : i + 1] for i in range(len(data))])
    assert singles == (rows, bad)
    assert [row for row, _, _ in rows] == sorted(
        {*range(len(rows) + len(bad))} - {b.row for b in bad}
    )
    assume(rows and not bad)
    num_fields = rows[0][2]
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(
            column_names=[str(i) for i in range(num_fields)], use_threads=False
        ),
        parse_options=pa.csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=lambda _: "skip"
        ),
    )
    assert table.num_rows == sum(num == num_fields for _, _, num in rows)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(cell, cell), max_size=20),
    block=st.integers(1, 100),
    kind=st.sampled_from(["csv", "tsv"]),
)
def test_what_pythons_csv_writes_is_read_as_it_was(
    rows: list[tuple[str, str]], block: int, kind: str
) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter="," if kind == "csv" else "\t", quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "key"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").write_bytes(sink.getvalue().encode())
        source = SourceConfig(name="d", format=kind, paths=("a",), meta_fields=("key",))
        got = read_all(
            DelimitedReader(
                source=source, base=Path(folder), max_document_bytes=100, block_bytes=block
            )
        )
    assert got.quarantined == []
    assert got.texts == [text for text, _ in rows]
    assert [row["meta"] for row in got.documents] == [[("key", key)] for _, key in rows]
    assert [row["source_row"] for row in got.documents] == list(range(len(rows)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_bad_row_leaves_alone(read: Reading, pack: Callable[[bytes], bytes]) -> None:
    data = b'\xef\xbb\xbfid,text\r\n1,a\r\n\r\n2\r\n3,"b\nb"\r\n4,\xff\r\n5,c,d\r\n6,e'
    got = read(pack(data), format="csv", id_field="id")
    assert [(row["id"], row["text"], row["source_row"]) for row in got.documents] == [
        ("1", "a", 0),
        ("3", "b\nb", 2),
        ("6", "e", 5),
    ]
    assert got.reasons == [(1, "bad_row"), (3, "not_utf8"), (4, "bad_row")]
    assert got.quarantined[0]["raw"] == b"2\r\n"


def test_an_open_quote_costs_its_line_and_not_the_rest(read: Reading) -> None:
    got = read(b'text,n\na,1\n"b,2\nc,3\nd,4\n', format="csv")
    assert got.texts == ["a", "c", "d"]
    assert got.reasons == [(1, "bad_row")]


def test_an_endless_row_is_one_too_large_row(read: Reading) -> None:
    data = b'text\na\n"' + b"x\n" * 3_000_000 + b'"\nb\n'
    got = read(data, limit=1000, format="csv")
    assert got.texts == ["a", "b"]
    assert got.reasons == [(1, "too_large")]


def test_the_broken_tail_of_a_truncated_archive_is_no_row(read: Reading) -> None:
    data = b"text\n" + b"".join(b"row %d\n" % (i * i) for i in range(100_000))
    packed = gzip.compress(data)
    got = read(packed[: len(packed) // 2], format="csv")
    assert len(got.documents) > 10_000
    assert got.reasons == [(len(got.documents), "truncated")]
    assert got.texts == [f"row {i * i}" for i in range(len(got.documents))]


def test_a_damaged_stream_breaks_off_at_the_open_row() -> None:
    cutter = RowCutter(ord(","), 100, 0)
    list(cutter.add(b"a\nb"))
    assert cutter.break_off(DamagedStream("truncated", "cut")) == Bad(1, "truncated", "cut", b"b")


def test_a_missing_column_quarantines_every_row_and_a_bad_header_the_file(read: Reading) -> None:
    assert read(b"a,b\n1,2\n3,4\n", format="csv").reasons == [
        (0, "missing_field"),
        (1, "missing_field"),
    ]
    assert read(b"\xff,text\n1,2\n", format="csv").reasons == [(0, "unreadable")]
    assert read(b"", format="csv").reasons == [(0, "empty_file")]
    assert read(b"text,b\n", format="csv") == Read([], [])


def test_a_delimited_file_is_never_split(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text\n")
    reader = reader_of(tmp_path, format="tsv", paths=["a"])
    assert not reader.is_splittable(reader.inputs()[0])
