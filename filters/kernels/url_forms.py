"""Compiled loops that bring URLs into their normal form.

The normal form of a URL is its host, path and query, as browsers part it
(https://url.spec.whatwg.org): without scheme, user, port, fragment, dots at the end of the host,
and slashes and question marks at the end; tab, CR and LF are left out, as are spaces and control
characters at both ends. Percent signs are decoded, once. The host is in lower case (ASCII), the
rest as it is written.

Behind http, https, ftp, ws and wss come any number of slashes before the host, and a backslash is
a slash. So it is in a text without a scheme: it begins with its host, or with two slashes or more
before that, or has no host, where it begins with one of "/?#.". A port behind what has a dot, as in
"example.com:80", makes that no scheme. Behind another scheme there is a host only after "//".

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one.
"""

import numpy as np

from filters.kernels.compiled import kernel

_SLASH, _QUESTION, _HASH, _COLON, _DOT, _AT = b"/?#:.@"
_OPEN, _CLOSE = b"[]"
_BACKSLASH, _PERCENT, _HYPHEN = b"\\%-"
_TAB, _CR, _LF = b"\t\r\n"

_ENDS_HOST = np.zeros(256, np.bool_)
_ENDS_HOST[list(b"/?#")] = True
_SPECIAL = ("http", "https", "ftp", "ws", "wss")  # schemes before a host, whatever the slashes
_NO_HEX = 255
_HEX = np.full(256, _NO_HEX, np.uint8)
_HEX[list(b"0123456789abcdef")] = range(16)
_HEX[list(b"ABCDEF")] = range(10, 16)
_SCHEME = np.zeros(256, np.bool_)
_SCHEME[list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.")] = True


@kernel
def normal_forms(
    offsets: np.ndarray,
    data: np.ndarray,
    form_offsets: np.ndarray,
    forms: np.ndarray,
    host_bytes: np.ndarray,
    is_other: np.ndarray,
) -> None:
    """The normal form of each URL, and how many of its bytes are the host.

    `forms` has room for all of the URLs. `is_other` marks hosts that may have other spellings:
    beyond ASCII, of "xn--", and addresses.
    """
    form_offsets[0] = 0
    for row in range(len(offsets) - 1):
        begin = form_offsets[row]
        num_bytes, num_host = _normalise(data, offsets[row], offsets[row + 1], forms[begin:])
        form_offsets[row + 1] = begin + num_bytes
        host_bytes[row] = num_host
        is_other[row] = _is_other(forms[begin : begin + num_host])


@kernel
def _normalise(data: np.ndarray, start: int, stop: int, form: np.ndarray) -> tuple[int, int]:
    """Write the normal form; return its bytes and how many of them are the host."""
    while start < stop and data[start] <= 0x20:
        start += 1
    while start < stop and data[stop - 1] <= 0x20:
        stop -= 1
    url = data[start:stop]  # its indices are known not to be negative, which saves a test of each
    num_controls = num_decoded = 0
    for at in range(len(url)):
        num_controls += url[at] < 0x20
        num_decoded += (url[at] == _PERCENT) | (url[at] == _BACKSLASH)
    if not num_controls:
        return _parse(url, form, num_decoded > 0)
    cleaned = np.empty(len(url), np.uint8)
    num_bytes = 0
    for at in range(len(url)):
        if url[at] not in (_TAB, _CR, _LF):
            cleaned[num_bytes] = url[at]
            num_bytes += 1
    return _parse(cleaned[:num_bytes], form, num_decoded > 0)


@kernel
def _parse(url: np.ndarray, form: np.ndarray, has_decoded: bool) -> tuple[int, int]:
    """As `_normalise`, of a URL without what is left out, with something to decode or not."""
    begin, end, is_web = _authority(url)
    host_begin, host_end = _host(url[begin:end])
    host, rest = url[begin + host_begin : begin + host_end], url[end:]
    num_host = _decode(host, form, False) if has_decoded else _copy(host, form)
    for at in range(num_host):
        form[at] = _lower(form[at])
    while num_host > 0 and form[num_host - 1] == _DOT:
        num_host -= 1
    if not has_decoded:
        num_bytes = num_host + _copy(rest[: _fragment(rest, 0)], form[num_host:])
    else:
        query = 0
        while query < len(rest) and rest[query] != _QUESTION and rest[query] != _HASH:
            query += 1
        num_bytes = num_host + _decode(rest[:query], form[num_host:], is_web)
        num_bytes += _decode(rest[query : _fragment(rest, query)], form[num_bytes:], False)
    while num_bytes > num_host and form[num_bytes - 1] in (_SLASH, _QUESTION):
        num_bytes -= 1
    return num_bytes, num_host


@kernel
def _fragment(rest: np.ndarray, at: int) -> int:
    """Where the fragment begins, at this place or behind it, or all ends."""
    while at < len(rest) and rest[at] != _HASH:
        at += 1
    return at


@kernel
def _copy(text: np.ndarray, copied: np.ndarray) -> int:
    for at in range(len(text)):
        copied[at] = text[at]
    return len(text)


@kernel
def _decode(text: np.ndarray, decoded: np.ndarray, is_path: bool) -> int:
    """Write the text with "%41" as "A", in paths backslashes as slashes; return the bytes of it."""
    at = num_bytes = 0
    while at < len(text):
        byte = text[at]
        if byte == _PERCENT and at + 2 < len(text):
            high, low = _HEX[text[at + 1]], _HEX[text[at + 2]]
            if high != _NO_HEX and low != _NO_HEX:
                byte = np.uint8(high << 4 | low)
                at += 2
        elif is_path and byte == _BACKSLASH:
            byte = np.uint8(_SLASH)
        decoded[num_bytes] = byte
        num_bytes += 1
        at += 1
    return num_bytes


@kernel
def _authority(url: np.ndarray) -> tuple[int, int, bool]:
    """Where what names the host begins and ends, one place where nothing does.

    And whether the URL is of the web, or of no scheme, so that backslashes are slashes.
    """
    begin = _scheme(url)
    has_scheme = begin > 0
    is_web = not has_scheme or _is_special(url[: begin - 1])
    slashes = begin
    while slashes < len(url) and _is_slash(url[slashes], is_web):
        slashes += 1
    if is_web and (has_scheme or slashes > 1):
        begin = slashes
    elif slashes > begin + 1:
        begin += 2
    elif has_scheme or (len(url) > 0 and (_ENDS_HOST[url[0]] or url[0] == _DOT or slashes)):
        return begin, begin, is_web
    end = begin
    while end < len(url) and not (_ENDS_HOST[url[end]] or (is_web and url[end] == _BACKSLASH)):
        end += 1
    return begin, end, is_web


@kernel
def _scheme(url: np.ndarray) -> int:
    """Where the scheme and its colon end; 0 where there is none."""
    end, has_dot = 0, False
    while end < len(url) and _SCHEME[url[end]]:
        has_dot |= url[end] == _DOT
        end += 1
    if end == 0 or end == len(url) or url[end] != _COLON or url[0] < 0x41:
        return 0
    port = end + 1
    while port < len(url) and 0x30 <= url[port] <= 0x39:
        port += 1
    is_port = port == len(url) or _ENDS_HOST[url[port]] or url[port] == _BACKSLASH
    return 0 if has_dot and is_port else end + 1


@kernel
def _is_special(scheme: np.ndarray) -> bool:
    for special in _SPECIAL:
        same, at = len(scheme) == len(special), 0
        while same and at < len(scheme):
            same = _lower(scheme[at]) == ord(special[at])
            at += 1
        if same:
            return True
    return False


@kernel
def _is_slash(byte: int, is_web: bool) -> bool:
    return byte == _SLASH or (is_web and byte == _BACKSLASH)


@kernel
def _host(authority: np.ndarray) -> tuple[int, int]:
    """The host within user@host:port or user@[host]:port."""
    end = len(authority)
    begin, closing = 0, _COLON
    for at in range(end):
        if authority[at] == _AT:
            begin = at + 1
    for at in range(begin, end):
        if authority[at] == _OPEN:
            begin, closing = at + 1, _CLOSE
            break
    stop = begin
    while stop < end and authority[stop] != closing:
        stop += 1
    return begin, stop


@kernel
def _is_other(host: np.ndarray) -> bool:
    """Whether a host may have spellings besides the one in lower case."""
    begin = 0
    for at in range(len(host)):
        if host[at] >= 0x80 or host[at] == _COLON:
            return True
        if host[at] == _DOT:
            begin = at + 1
        elif at == begin + 3 and host[at] == _HYPHEN and host[at - 1] == _HYPHEN:
            return True  # nearly all of them are of "xn--"
    return begin < len(host) and 0x30 <= host[begin] <= 0x39


@kernel
def _lower(byte: int) -> int:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte
