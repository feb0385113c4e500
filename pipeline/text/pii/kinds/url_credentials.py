"""URLs that carry credentials: `user:password@host`, and tokens and signatures among parameters.

Of the first the user, the password and the host are the span (RFC 3986 section 3.2), so that an
address found in `password@host` is part of it; a password goes on to the last `@` before the host.
Of the second the value is: `access_token=…`, `api_key=…`, `sig=…` of Azure, `X-Amz-Signature=…`,
`X-Goog-Signature=…`, and the like.
Placeholders (`user:password@`, `<token>`, `$TOKEN`, `{token}`) stay.
"""

import re

from pipeline.text.pii.kinds.randomness import is_random
from pipeline.text.pii.recognizer import DIGITS, LETTERS, Recognizer, Span, Starts
from pipeline.text.pii.triggers import Words

_USER_INFO = re.compile(
    rb"(?<=[A-Za-z0-9])://([^\s/?#:@\[\]<>\"'`{}|\\^\x80-\xff]{0,128})"
    rb":([^\s/?#\[\]<>\"'`{}|\\^\x80-\xff]{1,256})@([^\s/?#@\[\]<>\"'`{}|\\^\xff]{1,255})"
)
_PARAMETERS = (
    rb"access_token|refresh_token|id_token|auth_token|oauth_token|private_token|session_token"
    rb"|token|api_?key|apikey|key|auth|password|passwd|pwd|secret|client_secret|sig|signature"
    rb"|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|awsaccesskeyid"
    rb"|session_?id|sid|jwt|code"
)
_PARAMETER = re.compile(
    rb"(?<=[?&;#])(?:(?:" + _PARAMETERS + rb")=)([A-Za-z0-9._~%+/-]{8,2048}=?=?)", re.IGNORECASE
)
_PLACEHOLDERS = frozenset(
    b"""
    pass password passwd pwd pw secret xxx xxxx xxxxx xxxxxx pass1 passw0rd mypassword yourpassword
    your_password my_password token user_password pass_word p psw mdp passwort motdepasse bar baz
    """.split()
)
_IS_VARIABLE = re.compile(rb"\$[A-Za-z_][A-Za-z0-9_]*")
_IS_PLACEHOLDER = re.compile(rb"(?i)\$[({]|%s|%\(|\*\*|\.\.\.|your|x{4}|example|_here$")
# `abc1def2ghi3`, not `sorted12` nor `v1.2.3`: in a parameter's value that does not look random
_MIN_DIGIT_CHANGES = 2
_DIGIT_CHANGE = re.compile(rb"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_MAX_PORT_DIGITS = 5


def _accept_user_info(match: re.Match[bytes]) -> Span | None:
    user, password = match[1], match[2]
    if password.lower() in _PLACEHOLDERS or _IS_PLACEHOLDER.search(user + b":" + password):
        return None
    if _IS_VARIABLE.fullmatch(user) or _IS_VARIABLE.fullmatch(password):
        return None
    host = match[3].rstrip(b".,;:!)*")
    if password.isdigit() and len(password) <= _MAX_PORT_DIGITS and b"." not in host:
        return None  # https://host:8080@2
    # smb://bruker:passord@server: an example in any language
    is_example = password.isalpha() and password.islower() and b"." not in host
    return (match.start(1), match.start(3) + len(host)) if host and not is_example else None


def _accept_parameter(match: re.Match[bytes]) -> Span | None:
    value = match[1]
    num_changes = len(_DIGIT_CHANGE.findall(_ESCAPE.sub(b"%", value)))
    is_token = num_changes >= _MIN_DIGIT_CHANGES or is_random(value)
    if _IS_PLACEHOLDER.search(value) or not is_token:
        return None  # code=authorization_code
    return match.start(1), match.start(1) + len(value.rstrip(b"."))


URL_USER_INFO = Recognizer(
    kind="url_credentials",
    trigger=Words(words=(b"://",), lead_bytes=1, reach_bytes=256),
    pattern=_USER_INFO,
    accept=_accept_user_info,
    starts=Starts(first=b":", not_after=bytes(set(range(256)) - set(LETTERS + DIGITS))),
)
URL_PARAMETER = Recognizer(
    kind="url_credentials",
    trigger=Words(
        words=(b"token=", b"key=", b"auth=", b"password=", b"passwd=", b"pwd=", b"secret=",
               b"sig=", b"signature=", b"credential=", b"keyid=", b"session_id=", b"sessionid=",
               b"sid=", b"jwt=", b"code="),
        lead_bytes=24,
        reach_bytes=0,
    ),
    pattern=_PARAMETER,
    accept=_accept_parameter,
    starts=Starts(first=LETTERS, not_after=LETTERS),
)  # fmt: skip
