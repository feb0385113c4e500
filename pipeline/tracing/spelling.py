"""What a token spells, in bytes, for the two ways in which vocabularies write bytes.

`byte_level` (GPT-2, Radford et al. 2019, and most models since): each byte stands as one printable
character. `metaspace` (SentencePiece, Kudo and Richardson 2018): a space stands as U+2581, and with
byte fallback `<0x0A>` is a byte. Others, such as BERT's, lower the case or leave accents out: there
a token does not say which bytes it was made of.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.tokens.engines import Settings

SPACE = "\u2581"
BYTE_LEVEL, METASPACE = "byte_level", "metaspace"
COMPONENTS = ("normalizer", "pre_tokenizer", "decoder")

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Spelling:
    """The vocabulary of a `tokenizer.json`; `scheme` is None where tokens do not tell bytes."""

    names: dict[int, str]  # as the vocabulary has them
    added: frozenset[int]  # ids whose name is the text that they stand for, as it is
    scheme: str | None
    has_byte_fallback: bool = False
    _known: dict[int, bytes] = field(default_factory=dict, repr=False)

    def of(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes that each of these ids spells."""
        for token_id in set(ids) - self._known.keys():
            self._known[token_id] = self._spell(token_id)
        return [self._known[token_id] for token_id in ids]

    def name(self, token_id: int) -> str | None:
        """A token as the vocabulary has it; None for an id of a gap."""
        return self.names.get(token_id)

    @cached_property
    def has_token(self) -> np.ndarray:
        """Of each byte whether it can be spelled alone, bool (256); else it is left out of texts.

        All of them, unless the scheme is byte-level: SmolLM2 has no token for 21 bytes.
        """
        if self.scheme != BYTE_LEVEL:
            return np.ones(256, bool)
        names = {name for token_id, name in self.names.items() if token_id not in self.added}
        return np.array([character in names for character in _CHARACTERS])

    def _spell(self, token_id: int) -> bytes:
        name = self.names.get(token_id, "")
        if token_id in self.added or self.scheme is None:
            return name.encode()
        if self.scheme == BYTE_LEVEL:
            return bytes(_BYTES[character] for character in name if character in _BYTES)
        if self.has_byte_fallback and (match := _BYTE.fullmatch(name)):
            return bytes([int(match[1], 16)])
        return name.replace(SPACE, " ").encode()


def read_spelling(settings: Settings) -> Spelling:
    """The vocabulary of a tokenizer, added tokens included."""
    values: dict[str, Any] = json.loads(settings.text)
    model, added = values["model"], values.get("added_tokens", [])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        names = {int(token_id): name for name, token_id in vocabulary.items()}
    else:  # Unigram: pieces with their scores
        names = {number: piece[0] for number, piece in enumerate(vocabulary)}
    names |= {int(token["id"]): token["content"] for token in added}
    return Spelling(
        names,
        frozenset(int(token["id"]) for token in added),
        _scheme(values),
        bool(model.get("byte_fallback")),
    )


def _scheme(values: dict[str, Any]) -> str | None:
    parts = json.dumps([values.get(name) for name in COMPONENTS], ensure_ascii=False)
    if '"ByteLevel"' in parts:
        return BYTE_LEVEL
    return METASPACE if SPACE in parts else None


def _byte_characters() -> list[str]:
    """GPT-2's table: a printable byte is itself, the others are numbered from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


_CHARACTERS = _byte_characters()
_BYTES = {character: byte for byte, character in enumerate(_CHARACTERS)}
