"""An HTTP response as a crawler stores it: status line, headers and body in one block of bytes."""

import re
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import brotli
import zstandard

from pipeline.sources.utf8 import is_utf8

END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
MAX_HEAD_BYTES = 1 << 18
MAX_CODINGS = 4  # one after the other: each may cost as much time as the largest body
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_FOLD = re.compile(r"\r?\n[ \t]++")
_CHUNK_SIZE = re.compile(rb"[ \t]*+([0-9A-Fa-f]{1,15})[ \t]*+(?:;[^\r\n]*+)?\r?\n")
# Possessive: a value of nothing but blanks is looked through once.
_CHARSET = re.compile(r"""charset\s*+=\s*+["']?+\s*+([^\s"';,]+)""", re.IGNORECASE)


_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class BadBody(Exception):  # noqa: N818  (not an error: a fact about a record, to be quarantined)
    """A response that cannot be read: its head is too long, or its encoding does not decode."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason  # a code of `schema.REASONS`
        self.detail = detail


class Response(NamedTuple):
    """The parts of a stored response."""

    status: int
    headers: Mapping[str, str]  # names in lower case; the first of two of one name
    body: bytes  # as stored

    @property
    def media_type(self) -> str:
        """Such as `text/html`, in lower case; empty where none is given."""
        return media_type(self.headers.get("content-type", ""))

    @property
    def charset(self) -> str | None:
        """The charset of the Content-Type."""
        found = _CHARSET.search(self.headers.get("content-type", ""))
        return found[1] if found else None


def media_type(content_type: str) -> str:
    """`text/html` of `Text/HTML; charset=utf-8`."""
    return content_type.partition(";")[0].partition(",")[0].strip().lower()


def parse_headers(head: bytes) -> dict[str, str]:
    """Fields of `Name: value` lines by lower-case name, the first of each; folded lines joined.

    They are UTF-8, or latin-1 where they are not.
    """
    fields: dict[str, str] = {}
    text = _text(head)
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def parse_response(block: bytes) -> Response | None:
    """The response that a block holds; None where it does not begin with a status line.

    Raises BadBody where its headers do not end within `MAX_HEAD_BYTES`.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    end = END_OF_HEAD.search(block, 0, MAX_HEAD_BYTES)
    if end is None and len(block) > MAX_HEAD_BYTES:
        raise BadBody("bad_row", f"the head of the response has more than {MAX_HEAD_BYTES} bytes")
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    return Response(int(status[1]), parse_headers(head.partition(b"\n")[2]), body)


def decoded_body(response: Response, max_bytes: int) -> bytes:
    """The body without its transfer and content encodings, of at most `max_bytes` + 1.

    Crawlers that store a decoded body often leave the headers as they were: a body that is not
    chunked, or not compressed, is taken as it is, and so is valid text in a coding that is not
    known, as `Content-Encoding: UTF-8`. Raises BadBody.
    """
    body = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = _without_chunks(body)
    codings = response.headers.get("content-encoding", "").lower().split(",")
    if len(codings) > MAX_CODINGS:
        raise BadBody("bad_row", f"the body has more than {MAX_CODINGS} Content-Encodings")
    for coding in reversed([name.strip() for name in codings]):
        body = _decompressed(body, coding, max_bytes)
    return body


def _without_chunks(body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        num_bytes = int(size[1], 16)
        if not num_bytes:
            return b"".join(parts)
        parts.append(body[size.end() : size.end() + num_bytes])
        at = size.end() + num_bytes
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)
    # Cut off by the crawler's limit, or damaged; or not chunked after all.
    return b"".join(parts) if parts else body


def _decompressed(body: bytes, coding: str, max_bytes: int) -> bytes:
    if coding in ("", "identity", "none") or not body:
        return body
    if coding not in _DECODERS:
        if _is_decoded(body):
            return body
        raise BadBody("bad_row", f"the Content-Encoding {coding[:40]!r} is not known")
    if coding in _MAGIC and not body.startswith(_MAGIC[coding]):
        return body
    try:
        return _DECODERS[coding](body, max_bytes + 1)
    except (BadBody, zlib.error, zstandard.ZstdError, brotli.error) as exc:
        if coding not in _MAGIC and _is_decoded(body):
            return body
        if isinstance(exc, BadBody):
            raise
        raise BadBody("corrupt", f"the body is no {coding}: {exc}") from exc


def _is_decoded(body: bytes) -> bool:
    """Whether a body is text as it stands: markup, or UTF-8 without controls that text has not."""
    return body.lstrip().startswith(b"<") or (is_utf8(body) and not _NO_TEXT.search(body))


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    return _inflated(body, max_bytes, 31)


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """`deflate` means zlib's format, but some servers send it bare."""
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _inflated(body, max_bytes, 15 if is_zlib else -15)


def _inflated(body: bytes, max_bytes: int, wbits: int) -> bytes:
    stream = zlib.decompressobj(wbits)
    output = stream.decompress(body, max_bytes)
    return _whole(output, stream.eof, max_bytes)


def _brotli(body: bytes, max_bytes: int) -> bytes:
    stream = brotli.Decompressor()
    parts = [stream.process(body, output_buffer_limit=max_bytes)]
    while not stream.can_accept_more_data() and sum(map(len, parts)) < max_bytes:
        parts.append(stream.process(b"", output_buffer_limit=max_bytes))
    return _whole(b"".join(parts), stream.is_finished(), max_bytes)


def _zstd(body: bytes, max_bytes: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as stream:
        return bytes(stream.read(max_bytes))


def _whole(output: bytes, is_finished: bool, max_bytes: int) -> bytes:
    if not is_finished and len(output) < max_bytes:
        raise BadBody("truncated", f"the compressed body ends after {len(output)} bytes of text")
    return output


_DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "br": _brotli,
    "deflate": _inflate,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "zstd": _zstd,
}
_MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
