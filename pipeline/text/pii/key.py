"""The key of pseudonyms: read from the environment or a file, and never written anywhere.

What is made of it is HMAC-SHA256 under a key that scrypt (RFC 7914, N 2^14, r 8, p 1; 50 ms) makes
of the given one, so that nobody tries passwords fast against a corpus or a record that hold such
values. Records hold a fingerprint of the key, keyed like everything else: another key is another
config, and what it made is made again.
"""

import functools
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PrepareError, UsageError
from pipeline.text.pii.config import PiiConfig

MIN_KEY_BYTES = 16
_SALT = b"headwater.pii.v1"
_FINGERPRINT = b"fingerprint"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of some editors: no part of the key


@dataclass(frozen=True, slots=True)
class PiiKey:
    """The stretched key, 32 bytes. Its `repr` does not show it, and it is in no pickle."""

    _secret: bytes = field(repr=False)

    def digest(self, kind: str, value: bytes) -> bytes:
        """32 bytes that nobody without the key can tell from chance."""
        message = kind.encode() + b"\0" + value
        return hmac.digest(self._secret, message, "sha256")

    @property
    def fingerprint(self) -> str:
        """Names the key without telling it."""
        return self.digest("", _FINGERPRINT).hex()[:32]

    def __reduce__(self) -> str:
        raise TypeError("a PII key is not pickled: every process reads it for itself")


def load_key(config: PiiConfig, base: Path) -> PiiKey | None:
    """The key that the modes need; None where none does.

    Raises `UsageError` where it is missing, or shorter than `MIN_KEY_BYTES`.
    """
    if not config.needs_key:
        return None
    where, raw = _read(config, base)
    if len(raw) < MIN_KEY_BYTES:
        raise UsageError(
            f"pii: {where} holds a key of {len(raw)} bytes, want {MIN_KEY_BYTES} at least: values "
            "such as telephone numbers are few, and who guesses the key reads them back; make one "
            "with `openssl rand -hex 32`"
        )
    return _stretched(raw)


def check_key(key: PiiKey | None, fingerprint: str | None) -> None:
    """Raise `PrepareError` where a worker found another key than the run began with."""
    found = None if key is None else key.fingerprint
    if found != fingerprint:
        raise PrepareError(
            "pii: this process has another key than the run began with; give the same "
            "environment, or the same key_file, to every worker"
        )


def _read(config: PiiConfig, base: Path) -> tuple[str, bytes]:
    keyed = sorted(k for k in config.all_kinds if config.mode_of(k) in ("pseudonym", "hash"))
    wanted = f"the modes of {', '.join(keyed)} need one"
    if config.key_file is None:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", config.key_env):  # perhaps the key: not told
            raise UsageError(
                "pii.key_env: got something else than the name of an environment variable; want "
                "the name, such as HEADWATER_PII_KEY, and the key in that variable"
            )
        where = f"the environment variable {config.key_env}"
        if not (text := os.environ.get(config.key_env)):
            raise UsageError(
                f"pii: no key: {where} is not set, and {wanted}; set it, for example with "
                f"`export {config.key_env}=$(openssl rand -hex 32)`, and keep it, or name a file "
                "by pii.key_file"
            )
        return where, os.fsencode(text).strip()
    path = base / config.key_file
    try:
        return str(path), path.read_bytes().removeprefix(_BYTE_ORDER_MARK).strip()
    except OSError as exc:
        raise UsageError(
            f"pii.key_file: {path} cannot be read ({exc.strerror}), and {wanted}; give the path of "
            "a file that holds the key, relative to the manifest's folder"
        ) from exc


@functools.lru_cache(maxsize=4)
def _stretched(raw: bytes) -> PiiKey:
    secret = hashlib.scrypt(raw, salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    return PiiKey(secret)
