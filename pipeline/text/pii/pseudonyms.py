"""Pseudonyms: values that look like the kind, from ranges that are reserved and belong to nobody.

    email        <12 letters>@example.com, .net or .org (RFC 2606)      2.9 * 10^17 values
    phone        NXX-555-01xx (NANP, reserved for fiction)              4,000
    ip           192.0.2.0/24 (RFC 5737); 2001:db8::/32 (RFC 3849)      256; 2^64
    private_ip   those of ip
    mac          00:00:5e:00:53:xx (RFC 7042)                           256
    credit_card  the numbers that payment processors test with          12
    us_ssn       987-65-432x (set aside for advertisements)             10

Of small ranges many values share a pseudonym. Everything else, and what a range has no value of the
wanted length for, has no pseudonym: `replacements` writes a hash instead.

A pseudonym follows from the keyed digest of the value's normal form: e-mail addresses and words are
the same in any case, numbers in any grouping, IP addresses in any notation.
"""

import hashlib
import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping, Sequence

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LOCAL_LETTERS = 12
_DOMAINS = ("example.com", "example.net", "example.org")
# Geographic area codes of the United States; 555-0100 to 555-0199 are reserved in each.
_AREAS = (
    "201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215",
    "216", "217", "218", "219", "224", "225", "228", "301", "302", "303", "304", "305", "307",
    "308", "309", "310", "312", "313", "314", "315", "316", "317", "318", "319", "320", "321",
    "323",
)  # fmt: skip
# By the begin of a network's numbers, those that payment processors publish for tests
TEST_CARDS_OF = {
    r"4": ("4111111111111111", "4012888888881881", "4242424242424242"),  # Visa
    r"5[1-5]|2[2-7]": ("5555555555554444", "5105105105105100"),  # Mastercard
    r"3[47]": ("378282246310005", "371449635398431"),  # American Express
    r"6": ("6011111111111117", "6011000990139424"),  # Discover
    r"35": ("3530111333300000", "3566002020360505"),  # JCB
    r"3[0689]": ("30569309025904",),  # Diners Club
}
TEST_CARDS = tuple(itertools.chain.from_iterable(TEST_CARDS_OF.values()))
_PHONE_FORMS = {
    7: "555{line}", 8: "555-{line}", 10: "{area}555{line}", 11: "1{area}555{line}",
    12: "{area}-555-{line}", 13: "({area})555-{line}", 14: "({area}) 555-{line}",
    15: "+1 {area}-555-{line}", 16: "+1 ({area})555-{line}", 17: "+1 ({area}) 555-{line}",
}  # fmt: skip
_DEFAULT_PHONE = 12


class Draw:
    """Choices that follow from a digest: SHAKE-256 makes as many bytes of it as are needed."""

    def __init__(self, digest: bytes) -> None:
        self._digest, self._used = digest, 0

    def number(self, size: int) -> int:
        """One of 0..size-1; 64 bits, so that none is more frequent by more than size / 2^64."""
        self._used += 8
        stream = hashlib.shake_256(self._digest).digest(self._used)
        return int.from_bytes(stream[-8:]) % size

    def choice(self, values: Sequence[str]) -> str:
        return values[self.number(len(values))]

    def letters(self, num: int, alphabet: str = LETTERS) -> str:
        stream = hashlib.shake_256(self._digest + b"letters").digest(2 * num)
        pairs = (int.from_bytes(stream[i : i + 2]) for i in range(0, 2 * num, 2))
        return "".join(alphabet[pair % len(alphabet)] for pair in pairs)


# From the draw, the value and the wanted number of characters (None: any) to a pseudonym or None.
Pseudonym = Callable[[Draw, str, int | None], str | None]


def normal_form(kind: str, value: str) -> bytes:
    """What the digest is of: two notations of one value have one."""
    if kind == "email":
        return value.lower().encode()
    if kind == "phone":
        return re.sub(r"[^0-9]", "", value).removeprefix("00").encode().rjust(11, b"1")
    if kind in ("ip", "private_ip"):
        return _packed(value)
    bare = "".join(char for char in value.casefold() if char.isalnum())
    return (bare or value).encode()


