"""Web archives against warcio, at any slice, damaged anywhere."""

import gzip
import random
import re
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from pipeline.sources import Slice, SourceConfig
from pipeline.sources.http_message import MAX_HEAD_BYTES, Response
from pipeline.sources.warc import WarcReader
from tests.pipeline.sources.archives import DATE, Stored, archive
from tests.pipeline.sources.conftest import LIMIT, Read, collect, read_all

Reading = Callable[..., Read]
gzipped = partial(gzip.compress, mtime=0)  # the bytes name tests, which two processes must agree on

PAGES = [
    Stored(f"http://{host}.example/{i}", f"<html><p>é {i} {'word ' * i}".encode())
    for i, host in enumerate("abcdefghij")
]
OTHERS = [
    Stored("http://a.example/", b"", kind="request"),
    Stored("http://a.example/", b"k: v", "application/warc-fields", kind="metadata"),
    Stored("http://a.example/gone", b"<p>gone", status="404 Not Found"),
    Stored("http://a.example/moved", b"", status="301 Moved"),
    Stored("http://a.example/p.pdf", b"%PDF-1.7", "application/pdf"),
    Stored("http://a.example/odd", b"?", "x-odd/thing"),
    Stored("http://a.example/same", b"", kind="revisit"),
    Stored("dns:a.example", b"a.example. 1 A", "text/dns", kind="resource"),
]


def reader(
    folder: Path, split_bytes: int = 1 << 25, limit: int = LIMIT, **options: object
) -> WarcReader:
    source = SourceConfig(name="web", format="warc", paths=("*",), **options)  # type: ignore[arg-type]
    return WarcReader(source=source, base=folder, max_document_bytes=limit, split_bytes=split_bytes)


