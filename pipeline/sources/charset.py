"""The character set of a page: what its bytes are, what is said of them, or what they look like.

In order:

    1. a byte order mark
    2. UTF-8, where the bytes are UTF-8, whatever is declared: servers label pages in bulk, and text
       of another set that is UTF-8 by chance is a few characters long
    3. the charset of the HTTP header
    4. the charset of a `meta` element or an XML declaration
    5. detection by uchardet (Mozilla's universal detector, as resiliparse ships it)

3 and 4 count only where little does not decode: one byte in 1,000 of the text, and one in 10 of
those that are not ASCII. A page that nothing fits has no charset. UTF-16 that the header
names, and ISO-2022-JP, come before 2: their bytes may all be ASCII.
"""

import re
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding

from pipeline.sources.charset_labels import codec_of
from pipeline.sources.utf8 import is_utf8

# WHATWG prescans 1,024 bytes and then goes by a later `meta` while it parses; heads are rarely
# longer than this.
PRESCAN_BYTES = 4096
DETECT_BYTES = 1 << 17  # sampled from both ends: 64 KB each
MAX_REPLACED = 0.001  # U+FFFD per byte of UTF-8, for a declared charset to be believed
MAX_OTHER = 0.1  # U+FFFD per byte that is not ASCII: five umlauts in a long page are no accident
MAX_GARBAGE = 0.1  # U+FFFD per byte of UTF-8, for a page to have any charset
MIN_ZEROS = 0.1  # of the bytes, in UTF-16: every character of the markup has one

REPLACEMENT = "\ufffd"
_ASCII = bytes(range(128))
BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))
# The bytes of any page in it are ASCII, or may be.
_HIDDEN = frozenset({"iso2022_jp", "utf-16-be", "utf-16-le"})

_XML = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""", re.IGNORECASE)
_TAG = re.compile(rb"""(?:[^>"']|"[^"]*"|'[^']*')*+>""")
_ATTRIBUTE = re.compile(
    rb"""([^\s=>/"']+)(?:\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""", re.DOTALL
)
_IN_CONTENT = re.compile(rb"""charset\s*+=\s*+["']?+\s*+([^\s"';]+)""", re.IGNORECASE)


class Decoded(NamedTuple):
    """A page as UTF-8."""

    text: bytes  # UTF-8, without a byte order mark
    charset: str  # the name of Python's codec
    num_replaced: int  # U+FFFD for bytes that do not decode


def decode_page(data: bytes, declared: str | None = None) -> Decoded | None:
    """The page as UTF-8; `declared` is the charset of the HTTP header, if any.

    None where no charset fits: the bytes are no text.
    """
    for mark, codec in BOMS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], codec)
    codecs = [codec for codec in (codec_of(declared), declared_in(data)) if codec]
    hidden = codecs[0] if codecs and codecs[0] in _HIDDEN else "iso2022_jp"
    if _is_plausible(data, hidden):
        codecs = [hidden]
    elif is_utf8(data):
        return Decoded(data, "utf-8", 0)
    found = [_decoded(data, codec) for codec in codecs]
    for one in found:
        if _is_believed(one, data):
            return one
    detected = codec_of(detect_encoding(data, DETECT_BYTES, html5_compatible=False))
    found += [_decoded(data, detected)] if detected else []
    best = min(found, key=lambda one: one.num_replaced, default=None)
    if best is None or best.num_replaced > MAX_GARBAGE * len(best.text):
        return None
    return best


def _is_believed(found: Decoded, data: bytes) -> bool:
    if not found.num_replaced:
        return True
    num_other = len(data.translate(None, _ASCII))
    return found.num_replaced <= min(MAX_REPLACED * len(found.text), MAX_OTHER * num_other)


def declared_in(data: bytes) -> str | None:
    """The codec that the beginning of a page declares, by WHATWG's prescan of a byte stream.

    A page that can be read so far is no UTF-16, so a label of that means UTF-8.
    """
    head = data[:PRESCAN_BYTES]
    found = _XML.match(head)
    codec = codec_of(found[1].decode("latin-1")) if found else None
    codec = codec or _in_meta(head)
    return "utf-8" if codec in ("utf-16-le", "utf-16-be") else codec


def _in_meta(head: bytes) -> str | None:
    lower = head.lower()
    if b"charset" not in lower:
        return None
    at = lower.find(b"<")
    while at >= 0:
        if lower.startswith(b"<!--", at):
            end = lower.find(b"-->", at + 2) + 3
            end = end if end > 2 else 0
        elif lower[at + 1 : at + 2].isalpha():
            tag = _TAG.match(head, at)
            end = tag.end() if tag else 0
            is_meta = lower.startswith(b"<meta", at) and lower[at + 5 : at + 6] in b" \t\r\n\f/"
            if end and is_meta and (codec := _of_meta(head[at + 5 : end])):
                return codec
        else:
            end = at + 1
        at = lower.find(b"<", end) if end else -1  # a tag that is not closed in the head is the end
    return None


def _of_meta(attributes: bytes) -> str | None:
    values: dict[bytes, bytes] = {}
    for found in _ATTRIBUTE.finditer(attributes):
        values.setdefault(found[1].lower(), found[2] or found[3] or found[4] or b"")
    label = values.get(b"charset")
    if label is None and values.get(b"http-equiv", b"").strip().lower() == b"content-type":
        inside = _IN_CONTENT.search(values.get(b"content", b""))
        label = inside[1] if inside else None
    return None if label is None else codec_of(label.decode("latin-1"))


def _is_plausible(data: bytes, codec: str) -> bool:
    if codec == "iso2022_jp":
        return b"\x1b" in data and b"\x1b$" in data and data.isascii()
    return data.count(0) >= MIN_ZEROS * len(data)


def _decoded(data: bytes, codec: str) -> Decoded:
    try:
        return Decoded(data.decode(codec).encode("utf-8"), codec, 0)
    except UnicodeDecodeError:
        text = data.decode(codec, "replace")
    except UnicodeEncodeError:  # a lone surrogate, which some codecs let pass
        text = data.decode(codec, "replace").encode("utf-8", "replace").decode("utf-8")
    num_replaced = text.count(REPLACEMENT)
    return Decoded(text.encode("utf-8", "replace"), codec, num_replaced)
