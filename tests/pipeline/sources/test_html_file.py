"""HTML files: a file is a page, whatever its charset."""

import gzip
from collections.abc import Callable

import pytest

from tests.pipeline.sources.conftest import Read

Reading = Callable[..., Read]
PAGE = '<html><head><meta charset="windows-1251"></head><body><p>Привет, мир</p></body></html>'


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_is_one_page_in_utf_8(read: Reading, pack: Callable[[bytes], bytes]) -> None:
    got = read(pack(PAGE.encode("cp1251")), format="html", name="a.html")
    assert got.documents == [
        {
            "id": "a.html#0",
            "text": PAGE,
            "source": "domain",
            "url": None,
            "meta": [("content_type", "text/html"), ("charset", "cp1251")],
            "source_path": "a.html",
            "source_row": 0,
        }
    ]
    assert got.quarantined == []


def test_bytes_that_do_not_decode_are_counted(read: Reading) -> None:
    data = b'<meta charset="utf-8">' + "é".encode() * 2000 + b"\xff"
    got = read(data, format="html")
    assert dict(got.documents[0]["meta"])["charset_errors"] == "1"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<p>" * 400, "too_large"),
        ("<p>é</p>".encode("latin-1") * 125, "too_large"),  # as UTF-8
        (gzip.compress(b"<p>half of a page", mtime=0)[:-6], "truncated"),
        (bytes(range(128, 256)) * 2, "no_charset"),
    ],
)
def test_a_file_that_is_no_page_is_one_quarantined_row(
    read: Reading, data: bytes, reason: str
) -> None:
    got = read(data, limit=1000, format="html")
    assert (got.documents, got.reasons) == ([], [(0, reason)])