def _packed(value: str) -> bytes:
    try:
        address = ipaddress.ip_address(value)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).packed
    except ValueError:  # a notation that the recogniser knows and `ipaddress` does not
        return value.lower().encode()


def _email(draw: Draw, value: str, num_chars: int | None) -> str | None:
    domain = draw.choice(_DOMAINS)
    num = _LOCAL_LETTERS if num_chars is None else num_chars - len(domain) - 1
    return f"{draw.letters(num)}@{domain}" if num > 0 else None


def _phone(draw: Draw, value: str, num_chars: int | None) -> str | None:
    form = _PHONE_FORMS.get(_DEFAULT_PHONE if num_chars is None else num_chars)
    area, line = draw.choice(_AREAS), f"01{draw.number(100):02d}"
    return None if form is None else form.format(area=area, line=line)


def _ip(draw: Draw, value: str, num_chars: int | None) -> str | None:
    if ":" in value:
        return _ipv6(draw, num_chars)
    if num_chars is None:
        return f"192.0.2.{draw.number(256)}"
    first, last = {9: (0, 10), 10: (10, 100), 11: (100, 256)}.get(num_chars, (0, 0))
    return f"192.0.2.{first + draw.number(last - first)}" if last else None


def _ipv6(draw: Draw, num_chars: int | None) -> str | None:
    digits = draw.letters(32, "0123456789abcdef")
    if num_chars is None:
        return "2001:db8::" + ":".join(digits[i : i + 4] for i in range(0, 16, 4))
    for prefix, min_groups, max_groups in (
        ("2001:db8::", 1, 5), ("2001:0db8::", 1, 5), ("2001:db8:", 6, 6), ("2001:0db8:", 6, 6)
    ):  # fmt: skip
        room = num_chars - len(prefix)
        for num in range(min_groups, max_groups + 1):
            if num <= (num_digits := room - (num - 1)) <= 4 * num:
                return prefix + ":".join(_groups(digits, num_digits, num))
    return None


def _groups(digits: str, num_digits: int, num: int) -> list[str]:
    """Hexadecimal digits in groups that differ by one in length at most."""
    ends = [num_digits * place // num for place in range(num + 1)]
    return [digits[a:b] for a, b in itertools.pairwise(ends)]


def _mac(draw: Draw, value: str, num_chars: int | None) -> str | None:
    return _patterned(value, f"00005e0053{draw.number(256):02x}", r"[0-9A-Fa-f]")


def _credit_card(draw: Draw, value: str, num_chars: int | None) -> str | None:
    digits = re.sub(r"[^0-9]", "", value)
    same = next((own for begin, own in TEST_CARDS_OF.items() if re.match(begin, digits)), ())
    as_long = [number for number in TEST_CARDS if len(number) == len(digits)]
    best = [number for number in same if number in as_long]
    if num_chars is None and not best:
        return draw.choice(same or TEST_CARDS)
    best = best or as_long
    return _patterned(value, draw.choice(best), "[0-9]") if best else None


def _us_ssn(draw: Draw, value: str, num_chars: int | None) -> str | None:
    return _patterned(value, f"98765432{draw.number(10)}", "[0-9]")


def _patterned(value: str, digits: str, digit: str) -> str | None:
    """The digits in the grouping of the value, which has as many; None if it has not."""
    own = iter(digits)
    if len(re.findall(digit, value)) != len(digits):
        return None
    return re.sub(digit, lambda _: next(own), value)


PSEUDONYMS: Mapping[str, Pseudonym] = {
    "email": _email,
    "phone": _phone,
    "ip": _ip,
    "private_ip": _ip,
    "mac": _mac,
    "credit_card": _credit_card,
    "us_ssn": _us_ssn,
}
