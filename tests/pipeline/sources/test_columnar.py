"""Parquet and Arrow IPC: columns in, documents out, and damage that stays where it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from pipeline.dates import date_seconds, parse_dates
from pipeline.sources import SourceConfig
from pipeline.sources.arrow import ArrowReader
from pipeline.sources.parquet import ParquetReader
from tests.pipeline.sources.conftest import Read, read_all

TEXTS = [f"text {i} é" for i in range(2500)]


def write(path: Path, table: pa.Table, kind: str, batch_rows: int = 300) -> None:
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=batch_rows)
        return
    new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)


def reader(folder: Path, kind: str, split_bytes: int = 4000, **config: Any) -> Any:
    name = "parquet" if kind == "parquet" else "arrow"
    source = SourceConfig(name="d", format=name, paths=("*",), **config)
    new = ParquetReader if kind == "parquet" else ArrowReader
    return new(source=source, base=folder, max_document_bytes=1000, split_bytes=split_bytes)


@pytest.fixture(params=["parquet", "arrow", "stream"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_rows_keep_their_order_and_number_at_any_split(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a", pa.table({"n": range(2500), "text": TEXTS}), kind)
    found = reader(tmp_path, kind, id_field="n")
    assert len(found.split(found.inputs()[0])) == 1 or kind != "stream"
    if kind != "stream":
        assert len(found.split(found.inputs()[0])) > 3
    got = read_all(found)
    assert got.texts == TEXTS
    assert [row["source_row"] for row in got.documents] == list(range(2500))
    assert [row["id"] for row in got.documents] == [str(i) for i in range(2500)]


TYPES: list[Callable[[pa.Array], pa.Array]] = [
    lambda a: a,
    lambda a: a.cast(pa.large_string()),
    lambda a: a.cast(pa.binary()),
    lambda a: a.cast(pa.large_binary()),
    lambda a: a.dictionary_encode(),
    lambda a: a.cast(pa.string_view()),
]


@pytest.mark.parametrize("cast", TYPES)
def test_every_type_of_string_is_a_text(
    tmp_path: Path, kind: str, cast: Callable[[pa.Array], pa.Array]
) -> None:
    write(
        tmp_path / "a",
        pa.table({"text": cast(pa.array(["a", None, "é" * 400, "é" * 501, ""]))}),
        kind,
    )
    got = read_all(reader(tmp_path, kind))
    assert got.texts == ["a", "é" * 400, ""]
    assert got.reasons == [(1, "null_text"), (3, "too_large")]


def test_bytes_that_are_not_utf8_leave_row_by_row(tmp_path: Path, kind: str) -> None:
    values = [b"\xc3" if i % 7 == 3 else b"ok" for i in range(100)]
    table = pa.table({"text": values, "url": [b"\xff" if i == 0 else b"u" for i in range(100)]})
    write(tmp_path / "a", table, kind)
    got = read_all(reader(tmp_path, kind, url_field="url"))
    bad = sorted({0, *range(3, 100, 7)})
    assert got.reasons == [(i, "not_utf8") for i in bad]
    assert [row["source_row"] for row in got.documents] == sorted(set(range(100)) - set(bad))


@pytest.mark.parametrize(
    ("columns", "reasons"),
    [
        ({"text": [1, None]}, [(0, "wrong_type"), (1, "null_text")]),
        ({"text": [["a"], ["b"]]}, [(0, "wrong_type"), (1, "wrong_type")]),
        ({"other": ["a", "b"]}, [(0, "missing_field"), (1, "missing_field")]),
        ({"text": pa.nulls(2)}, [(0, "null_text"), (1, "null_text")]),
    ],
)
def test_a_wrong_field_quarantines_every_row(
    tmp_path: Path, kind: str, columns: dict[str, Any], reasons: list[tuple[int, str]]
) -> None:
    write(tmp_path / "a", pa.table(columns), kind)
    assert read_all(reader(tmp_path, kind))[1] != []
    assert read_all(reader(tmp_path, kind)).reasons == reasons


def test_meta_of_any_type_becomes_strings(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": ["a", "b"], "n": [1, None], "x": [True, False], "deep": [[1], None]})
    write(tmp_path / "a", table, kind)
    got = read_all(reader(tmp_path, kind, meta_fields=("n", "x", "deep", "absent")))
    assert [row["meta"] for row in got.documents] == [
        [("n", "1"), ("x", "true"), ("deep", "[1]")],
        [("x", "false")],
    ]


def test_a_date_of_any_type_is_read_with_the_meta_fields(tmp_path: Path, kind: str) -> None:
    moment = pa.array([1_673_775_000, None], pa.int64())
    zoned = moment.cast(pa.timestamp("s", "UTC"))
    columns = {
        "seconds": moment,
        "ms": pa.array([1_673_775_000_000, None]),
        "time": zoned.cast(pa.timestamp("ns", "Europe/Berlin")),
        "utc": zoned.cast(pa.timestamp("ms", "UTC")),
        "naive": moment.cast(pa.timestamp("s")).cast(pa.timestamp("us")),
        "text": pa.array(["2023-01-15T09:30:00Z", "none"]),
    }
    write(tmp_path / "a", pa.table(columns), kind)
    for name in columns:
        got = read_all(reader(tmp_path, kind, date_field=name)).documents
        dates = parse_dates(pa.array([dict(row["meta"]).get(name) for row in got], pa.string()))
        assert date_seconds(dates)[0] == 1_673_775_000, name
        assert not dates[1].is_valid
    both = read_all(reader(tmp_path, kind, meta_fields=("ms", "utc"), date_field="ms")).documents
    assert [name for name, _ in both[0]["meta"]] == ["ms", "utc"]


def test_no_rows_no_bytes_and_garbage(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a", pa.table({"text": pa.array([], pa.string())}), kind)
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"this is no such file" * 10)
    got = read_all(reader(tmp_path, kind))
    assert got == Read([], got.quarantined)
    assert [(row["source_path"], row["reason"]) for row in got.quarantined] == [
        ("b", "empty_file"),
        ("c", "unreadable"),
    ]


def test_a_truncated_file_is_one_quarantined_row(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a", pa.table({"text": TEXTS}), kind)
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    got = read_all(reader(tmp_path, kind))
    assert len(got.quarantined) == 1
    if kind == "stream":  # its rows come without a footer
        assert got.texts == TEXTS[: len(got.texts)]
        assert got.reasons == [(len(got.texts), "truncated")]
        assert len(got.texts) >= 900
    else:
        assert got == Read([], got.quarantined)
        assert got.reasons == [(0, "unreadable")]


def test_a_damaged_row_group_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS})
    pq.write_table(
        table, tmp_path / "a", row_group_size=500, compression="zstd", use_dictionary=False
    )
    column = pq.ParquetFile(tmp_path / "a").metadata.row_group(2).column(0)
    data = bytearray((tmp_path / "a").read_bytes())
    begin = column.data_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xaa" * column.total_compressed_size
    (tmp_path / "a").write_bytes(data)
    got = read_all(reader(tmp_path, "parquet"))
    assert got.texts == TEXTS[:1000] + TEXTS[1500:]
    assert got.reasons == [(1000, "corrupt")]
