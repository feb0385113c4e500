"""What column chunks of Parquet can become, told from the headers of their pages."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import Slice
from pipeline.sources.parquet_footer import row_groups
from pipeline.sources.parquet_pages import Pages, pages_of
from pipeline.sources.thrift import Compact
from tests.pipeline.sources.conftest import reader_of

TEXTS = [f"{number} {'long ' * (number % 7)}" for number in range(3000)]
LONGEST_BYTES = max(map(len, TEXTS))


def pages(path: Path, texts: list[Any], **options: Any) -> Pages:
    pq.write_table(pa.table({"text": texts}), path, **options)
    with pa.OSFile(str(path)) as handle:
        return pages_of(handle, row_groups(handle)[0].columns[0])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_a_dictionary_tells_its_longest_value(tmp_path: Path, codec: str, version: str) -> None:
    found = pages(tmp_path / "file", TEXTS, compression=codec, data_page_version=version)
    assert (found.num_values, found.longest_bytes) == (len(TEXTS), LONGEST_BYTES)
    assert found.num_bytes > sum(map(len, TEXTS))


def test_plain_values_are_no_longer_than_they_are_stored(tmp_path: Path) -> None:
    found = pages(tmp_path / "file", TEXTS, use_dictionary=False)
    assert (found.num_values, found.longest_bytes) == (0, 0)


def test_only_those_before_the_dictionary_was_full_repeat(tmp_path: Path) -> None:
    options = {"dictionary_pagesize_limit": 1000, "write_batch_size": 100, "data_page_size": 1000}
    found = pages(tmp_path / "file", TEXTS, **options)
    assert 0 < found.num_values < 1000
    assert 0 < found.longest_bytes <= LONGEST_BYTES
    assert found.most_bytes(10) == 10 * found.longest_bytes
    assert found.most_bytes(10**6) == found.num_values * found.longest_bytes


def test_values_that_begin_alike_may_be_as_long_as_their_page(tmp_path: Path) -> None:
    texts = ["a" * 5000 + str(number) for number in range(100)]
    options = {"column_encoding": "DELTA_BYTE_ARRAY", "use_dictionary": False}
    found = pages(tmp_path / "file", texts, compression="none", **options)
    assert found.num_values == 100
    assert 5000 <= found.longest_bytes <= found.num_bytes < 10_000


def test_a_header_longer_than_usual_is_read(tmp_path: Path) -> None:
    texts = [letter * 3000 for letter in "abc"] * 5
    found = pages(tmp_path / "file", texts, write_page_index=False, data_page_version="1.0")
    assert (found.num_values, found.longest_bytes) == (15, 3000)


def test_pages_that_cannot_be_followed_may_be_anything(tmp_path: Path) -> None:
    pages(tmp_path / "file", TEXTS)
    data = bytearray((tmp_path / "file").read_bytes())
    data[4:40] = b"\xff" * 36
    (tmp_path / "file").write_bytes(data)
    with pa.OSFile(str(tmp_path / "file")) as handle:
        column = row_groups(handle)[0].columns[0]
        found = pages_of(handle, column)
    assert found == Pages(column.num_bytes, len(TEXTS), column.num_bytes)


@pytest.mark.parametrize(
    "data", [b"\x19" * 100_000, b"\x1c" * 100_000, b"\x1b" + b"\x01\xbb" * 100_000]
)
def test_what_is_nested_without_end_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        Compact(data).fields()


@pytest.mark.parametrize("is_bomb", [False, True])
def test_rows_are_decoded_few_at_a_time_only_where_they_can_be_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_bomb: bool
) -> None:
    asked: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def spy(file: pq.ParquetFile, batch_rows: int, *args: Any, **options: Any) -> Any:
        asked.append(batch_rows)
        return iter_batches(file, batch_rows, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    texts = ["a" * 1_000_000, *TEXTS] if is_bomb else TEXTS
    pq.write_table(pa.table({"text": texts}), tmp_path / "file")
    reader = reader_of(tmp_path, format="parquet", paths=("file",))
    read = [rows.documents for rows in reader.read(Slice(input=reader.inputs()[0]))]
    assert pa.Table.from_batches(read)["text"].to_pylist() == texts
    assert (asked[0] <= 134) is is_bomb