def read_bytes(data: bytes, split_bytes: int = 1 << 25, limit: int = LIMIT) -> Read:
    """All that is read of one file, whole and in slices alike."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.warc.gz").write_bytes(data)
        return read_all(reader(Path(folder), split_bytes, limit))


def skipped(data: bytes, tmp_path: Path) -> Counter[str]:
    (tmp_path / "a").write_bytes(data)
    one = reader(tmp_path)
    counts: Counter[str] = Counter()
    for rows in one.read(Slice(input=one.inputs()[0])):
        for reason, number in zip(
            rows.skipped["reason"].to_pylist(), rows.skipped["num_records"].to_pylist(), strict=True
        ):
            counts[reason] += number
    return counts


def by_warcio(data: bytes) -> list[tuple[int, str, str]]:
    """Offset, URL and body of the pages, as warcio reads them."""
    found = []
    records = ArchiveIterator(BytesIO(data))
    for record in records:
        if record.rec_type == "response" and record.http_headers.get_statuscode() == "200":
            body = record.content_stream().read()
            uri = record.rec_headers.get_header("WARC-Target-URI")
            if (record.http_headers.get_header("Content-Type") or "").startswith("text/html"):
                found.append((records.get_record_offset(), uri, body.decode()))
        else:
            record.raw_stream.read()
    return found


@pytest.mark.parametrize("is_gzip", [True, False])
def test_pages_are_those_that_warcio_reads_at_its_offsets(is_gzip: bool) -> None:
    data = archive([*PAGES, *OTHERS, *PAGES], is_gzip=is_gzip)
    got = read_bytes(data)
    assert [(row["source_row"], row["url"], row["text"]) for row in got.documents] == by_warcio(
        data
    )
    assert got.quarantined == []
    assert dict(got.documents[0]["meta"]) == {
        "warc_date": DATE,
        "content_type": "text/html",
        "charset": "utf-8",
    }


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_records_that_are_no_documents_are_counted_by_kind(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(archive([*OTHERS, PAGES[0], *OTHERS[:1]], is_gzip=False))
    assert skipped(data, tmp_path) == {
        "warcinfo": 1,
        "request": 2,
        "metadata": 1,
        "response, status 404": 1,
        "response, status 301": 1,
        "response, application": 1,
        "response, unknown type": 1,
        "revisit": 1,
        "resource": 1,
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*PAGES, *OTHERS]), max_size=12), st.integers(1, 5000), st.booleans()
)
def test_slices_give_what_the_whole_file_gives(
    records: list[Stored], split_bytes: int, is_gzip: bool
) -> None:
    data = archive(records, is_gzip=is_gzip)
    got = read_bytes(data, split_bytes)
    assert [(row["source_row"], row["url"], row["text"]) for row in got.documents] == by_warcio(
        data
    )


def test_an_archive_within_an_archive_is_not_entered_by_a_slice() -> None:
    noise = random.Random(1)
    inner = archive([Stored(f"http://in.example/{i}", noise.randbytes(3000)) for i in range(200)])
    outer = Stored("http://a.example/x.warc.gz", inner, "application/warc")
    plain = archive([PAGES[0], outer, *PAGES[1:]] * 2, is_gzip=False)
    starts = [found.start() for found in re.finditer(rb"WARC/1.0\r\n", plain)] + [len(plain)]
    # Level 0 stores: the inner members lie in the file as they are.
    data = b"".join(gzip.compress(plain[a:b], 0) for a, b in pairwise(starts))
    assert inner[:2000] in data
    got = read_bytes(data, split_bytes=40_000)
    assert {row["url"] for row in got.documents} == {page.url for page in PAGES}
    assert len(got.documents) == 2 * len(PAGES)


def test_a_large_archive_is_cut_into_slices_of_about_that_size(tmp_path: Path) -> None:
    noise = random.Random(2)
    pages = [
        Stored(f"http://a.example/{i}", b"<p>" + noise.randbytes(9000).hex().encode())
        for i in range(60)
    ]
    (tmp_path / "a.warc.gz").write_bytes(archive(pages))
    one = reader(tmp_path, split_bytes=100_000)
    item = one.inputs()[0]
    pieces = one.split(item)
    assert one.is_splittable(item)
    assert len(pieces) == 6, "653 kB in slices of 100 kB and a part of a member"
    assert all(b.start - a.start < 130_000 for a, b in pairwise(pieces))
    assert len(read_all(one).documents) == 60


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_file_compressed_as_a_whole_is_read_but_not_split(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    plain = archive(PAGES, is_gzip=False)
    (tmp_path / "a").write_bytes(pack(plain))
    one = reader(tmp_path, split_bytes=100)
    assert not one.is_splittable(one.inputs()[0])
    assert [row["source_row"] for row in read_all(one).documents] == [
        offset for offset, *_ in by_warcio(plain)
    ]


def test_records_that_share_a_member_have_rows_of_their_own() -> None:
    first = archive(PAGES[:1])
    shared = gzip.compress(archive([PAGES[1], PAGES[1]], is_gzip=False))
    got = read_bytes(first + shared)
    assert len({row["source_row"] for row in got.documents}) == 3
    assert [row["source_row"] - len(first) for row in got.documents[1:]] == [1 << 40, 2 << 40]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.integers(1, 3000))
def test_a_damaged_member_costs_its_record_and_no_other(
    place: float, change: int, split_bytes: int
) -> None:
    data = archive(PAGES)
    rows = [offset for offset, *_ in by_warcio(data)]
    at = rows[0] + int(place * (len(data) - rows[0]))
    broken = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
    got = read_bytes(broken, split_bytes)
    hit = max(row for row in rows if row <= at)
    left = {row["source_row"]: row["text"] for row in got.documents}
    assert [row for row in rows if row != hit] == [row for row in left if row != hit]
    if hit in left:  # a byte of gzip's header that says nothing of the content
        assert left[hit] in {page.body.decode() for page in PAGES}
        assert at - hit < 10
    else:
        assert got.reasons[0][0] == hit
        assert {reason for _, reason in got.reasons} <= {"corrupt", "truncated"}


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1, exclude_max=True), st.booleans())
def test_a_cut_off_archive_gives_its_whole_records_and_one_bad_row(
    place: float, is_gzip: bool
) -> None:
    data = archive(PAGES, is_gzip=is_gzip)
    pages = by_warcio(data)
    # A record of a plain file is whole without the newlines that follow it.
    slack = 0 if is_gzip else len(b"\r\n\r\n")
    nexts = [offset for offset, *_ in pages] + [len(data)]
    end = max(1, int(place * len(data)))
    got = read_bytes(data[:end])
    num_whole = sum(after - slack <= end for after in nexts[1:])
    assert got.texts == [text for *_, text in pages[:num_whole]]
    is_between = any(after - slack <= end <= after for after in nexts)
    assert [reason for _, reason in got.reasons] == ([] if is_between else ["truncated"])


@pytest.mark.parametrize("lie", [-5, 7, 12, 3000, 10**9])
def test_a_wrong_length_in_a_plain_file_costs_one_record(lie: int) -> None:
    data = archive(PAGES, is_gzip=False)
    row = by_warcio(data)[3][0]
    start = data.index(b"Content-Length: ", row) + 16
    end = data.index(b"\r", start)
    broken = data[:start] + b"%d" % (int(data[start:end]) + lie) + data[end:]
    got = read_bytes(broken, 500)
    wanted = [page.url for i, page in enumerate(PAGES) if i != 3]
    assert [one["url"] for one in got.documents] == wanted
    assert got.reasons == [(row, "corrupt")]


def test_what_is_no_record_is_one_bad_row_up_to_the_next() -> None:
    data = archive(PAGES, is_gzip=False)
    row = by_warcio(data)[2][0]
    got = read_bytes(data[:row] + b"noise " * 50 + b"\r\n" + data[row:], 500)
    assert [one["url"] for one in got.documents] == [page.url for page in PAGES]
    assert got.reasons == [(row, "corrupt")]
    assert got.quarantined[0]["raw"].startswith(b"noise noise")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<html>no archive</html>", "unreadable"),
        (gzipped(b"<html>no archive</html>"), "unreadable"),
        (b"\x1f\x8b\x08 no gzip either", "corrupt"),
    ],
)
def test_a_file_that_is_no_archive_is_one_bad_row(data: bytes, reason: str) -> None:
    got = read_bytes(data)
    assert (got.documents, got.reasons) == ([], [(0, reason)])


def chunked(body: bytes) -> bytes:
    parts = [body[i : i + 7] for i in range(0, len(body), 7)]
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


BODY = "<html><p>größer".encode() * 9


@pytest.mark.parametrize(
    ("http", "body"),
    [
        ({"Content-Encoding": "gzip"}, gzipped(BODY)),
        ({"Content-Encoding": "x-gzip, identity"}, gzipped(BODY)),
        ({"Content-Encoding": "deflate"}, zlib.compress(BODY)),
        ({"Content-Encoding": "deflate"}, zlib.compress(BODY, wbits=-15)),
        ({"Content-Encoding": "br"}, brotli.compress(BODY)),
        ({"Content-Encoding": "zstd"}, zstandard.compress(BODY)),
        ({"Transfer-Encoding": "chunked"}, chunked(BODY)),
        (
            {"Transfer-Encoding": "chunked", "Content-Encoding": "br"},
            chunked(brotli.compress(BODY)),
        ),
        # Headers left as they were over a body that was decoded:
        ({"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}, BODY),
        ({"Content-Encoding": "br"}, BODY),
        ({"Content-Encoding": "deflate"}, BODY),
        ({"Content-Encoding": "zstd"}, BODY),
        ({"Content-Encoding": "UTF-8"}, BODY),
        ({"Content-Encoding": "aws-chunked"}, BODY),
        # Cut off, and followed by what is no chunk:
        ({"Transfer-Encoding": "chunked"}, chunked(BODY)[:-5]),
        ({"Transfer-Encoding": "chunked"}, chunked(BODY)[:-5] + b"ZZ"),
    ],
)
def test_transfer_and_content_encodings_are_undone(http: dict[str, str], body: bytes) -> None:
    got = read_bytes(archive([Stored("http://a.example/", body, http=http)]))
    assert (got.texts, got.reasons) == ([BODY.decode()], [])


@pytest.mark.parametrize(
    ("http", "body", "reason"),
    [
        ({"Content-Encoding": "gzip"}, gzipped(BODY)[:-9], "truncated"),
        ({"Content-Encoding": "br"}, brotli.compress(BODY)[:-9], "truncated"),
        ({"Content-Encoding": "br"}, b"\xff\xff\xff", "corrupt"),
        ({"Content-Encoding": "compress"}, b"\x1f\x9d", "bad_row"),
        ({"Content-Encoding": "gzip, " * 5}, gzipped(BODY), "bad_row"),
        ({"X-Long": "x" * 300_000}, BODY, "bad_row"),
        ({"Content-Encoding": "gzip"}, gzipped(bytes(10**7)), "too_large"),
        ({"Content-Encoding": "br"}, brotli.compress(bytes(10**7)), "too_large"),
        ({"Content-Encoding": "zstd"}, zstandard.compress(bytes(10**7)), "too_large"),
        ({}, b"x" * 50_001, "too_large"),
        ({}, b"x" * (50_000 + 2 * MAX_HEAD_BYTES), "too_large"),
        ({}, "é".encode("latin-1") * 30_000, "too_large"),  # as UTF-8
        ({}, random.Random(3).randbytes(5000), "no_charset"),
    ],
)
def test_a_page_that_cannot_be_taken_is_quarantined_and_the_next_is_read(
    http: dict[str, str], body: bytes, reason: str
) -> None:
    bad = Stored("http://a.example/", body, "text/html", http=http)
    got = read_bytes(archive([bad, PAGES[0]]), limit=50_000)
    assert (got.texts, [reason for _, reason in got.reasons]) == (
        [PAGES[0].body.decode()],
        [reason],
    )


def test_a_text_that_its_server_calls_compressed_is_taken_as_it_is() -> None:
    plain = Stored("http://a.example/", b"Hello, plain text", http={"Content-Encoding": "br"})
    got = read_bytes(archive([plain]))
    assert (got.texts, got.reasons) == (["Hello, plain text"], [])


@pytest.mark.parametrize(
    ("head", "reason", "detail"),
    [
        (b"X: " + b"a" * 1_000_000, "corrupt", "does not end within"),
        (b"Content-Length: 5\r\n", "truncated", "the bytes end in the header"),
    ],
)
def test_the_reason_says_what_is_wrong_with_a_header(head: bytes, reason: str, detail: str) -> None:
    member = gzipped(b"WARC/1.0\r\nWARC-Type: response\r\n" + head)
    data = archive(PAGES[:1])
    got = read_bytes(data + member + data)
    assert [row["reason"] for row in got.quarantined] == [reason]
    assert detail in got.quarantined[0]["detail"]
    assert len(got.documents) == 2


def test_the_charset_of_a_content_type_is_found_in_time_linear_in_its_length() -> None:
    started = time.process_time()
    value = "text/html; charset=" + " " * 200_000 + ";x"
    assert Response(200, {"content-type": value}, b"").charset is None
    assert time.process_time() - started < 1  # it takes 5 ms; quadratic, it took 20 minutes


def test_texts_of_wet_files_are_documents() -> None:
    text = Stored("http://a.example/", "Text, größer".encode(), "text/plain", kind="conversion")
    broken = text._replace(body=b"\xff")
    other = text._replace(content_type="application/json")
    got = read_bytes(archive([text, broken, other]))
    assert (got.texts, [r for _, r in got.reasons]) == (["Text, größer"], ["not_utf8"])
    assert dict(got.documents[0]["meta"])["content_type"] == "text/plain"


@pytest.mark.parametrize(
    ("body", "is_page"), [(b"\n<!DOCTYPE HTML><p>", True), (b"\x89PNG", False)]
)
def test_a_response_without_a_type_is_a_page_if_it_looks_like_one(
    body: bytes, is_page: bool
) -> None:
    got = read_bytes(archive([Stored("http://a.example/", body, None)]))
    assert bool(got.documents) == is_page


def test_fields_of_the_record_become_the_id_the_date_and_meta(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(archive(PAGES[:1]))
    options = {
        "id_field": "WARC-Record-ID",
        "date_field": "warc_date",
        "meta_fields": ("WARC-Type",),
    }
    got = read_all(reader(tmp_path, **options)).documents[0]
    assert got["id"].startswith("<urn:uuid:")
    assert dict(got["meta"])["WARC-Type"] == "response"


def nested(num_bytes: int) -> bytes:
    """Records each of which claims the rest of the file."""
    line = b"WARC/1.0\r\nContent-Length: %d\r\n\r\n\r\n"
    return b"".join(line % (num_bytes + 10**6) for _ in range(num_bytes // 40))


def runs_on(num_bytes: int) -> bytes:
    """gzip headers whose stored blocks all run on to the end of the file, where they break."""
    block = b"\x00" + (65_535).to_bytes(2, "little") + (0).to_bytes(2, "little")
    head = MAGIC_HEAD + b"\x00" + (60).to_bytes(2, "little") + (65_475).to_bytes(2, "little")
    one = (head + b"WARC/1.0\r\n").ljust(len(head) + 60, b"x") + block
    return (one * (num_bytes // len(one))).ljust(num_bytes, b"x")


MAGIC_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


@pytest.mark.parametrize("hostile", [nested, runs_on])
def test_hostile_archives_take_time_in_proportion(hostile: Callable[[int], bytes]) -> None:
    seconds = []
    for num_bytes in (1_000_000, 2_000_000):
        data = hostile(num_bytes)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a").write_bytes(data)
            one = reader(Path(folder))
            collect(one.read(one.split(one.inputs()[0])[0]))
        seconds.append(time.process_time() - started)
    assert seconds[1] < 3 * seconds[0] + 0.2
