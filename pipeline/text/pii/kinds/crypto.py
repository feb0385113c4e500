"""Addresses of crypto wallets: Bitcoin's (Base58Check; Bech32, BIP-173 and BIP-350), Ethereum's.

An Ethereum address (EIP-55) carries its checksum in the case of its letters. In lower or upper case
alone it has none, and looks like any hash of 160 bits: then a word of Ethereum must stand before.
"""

import re

from stdnum import bitcoin

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.keccak import keccak256
from pipeline.text.pii.recognizer import WORD, Recognizer, Span, Starts, before
from pipeline.text.pii.triggers import Words

_BASE58 = re.compile(rb"(?<![0-9A-Za-z_])[13][1-9A-HJ-NP-Za-km-z]{24,34}(?![0-9A-Za-z_])")
_SEGWIT = re.compile(
    rb"(?<![0-9A-Za-z_])(?:bc1[ac-hj-np-z02-9]{11,71}|BC1[AC-HJ-NP-Z02-9]{11,71})(?![0-9A-Za-z_])"
)
_ETHEREUM = re.compile(rb"(?<![0-9A-Za-z_])0x[0-9A-Fa-f]{40}(?![0-9A-Za-z_])")
_NAMES_ETHEREUM = re.compile(
    rb"(?i)(?<![0-9a-z])(?:eth|ether|ethereum|wallet|erc-?20|metamask|usdt|usdc)(?![0-9a-z])"
)
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_RESIDUE_BECH32, _RESIDUE_BECH32M = 1, 0x2BC830A3
_CHECKSUM_CHARS, _PROGRAM_BYTES = 6, (20, 32)


def _accept_base58(match: re.Match[bytes]) -> Span | None:
    return match.span() if bitcoin.is_valid(match[0].decode("ascii")) else None


def _accept_segwit(match: re.Match[bytes]) -> Span | None:
    return match.span() if _is_segwit(match[0].decode("ascii").lower()) else None


def _is_segwit(address: str) -> bool:
    """Whether the checksum is that of the version: Bech32 for 0, Bech32m for the later ones."""
    values = [_BECH32.index(char) for char in address.removeprefix("bc1")]
    version, num_bits = values[0], 5 * (len(values) - 1 - _CHECKSUM_CHARS)
    if version > 16 or (version == 0 and num_bits // 8 not in _PROGRAM_BYTES) or num_bits % 8 > 4:
        return False
    residue = 1
    # the prefix `bc` as its high bits, a zero and its low bits
    for value in (3, 3, 0, 2, 3, *values):
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            residue ^= term if top >> bit & 1 else 0
    return residue == (_RESIDUE_BECH32 if version == 0 else _RESIDUE_BECH32M)


def _accept_ethereum(match: re.Match[bytes]) -> Span | None:
    digits = match[0][2:]
    if digits.islower() or digits.isupper() or digits.isdigit():
        return match.span() if _NAMES_ETHEREUM.search(before(match)) else None
    return match.span() if digits == _checked_case(digits) else None


def _checked_case(digits: bytes) -> bytes:
    """EIP-55: upper case where the hash of the address in lower case has a digit of 8 or more."""
    lower = digits.lower()
    nibbles = keccak256(lower).hex()
    upper = lower.upper()
    return bytes(upper[i] if nibbles[i] >= "8" else lower[i] for i in range(len(lower)))


BITCOIN = Recognizer(
    kind="crypto",
    trigger=triggers.WALLET,
    pattern=_BASE58,
    accept=_accept_base58,
    starts=Starts(first=b"13", not_after=WORD),
)
SEGWIT = Recognizer(
    kind="crypto", trigger=Words(words=(b"bc1",)), pattern=_SEGWIT, accept=_accept_segwit
)
ETHEREUM = Recognizer(
    kind="crypto",
    trigger=triggers.WALLET,
    pattern=_ETHEREUM,
    accept=_accept_ethereum,
    starts=Starts(first=b"0", not_after=WORD),
)
