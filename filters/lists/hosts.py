"""Hosts in one spelling each, as browsers read them (https://url.spec.whatwg.org/#host-parsing).

For hosts beyond plain names of ASCII; those the kernels of URLs write themselves.
"""

import functools
import ipaddress

import idna


@functools.lru_cache(maxsize=1 << 16)
def one_spelling(host: bytes) -> bytes:
    """The one spelling of a host, which is in lower case (ASCII) and without dots at its end.

    International names are in Unicode, mapped as UTS 46 says, without its transition from IDNA
    2003: "ß" and final sigma stay. Of "xn--" they are decoded. IPv6 addresses are compressed, IPv4
    addresses four decimal numbers. What browsers refuse stays as it is.
    """
    try:
        name = host.decode()
        if ":" in name:
            return ipaddress.IPv6Address(name).compressed.encode()
        name = ".".join(map(_decoded, _mapped(name).split("."))).rstrip(".")
    except ValueError:  # UnicodeDecodeError, idna.IDNAError and AddressValueError are ones
        return host
    return (_ipv4(name) or name).encode()


def _mapped(name: str) -> str:
    return idna.uts46_remap(name, std3_rules=False, transitional=False)


def _decoded(label: str) -> str:
    """A label of "xn--" in Unicode; as it is where it has no such spelling."""
    if not label.startswith("xn--"):
        return label
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        is_one = not decoded.isascii() and _mapped(decoded) == decoded
        return decoded if is_one else label
    except UnicodeError:
        return label


def _ipv4(name: str) -> str | None:
    """The address that up to four numbers spell, decimal, octal (0...) or hexadecimal (0x...).

    The last of them fills the bytes that are left. None where the name is no address.
    """
    try:
        *first, last = (_number(part) for part in name.split("."))
    except ValueError:
        return None
    room = 256 ** (4 - len(first)) if len(first) < 4 else 0
    if last >= room or any(number > 255 for number in first):
        return None
    packed = sum(number << (24 - 8 * place) for place, number in enumerate(first)) + last
    return str(ipaddress.IPv4Address(packed))


def _number(part: str) -> int:
    """Raises ValueError where it is none."""
    if part.startswith("0x"):
        return int(part[2:], 16) if part[2:].isalnum() else int(part[2:] or "0")
    if not (part.isascii() and part.isdigit()):
        raise ValueError(part)
    return int(part, 8 if part.startswith("0") else 10)
