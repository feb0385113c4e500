"""Private key blocks: PEM (RFC 7468, RFC 1421), OpenSSH's, SSH2's (RFC 4716), PGP's, PuTTY's.

From `-----BEGIN ... PRIVATE KEY-----` over everything that keys are written with, however long, to
its end. The line feeds may be written `\\n` or `<br>`, be none at all, and have quotes, margins of
mails, of comments and of diffs around them. Where the end is missing a block goes as far as runs of
base64 follow each other. A header without key material behind it is a mention, not a key.
"""

import re

from pipeline.text.pii.recognizer import Recognizer, Span
from pipeline.text.pii.triggers import Words

_NAME = rb"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_FEED = rb"(?:\\{1,8}[nr]|\r?\n|<br ?/?>)[ \t>|*#/\"'+-]{0,16}"
_HEADER = _FEED + rb"[A-Z][A-Za-z-]{2,16}: ?(?:(?!\\[nr])[^\n\xff]){1,200}+"
# Base64, white space, escapes, quotes, entities and margins; a hyphen is a margin's in diffs only
_BODY = rb"(?:[A-Za-z0-9+/=\s\\\"'`,.|>*#<;&_$()]++|(?<=\n)-(?!-))*+"
_PATTERN = re.compile(
    rb"(?:-{4,5} ?BEGIN " + _NAME + rb"|Private-Lines: ?[0-9]{1,5}(?=\s))"
    rb"(?:" + _HEADER + rb"){0,8}+(?P<body>" + _BODY + rb")(?P<end>-{4,6} ?END " + _NAME + rb")?"
)  # fmt: skip
_RUN = rb"[A-Za-z0-9+/]{16,}+={0,2}"
_GAP = rb"(?:[^A-Za-z0-9]++|(?<=\\)[nrt]|(?<=<)br)*+"
# The last line of a key is often short: then a digit, a sign or a change of case tells it from text
_LAST = rb"(?:[A-Za-z0-9+/]{1,15}=|(?=[A-Za-z]*(?:[0-9+/]|[a-z][A-Z]))[A-Za-z0-9+/]{2,15}(?![a-z]))"
_RUNS = re.compile(rb"(?:" + _GAP + _RUN + rb")+(?:" + _GAP + _LAST + rb"={0,2})?")
_KEY = re.compile(_RUN)
_MIN_CHARACTERS, _MIN_DIFFERENT = 40, 12  # `xxxx`, `AAAA`; an Ed25519 key has 64 characters


def _accept(match: re.Match[bytes]) -> Span | None:
    body = match["body"]
    if match["end"] is not None:
        return match.span() if _is_key(b"".join(_KEY.findall(body))) else None
    runs = _RUNS.match(body)
    if runs is None or not _is_key(runs[0]):
        return None
    return match.start(), match.start("body") + runs.end()


def _is_key(text: bytes) -> bool:
    characters = re.findall(rb"[A-Za-z0-9+/]", text)
    return len(characters) >= _MIN_CHARACTERS and len(set(characters)) >= _MIN_DIFFERENT


PRIVATE_KEY = Recognizer(
    kind="secret",
    trigger=Words(
        words=(b"private key-----", b"private key ----", b"private key block-----",
               b"private-lines:"),
        lead_bytes=len("----- BEGIN ") + 3 * 13,
        reach_bytes=0,
        to_end=True,
    ),
    pattern=_PATTERN,
    accept=_accept,
)  # fmt: skip
