"""Web archives for tests, written by warcio (an independent implementation of WARC)."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import NamedTuple

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

DATE = "2024-05-06T07:08:09Z"


class Stored(NamedTuple):
    """One record: an HTTP response unless `kind` says otherwise."""

    url: str
    body: bytes
    content_type: str | None = "text/html; charset=utf-8"
    status: str = "200 OK"
    kind: str = "response"
    http: Mapping[str, str] = {}


def archive(records: Iterable[Stored], *, is_gzip: bool = True) -> bytes:
    """A WARC file with a warcinfo record first; gzip has a member for each record."""
    output = BytesIO()
    writer = WARCWriter(output, gzip=is_gzip)
    writer.write_record(writer.create_warcinfo_record("a.warc.gz", {"software": "tests"}))
    for one in records:
        writer.write_record(_record(writer, one))
    return output.getvalue()


def _record(writer: WARCWriter, one: Stored) -> object:
    headers = {"WARC-Date": DATE}
    if one.kind not in ("response", "revisit", "request"):
        return writer.create_warc_record(
            one.url,
            one.kind,
            payload=BytesIO(one.body),
            warc_content_type=one.content_type or "",
            warc_headers_dict=headers,
        )
    fields = [
        *([("Content-Type", one.content_type)] if one.content_type else []),
        *one.http.items(),
    ]
    http = (
        StatusAndHeaders("GET / HTTP/1.1", fields, is_http_request=True)
        if one.kind == "request"
        else StatusAndHeaders(one.status, fields, protocol="HTTP/1.1")
    )
    return writer.create_warc_record(
        one.url, one.kind, payload=BytesIO(one.body), http_headers=http, warc_headers_dict=headers
    )
