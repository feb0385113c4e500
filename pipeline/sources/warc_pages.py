"""Which WARC records are documents: pages that a server sent, and texts that were made of pages."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.sources.charset import decode_page
from pipeline.sources.documents import Bad
from pipeline.sources.http_message import (
    BadBody,
    Response,
    decoded_body,
    media_type,
    parse_response,
)
from pipeline.sources.schema import RAW_BYTES
from pipeline.sources.warc_records import Record

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
# Names of what is skipped are of a closed set, for they are counted in the ledger.
RECORD_TYPES = frozenset(
    {"warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion"}
    | {"continuation"}
)
MEDIA_TYPES = frozenset(
    {"application", "audio", "font", "image", "message", "model", "multipart", "text", "video"}
)
SNIFFED_BYTES = 1 << 10
_HTML_STARTS = (b"<!doctype html", b"<html")
STATUSES = range(100, 600)
OK = 200


class Page(NamedTuple):
    """One document. `text` is HTML of a response, plain text of a conversion."""

    row: int
    text: bytes  # UTF-8 of a response; of a conversion as it stands
    fields: Mapping[str, str]


class Skipped(NamedTuple):
    """A record that is no document, as it is counted."""

    reason: str


def page_of(record: Record, max_bytes: int) -> Page | Skipped | Bad:
    """What a record is to the corpus.

    A page is a response of status 200 whose type is HTML or XHTML, or that names no type and looks
    like HTML. A text is a conversion of type text/plain, or of none, as in WET files.
    """
    kind = record.headers.get("warc-type", "").lower()
    if kind == "conversion":
        return _converted(record, max_bytes)
    if kind != "response":
        return Skipped(kind if kind in RECORD_TYPES else "another type of record")
    try:
        response = parse_response(record.block)
    except BadBody as bad:
        return Bad(record.row, bad.reason, bad.detail, record.block[:RAW_BYTES])
    if response is None:
        if not media_type(record.headers.get("content-type", "")).endswith("/http"):
            return Skipped("response, not HTTP")
        detail = "the response does not begin with a status line"
        return Bad(record.row, "bad_row", detail, record.block[:RAW_BYTES])
    return _why_no_page(response) or _responded(record, response, max_bytes)


def _converted(record: Record, max_bytes: int) -> Page | Skipped | Bad:
    kind = media_type(record.headers.get("content-type", ""))
    if kind not in ("", "text/plain"):
        return Skipped(f"conversion, {_main_type(kind)}")
    if record.num_bytes > max_bytes:
        return _too_large(record, record.num_bytes, max_bytes)
    return Page(record.row, record.block, _fields(record, kind or "text/plain", "utf-8"))


def _why_no_page(response: Response) -> Skipped | None:
    if response.status != OK:
        known = response.status in STATUSES
        return Skipped(f"response, status {response.status if known else 'unknown'}")
    kind = response.media_type
    start = response.body[:SNIFFED_BYTES].lstrip().lower() if not kind else b""
    if kind in HTML_TYPES or start.startswith(_HTML_STARTS):
        return None
    return Skipped(f"response, {_main_type(kind)}")


def _responded(record: Record, response: Response, max_bytes: int) -> Page | Bad:
    if record.num_bytes > len(record.block):
        return _too_large(record, record.num_bytes, max_bytes)
    try:
        body = decoded_body(response, max_bytes)
    except BadBody as bad:
        return Bad(record.row, bad.reason, bad.detail, record.block[:RAW_BYTES])
    if len(body) > max_bytes:
        return _too_large(record, len(body), max_bytes)
    decoded = decode_page(body, response.charset)
    if decoded is None:
        return Bad(record.row, "no_charset", "no charset fits the page", body[:RAW_BYTES])
    fields = _fields(record, response.media_type or "text/html", decoded.charset)
    if decoded.num_replaced:
        fields["charset_errors"] = str(decoded.num_replaced)
    return Page(record.row, decoded.text, fields)


def _fields(record: Record, content_type: str, charset: str) -> dict[str, str]:
    """Fields by name: those of the record in lower case, and what is said of every document."""
    fields = dict(record.headers)
    fields["url"] = fields.get("warc-target-uri", "").strip("<>")  # WARC 1.0 puts it in brackets
    fields["warc_date"] = fields.get("warc-date", "")
    return {**fields, "content_type": content_type, "charset": charset}


def _main_type(kind: str) -> str:
    main = kind.partition("/")[0]
    return main if main in MEDIA_TYPES else "unknown type"


def _too_large(record: Record, num_bytes: int, max_bytes: int) -> Bad:
    detail = f"the page has {num_bytes} bytes or more, want at most {max_bytes}"
    return Bad(record.row, "too_large", detail, record.block[:RAW_BYTES])
