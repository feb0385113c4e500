"""Secrets, credentials of URLs and addresses of wallets, made up from dice.

Each has the form and the checksum of the real thing and opens nothing. Wallets are written by the
reference implementations (`base58`, `bech32`, Keccak of pycryptodome).
"""

import base64
import json
import string
import zlib
from collections.abc import Callable
from random import Random

import base58
import bech32
from Crypto.Hash import keccak

_ALPHANUMERIC = string.ascii_letters + string.digits
_BASE32 = string.ascii_uppercase + "234567"
_BASE64 = _ALPHANUMERIC + "+/"
_BASE64URL = _ALPHANUMERIC + "-_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

Draw = Callable[[Random], str]


def _of(draw: Random, alphabet: str, num: int) -> str:
    return "".join(draw.choices(alphabet, k=num))


def _github(draw: Random) -> str:
    """GitHub's blog of 2021-04-05: 30 characters, then their CRC-32 as six of base 62."""
    body = _of(draw, _ALPHANUMERIC, 30)
    crc, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        check = _BASE62[digit] + check
    return f"{draw.choice(('ghp', 'gho', 'ghu', 'ghs'))}_{body}{check}"


def _slack(draw: Random) -> str:
    numbers = "-".join(_of(draw, string.digits, 12) for _ in range(2))
    return f"xox{draw.choice('bp')}-{numbers}-{_of(draw, _ALPHANUMERIC, 24)}"


def _jwt(draw: Random) -> str:
    """RFC 7519, signed with nothing."""
    claims = {"sub": _of(draw, string.digits, 10), "iat": draw.randrange(10**9, 2 * 10**9)}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    texts = (json.dumps(part, separators=(",", ":")) for part in parts)
    encoded = (base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") for text in texts)
    return ".".join((*encoded, _of(draw, _BASE64URL, 43)))


def _private_key(draw: Random) -> str:
    """A block as OpenSSL writes them (RFC 7468), its contents noise."""
    name = draw.choice(("RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"))
    body = "\n".join(_of(draw, _BASE64, 64) for _ in range(draw.randrange(3, 26)))
    return f"-----BEGIN {name}-----\n{body}\n{_of(draw, _BASE64, 32)}\n-----END {name}-----"


def _credential(draw: Random) -> str:
    name = _of(draw, string.ascii_lowercase, draw.randrange(3, 9))
    return f"{name}:{_of(draw, _ALPHANUMERIC, draw.randrange(8, 25))}"


def _ethereum(draw: Random) -> str:
    """EIP-55: a letter is upper case where the hash of the lower-case address has 8 or more."""
    plain = draw.randbytes(20).hex()
    digest = keccak.new(digest_bits=256, data=plain.encode()).hexdigest()
    mixed = (c.upper() if int(d, 16) >= 8 else c for c, d in zip(plain, digest, strict=False))
    return "0x" + "".join(mixed)


def _segwit(draw: Random) -> str:
    """BIP-173: version 0, of a key (20 bytes) or of a script (32)."""
    return str(bech32.encode("bc", 0, draw.randbytes(draw.choice((20, 32)))))


def _bitcoin(draw: Random) -> str:
    """Version 0 (of a key) or 5 (of a script), 20 bytes, Base58Check."""
    version = draw.choice((b"\x00", b"\x05"))
    return base58.b58encode_check(version + draw.randbytes(20)).decode()


CRYPTO: dict[str, Draw] = {
    "crypto_btc": _bitcoin,
    "crypto_segwit": _segwit,
    "crypto_eth": _ethereum,
}
URLS: dict[str, Draw] = {
    "url_credential": _credential,
    "url_token": lambda draw: _of(draw, _ALPHANUMERIC, draw.randrange(20, 41)),
}
SECRETS: dict[str, Draw] = {
    "secret_aws_id": lambda draw: draw.choice(("AKIA", "ASIA")) + _of(draw, _BASE32, 16),
    "secret_aws_key": lambda draw: _of(draw, _BASE64, 40),
    "secret_github": _github,
    "secret_slack": _slack,
    "secret_google": lambda draw: "AIza" + _of(draw, _BASE64URL, 35),
    "secret_stripe": lambda draw: "sk_live_" + _of(draw, _ALPHANUMERIC, 24),
    "secret_jwt": _jwt,
    "secret_private_key": _private_key,
    "secret_random": lambda draw: _of(draw, _ALPHANUMERIC, draw.randrange(24, 41)),
}
