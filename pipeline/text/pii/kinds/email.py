"""E-mail addresses (RFC 5321 section 4.1.2, RFC 6531, as people write them).

The local part is letters, digits and `._%+'-`, at most 255 of them, for bounce addresses go beyond
the 64 of the standard; letters may be those of any alphabet of two UTF-8 bytes (Latin, Greek,
Cyrillic, Hebrew, Arabic). Ideographs and Hangul are one before a domain in such letters only, since
text without spaces between words (Chinese, Japanese) stands right before an address. The domain may
be internationalised, also in ideographs. It must end in a top-level domain that exists, so that
`x@self.weights`, `logo@2x.png` and `getty@tty1.service` stay, and so do `W@x.to(device)` and
`a@b.mT`, products of matrices. The @ may be escaped (`%40` in URLs, `\\u0040`, `&#64;`) or of full
width. Quoted local parts, address literals and spellings against machines (`jane at example dot
com`) are not found.
"""

import functools
import re

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.tlds import GENERIC_TLDS, INTERNATIONAL_TLDS
from pipeline.text.pii.recognizer import DIGITS, LETTERS, Recognizer, Span, Starts

_ALPHABETIC = rb"[\xc3-\xdf][\x80-\xbf]"  # U+00C0 to U+07FF
_IDEOGRAPHIC = rb"(?:\xe3[\x81-\x8f\x90-\xbf]|[\xe0-\xe1\xe4-\xed][\x80-\xbf])[\x80-\xbf]"
_DOMAIN = rb"(?:[A-Za-z0-9.]|" + _ALPHABETIC + rb"|" + _IDEOGRAPHIC + rb")"
_LOCAL = rb"[A-Za-z0-9._%+]{1,64}@"
_PATTERN = re.compile(
    rb"(?<![A-Za-z0-9._%+'-])(?<!" + _ALPHABETIC + rb")"
    rb"((?:[A-Za-z0-9._%+'-]|" + _ALPHABETIC + rb"){1,255}+"
    rb"|(?:" + _IDEOGRAPHIC + rb"){1,8}(?=@[^\s@\xff]{0,60}?" + _IDEOGRAPHIC + rb"))"
    # a list may be joined by hyphens
    rb"@((?:" + _DOMAIN + rb"|-(?!" + _LOCAL + rb")){1,255})(?![A-Za-z0-9])"
    rb"((?:-" + _LOCAL + rb"[A-Za-z0-9.]{1,64}(?![A-Za-z0-9])){0,8})"
)  # fmt: skip
_ESCAPED = re.compile(
    rb"(?<![A-Za-z0-9._+-])((?:[A-Za-z0-9._+-]|%2[Bb]){1,64}+)"
    rb"(?:%40|\\u0040|&#64;|\xef\xbc\xa0)([A-Za-z0-9.-]{1,255})"
)
_ASCII = LETTERS + DIGITS + b"._%+'-"
_STARTS = Starts(first=_ASCII + bytes(range(0xC3, 0xEE)), not_after=_ASCII)
_LETTER = rb"(?:[A-Za-z0-9]|" + _ALPHABETIC + rb"|" + _IDEOGRAPHIC + rb")"
_LABEL = re.compile(_LETTER + rb"(?:(?:-{0,61}" + _LETTER + rb"){0,62})")
_MAX_LABEL_BYTES = 63
_COUNTRY = re.compile(rb"[a-z]{2}")
_THREE_BYTES = re.compile(rb"[\xe0-\xed]")
_CASED = re.compile(rb"[a-z]+[A-Z]")
# After a footnote's number, or before brackets that hold a name and not arguments
_COMMON = frozenset({b"com", b"org", b"net", b"edu", b"gov", b"info", b"de", b"uk"})
# the user of `git@github.com:user/repository` is a program
_SERVICES = frozenset({b"git", b"hg"})


def _accept(match: re.Match[bytes]) -> Span | None:
    local = match[1].lstrip(b".%+-'")
    follows = match.string[match.end(2) : match.end(2) + 1]
    if b"'" in local and follows == b"'":
        local = local.rpartition(b"'")[2]  # b'jane@example.com' is a literal, not O'Brien
    domain = _domain_in(match[2].rstrip(b".-"))
    top = domain.rpartition(b".")[2]
    if not local or local in _SERVICES or not domain or _CASED.search(top):
        return None
    if follows == b"(" and domain == match[2] and top.lower() not in _COMMON:
        return None
    more = match[3].rstrip(b".")
    is_list = more and domain == match[2] and _is_domain(more.rpartition(b"@")[2])
    end = match.start(3) + len(more) if is_list else match.start(2) + len(domain)
    return match.end(1) - len(local), end


def _accept_escaped(match: re.Match[bytes]) -> Span | None:
    domain = _domain_in(match[2].rstrip(b".-"))
    return (match.start(), match.start(2) + len(domain)) if domain else None


def _domain_in(text: bytes) -> bytes:
    """The domain that `text` is or begins with; empty if there is none.

    Text may go on without a space: `bob@example.com请联系`, `example.com.Then`, `example.com1`.
    """
    if _is_domain(text):
        return text
    rest, dot, top = text.rpartition(b".")
    shorter = (
        rest + dot + _THREE_BYTES.split(top, maxsplit=1)[0],
        rest if top[:1].isupper() and top[1:].islower() else b"",
        rest + dot + top.rstrip(DIGITS) if top.rstrip(DIGITS) in _COMMON else b"",
    )
    return next((each for each in shorter if _is_domain(each)), b"")


@functools.lru_cache(maxsize=4096)  # change logs and mailing lists repeat few domains
def _is_domain(domain: bytes) -> bool:
    labels = domain.split(b".")
    top = labels[-1].lower()
    exists = (
        bool(_COUNTRY.fullmatch(top))
        or top in GENERIC_TLDS
        or top in INTERNATIONAL_TLDS
        or top.startswith(b"xn--")
    )
    return len(labels) >= 2 and exists and all(map(_is_label, labels))


def _is_label(label: bytes) -> bool:
    return len(label) <= _MAX_LABEL_BYTES and _LABEL.fullmatch(label) is not None


EMAIL = Recognizer(
    kind="email", trigger=triggers.EMAIL, pattern=_PATTERN, accept=_accept, starts=_STARTS
)
EMAIL_ESCAPED = Recognizer(
    kind="email",
    trigger=triggers.Words(
        words=(b"%40", b"\\u0040", b"&#64;", b"\xef\xbc\xa0"), lead_bytes=3 * 64, reach_bytes=0
    ),
    pattern=_ESCAPED,
    accept=_accept_escaped,
)
