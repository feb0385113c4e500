"""E-mail addresses (RFC 5321 section 4.1.2, as people write them).

The local part is ASCII letters, digits and `._%+-`, at most 64 bytes; quoted local parts, address
literals and non-ASCII addresses are not found. The domain must end in a top-level domain that
exists, so that `x@self.weights`, `logo@2x.png` and `getty@tty1.service` stay.
"""

import functools
import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import Recognizer, Span
from pipeline.text.pii.tlds import GENERIC_TLDS

_PATTERN = re.compile(
    rb"(?<![A-Za-z0-9._%+-])([A-Za-z0-9._%+-]{1,64})@([A-Za-z0-9.-]{1,255})(?![A-Za-z0-9])"
)
_LABEL = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_COUNTRY = re.compile(rb"[a-z]{2}")
# the user of `git@github.com:user/repository` is a program
_SERVICES = frozenset({b"git", b"hg"})


def _accept(match: re.Match[bytes]) -> Span | None:
    local = match[1].lstrip(b".%+-")
    domain = match[2].rstrip(b".-")
    if not local or local in _SERVICES or not _is_domain(domain):
        return None
    return match.end(1) - len(local), match.start(2) + len(domain)


@functools.lru_cache(maxsize=4096)  # change logs and mailing lists repeat few domains
def _is_domain(domain: bytes) -> bool:
    labels = domain.split(b".")
    top = labels[-1].lower()
    exists = bool(_COUNTRY.fullmatch(top)) or top in GENERIC_TLDS or top.startswith(b"xn--")
    return len(labels) >= 2 and exists and all(map(_LABEL.fullmatch, labels))


EMAIL = Recognizer(kind="email", trigger=triggers.EMAIL, pattern=_PATTERN, accept=_accept)
