"""What is written instead of a value, by the mode of its kind."""

from dataclasses import dataclass

from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.key import PiiKey
from pipeline.text.pii.pseudonyms import PSEUDONYMS, Draw, normal_form

# Of hashes: without vowels they form no words, without digits no numbers, so that no recogniser
# takes one for a value. 16 letters of 16 are 64 bits.
HASH_LETTERS = "bcdfghjkmnpqrstv"
NUM_HASH_LETTERS = 16
_FILL = "*"


def tag_of(kind: str) -> str:
    """`[CREDIT_CARD]`"""
    return f"[{kind.upper()}]"


@dataclass(frozen=True, slots=True)
class Replacements:
    """A function of kind and value; under one key the same value always has the same answer."""

    config: PiiConfig
    key: PiiKey | None

    def __call__(self, kind: str, value: str) -> str:
        """What is stored in the place of `value`, which an active kind's recogniser found.

        With `length_preserving` it has as many characters, be it asterisks alone.
        """
        mode = self.config.mode_of(kind)
        num_chars = len(value) if self.config.length_preserving else None
        if mode == "remove":
            return " " * (num_chars or 0)
        if mode in ("tag", "drop_document"):
            return _fitting_tag(kind, num_chars)
        assert self.key is not None, f"mode {mode} without a key"
        digest = self.key.digest(kind, normal_form(kind, value))
        draw = Draw(digest)
        if mode == "pseudonym" and (make := PSEUDONYMS.get(kind)):
            found = make(draw, value, num_chars)
            if found is not None:
                return found
        return _hashed(kind, draw, num_chars)


def _fitting_tag(kind: str, num_chars: int | None) -> str:
    tag = tag_of(kind)
    if num_chars is None:
        return tag
    if num_chars < len(tag):
        return _FILL * num_chars
    return tag[:-1] + _FILL * (num_chars - len(tag)) + tag[-1]


def _hashed(kind: str, draw: Draw, num_chars: int | None) -> str:
    tag = tag_of(kind)
    num = NUM_HASH_LETTERS if num_chars is None else num_chars - len(tag) - 1
    if num <= 0:
        return _fitting_tag(kind, num_chars)
    return f"{tag[:-1]}:{draw.letters(num, HASH_LETTERS)}]"
