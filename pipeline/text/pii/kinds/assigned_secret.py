"""Values of high entropy that are assigned to a name like `password`, `api_key` or `token`.

`api_key = "9f8a…"`, `"client_secret": "…"`, `TOKEN=…`, `Authorization: Bearer …`, `--token …`,
`<password>…</password>`, `key="ApiKey" value="…"`, and `password …` of a `.netrc`. Between quotes a
value is the whole literal, else it goes to the next blank or delimiter, and it has 16 characters or
more. Identifiers, paths, calls and words stand in such places far more often than secrets do, so a
value must look drawn at random, and all of it is judged: a part would leave the rest in the text.
"""

import re

from pipeline.text.pii.kinds.randomness import is_random
from pipeline.text.pii.recognizer import CONTEXT_BYTES, Recognizer, Span, before
from pipeline.text.pii.triggers import Words

_NAMES = (
    rb"passw(?:or)?d|passphrase|pwd|secret(?:[_-]?(?:access)?[_-]?key)?|token|api[_-]?key"
    rb"|access[_-]?key|auth[_-]?key|account[_-]?key|private[_-]?key|encryption[_-]?key"
    rb"|signing[_-]?key|client[_-]?secret|credentials?"
)
_MAX_LITERAL, _MAX_VALUE = 100, 128  # a character of a literal may be two, as in `\"`

# not the one of `token=…&user=…` or `&amp;`
_AMPERSAND = rb"&(?![A-Za-z_][A-Za-z0-9_.-]{0,40}[=;])(?=[!-~])"


def _literal(quote: bytes) -> bytes:
    one = rb"(?:(?![\\%s])[!-~\x80-\xfe]|\\[!-~])" % quote
    return quote + rb"(" + one + rb"{16,%d}+)" % _MAX_LITERAL + quote


# The sign of the assignment comes first: it is rarer than the letters that names begin with, and a
# pattern that began with the names took ten times as long. The value is looked ahead at, since in
# it the sign of another may stand: `url="https://x.io/?token=…"`. A bare one holds no such sign.
_PATTERN = re.compile(
    rb"(?:[:=,][=>]?[ \t]{0,8}|[ >])(?=" + rb"|".join(map(_literal, (b'"', b"'", b"`")))
    + rb"|[\"'`]?((?:[A-Za-z0-9!#$%*+/?@^_~.-]|" + _AMPERSAND + rb"){16,%d}+={0,2}+)" % _MAX_VALUE
    + rb"(?![A-Za-z0-9(\[{\\]|[:=][A-Za-z0-9]))"
)  # fmt: skip
_IS_ASSIGNED = re.compile(
    rb"(?i)(?:" + _NAMES + rb")(?:[\"'`]?[\])]?[ \t]{0,8}:?|[\"'][ \t]{1,4}(?:value|content))$"
)
_IS_ARGUMENT = re.compile(
    rb"(?:(?i:authorization)\W{1,6}[A-Za-z]{5,6}|(?<![A-Za-z])Bearer"
    rb"|(?<![A-Za-z0-9-])--?[a-z-]{0,24}(?:" + _NAMES + rb")"
    rb"|(?:login|user|account)[ \t]+[^ \t]+[ \t]+password)$"
)
_IS_ELEMENT = re.compile(rb"(?i)<[A-Za-z0-9_.:-]{0,32}(?:" + _NAMES + rb")(?: [^<>]{0,40})?$")
_IS_FILLER = re.compile(
    rb"(?i)example|your|xxxx|0123456789|1234567890|abcdef|placeholder|change|://"
    rb"|sha(?:1|256|512)[:-]|(?:[0-9a-f]{2}:){4}"
)
_IS_NAMED = {b" ": _IS_ARGUMENT, b">": _IS_ELEMENT}


def _accept(match: re.Match[bytes]) -> Span | None:
    is_named = _IS_NAMED.get(match[0][:1], _IS_ASSIGNED).search(before(match))
    if not is_named:
        return None
    group = match.lastindex or 0
    value = match[group] if group < _PATTERN.groups else match[group].rstrip(b".?")
    if _IS_FILLER.search(value) or not is_random(value.rstrip(b"=")):
        return None
    return match.start(group), match.start(group) + len(value)


ASSIGNED_SECRET = Recognizer(
    kind="secret",
    trigger=Words(
        words=(b"password", b"passwd", b"passphrase", b"pwd", b"secret", b"token", b"api_key",
               b"api-key", b"apikey", b"access_key", b"access-key", b"accesskey", b"auth_key",
               b"auth-key", b"authkey", b"account_key", b"account-key", b"accountkey",
               b"private_key", b"private-key", b"privatekey", b"encryption_key",
               b"encryption-key", b"signing_key", b"signing-key", b"credential", b"authorization",
               b"bearer "),
        lead_bytes=0,
        reach_bytes=CONTEXT_BYTES + len("=>") + 8 + 2 * _MAX_LITERAL + len("''"),
    ),
    pattern=_PATTERN,
    accept=_accept,
)  # fmt: skip
