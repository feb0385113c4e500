"""Where each token of a document stands in its stored text.

To the byte, wherever the tokens spell the text: their bytes one after the other are the text's,
which is checked for each document, so nothing is taken on trust. That holds for byte-level BPE and
for SentencePiece's vocabularies, but for bytes that the model has no token for (left out, and
skipped here) and for texts that the tokenizer normalises first. There the offsets that `tokenizers`
tells are taken, which name the characters that a token was made of, and `note` says so.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.shards import TokenizerIdentity
from pipeline.tokens.engines import Settings
from pipeline.tokens.segments import Span
from pipeline.tracing.spelling import Spelling, read_spelling

NONE = -1


@dataclass(frozen=True, slots=True)
class Characters:
    """Characters `begin[i]:end[i]` of the stored text for token i of its document, int64.

    `NONE` (both) for begin and end marks, which stand for no character, and for all tokens where
    it cannot be known. Tokens that share a character (a part of its bytes each) share its span.
    `byte_begin` and `byte_end` are the UTF-8 bytes; None where only characters are known.
    """

    begin: np.ndarray
    end: np.ndarray
    byte_begin: np.ndarray | None
    byte_end: np.ndarray | None
    note: str | None  # why the spans are not exact, or not known, or leave bytes out

    @property
    def is_exact(self) -> bool:
        """Whether the bytes of the text between a token's bounds are what the token spells."""
        return self.byte_begin is not None


class Aligner:
    """Finds the characters of tokens; one a tokenizer."""

    def __init__(self, settings: Settings, identity: TokenizerIdentity) -> None:
        self.spelling: Spelling = read_spelling(settings)
        self._identity = identity
        self._settings = settings
        self._offsets: _Offsets | None = None  # loads a tokenizer, which few documents need

    def align(self, text: str, ids: np.ndarray) -> Characters:
        """The characters of `ids`, the tokens of `text` with the marks of the manifest."""
        for before, after in self._marks(ids):
            body = ids[before : len(ids) - after]
            found = _spelled(self.spelling, text, body)
            if found is not None:
                return _padded(found, before, after)
        if self._offsets is None:
            self._offsets = _Offsets(self._settings)
        for before, after in self._marks(ids):
            found = self._offsets.of(text, ids[before : len(ids) - after])
            if found is not None:
                return _padded(found, before, after)
        unknown = np.full(len(ids), NONE)
        note = "not known: `tokenizers` makes other tokens of the text"
        return Characters(unknown, unknown, None, None, note)

    def align_spans(self, text: str, ids: np.ndarray, spans: Sequence[Span]) -> Characters:
        """The characters of tokens of which each span is a text by itself; the others have none."""
        begin, end = np.full(len(ids), NONE), np.full(len(ids), NONE)
        byte_begin, byte_end = begin.copy(), end.copy()
        data = text.encode()
        notes: dict[str, None] = {}
        is_exact = True
        for span in spans:
            part = data[span.begin : span.end].decode()
            found = self.align(part, ids[span.first : span.last])
            inside = slice(span.first, span.last)
            first = len(data[: span.begin].decode())
            begin[inside] = np.where(found.begin == NONE, NONE, found.begin + first)
            end[inside] = np.where(found.end == NONE, NONE, found.end + first)
            notes |= {} if found.note is None else {found.note: None}
            if found.byte_begin is None or found.byte_end is None:
                is_exact = False
                continue
            is_none = found.byte_begin == NONE
            byte_begin[inside] = np.where(is_none, NONE, found.byte_begin + span.begin)
            byte_end[inside] = np.where(is_none, NONE, found.byte_end + span.begin)
        note = "; ".join(notes) or None
        if not is_exact:
            return Characters(begin, end, None, None, note)
        return Characters(begin, end, byte_begin, byte_end, note)

    def _marks(self, ids: np.ndarray) -> Iterator[tuple[int, int]]:
        """How many tokens at the two ends may be marks, the most likely first."""
        first = len(ids) > 0 and ids[0] == self._identity.bos_id
        last = len(ids) > first and ids[-1] == self._identity.eos_id
        seen = dict.fromkeys([(first, last), (False, last), (first, False), (False, False)])
        return ((int(before), int(after)) for before, after in seen)


def _spelled(spelling: Spelling, text: str, body: np.ndarray) -> Characters | None:
    """By the bytes that the tokens spell; None where these are not the text."""
    if spelling.scheme is None:
        return None
    spelled = spelling.of(body.tolist())
    ends = np.cumsum([len(each) for each in spelled], dtype=np.int64)
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    data, joined = text.encode(), b"".join(spelled)
    note = None
    if joined == b" " + data:  # some tokenizers begin every text with a space
        begins, ends = np.maximum(begins - 1, 0), np.maximum(ends - 1, 0)
    elif joined != data:
        raw = np.frombuffer(data, np.uint8)
        has_token = spelling.has_token[raw]
        if joined != raw[has_token].tobytes():
            return None
        kept = np.flatnonzero(has_token)
        num_left = len(raw) - len(kept)
        note = f"{num_left:,} bytes of the text have no token in this vocabulary and were left out"
        # A token may reach over bytes that are left out inside of it.
        is_empty = ends == begins
        ends = np.where(is_empty, 0, kept[np.maximum(ends - 1, 0)] + 1 if len(kept) else 0)
        begins = np.where(is_empty, 0, kept[np.minimum(begins, len(kept) - 1)] if len(kept) else 0)
    return _of_bytes(data, begins, ends, note)


def _of_bytes(data: bytes, begins: np.ndarray, ends: np.ndarray, note: str | None) -> Characters:
    """Characters that hold any of the bytes; none for an empty span."""
    is_empty = ends == begins
    begins, ends = (np.where(is_empty, NONE, bounds) for bounds in (begins, ends))
    if not len(data):
        return Characters(begins, ends, begins, ends, note)
    is_start = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    character = np.cumsum(is_start) - 1
    first = np.where(is_empty, NONE, character[np.maximum(begins, 0)])
    last = np.where(is_empty, NONE, character[np.maximum(ends - 1, 0)] + 1)
    return Characters(first, last, begins, ends, note)


def _padded(found: Characters, before: int, after: int) -> Characters:
    """With the marks, which have no characters."""

    def pad(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.full(before, NONE), values, np.full(after, NONE)])

    byte_begin, byte_end = found.byte_begin, found.byte_end
    return Characters(
        pad(found.begin),
        pad(found.end),
        None if byte_begin is None else pad(byte_begin),
        None if byte_end is None else pad(byte_end),
        found.note,
    )


class _Offsets:
    """What `tokenizers` tells of offsets: characters of the text before its normalisation."""

    def __init__(self, settings: Settings) -> None:
        from tokenizers import Tokenizer

        values = json.loads(settings.text)
        values["post_processor"] = None  # GPT-2's takes the spaces out of the offsets
        self._tokenizer = Tokenizer.from_str(json.dumps(values, ensure_ascii=False))
        self._tokenizer.encode_special_tokens = True
        self._special = np.array(sorted(settings.special.values()), np.int64)
        contents = sorted(settings.special, key=lambda content: (-len(content), content))
        self._literal = re.compile("|".join(map(re.escape, contents))) if contents else None
        normalizer = (values.get("normalizer") or {}).get("type")
        how = f"normalises it ({normalizer})" if normalizer else "does not keep its bytes"
        self._note = (
            f"as `tokenizers` tells: the tokenizer {how}, so these are the characters that a token "
            "was made of, not always those that it spells"
        )

    def of(self, text: str, body: np.ndarray) -> Characters | None:
        """None where the tokens are not those of the text."""
        for cuts in ([], self._cuts(text)):
            ids, begins, ends = self._encoded(text, cuts)
            if np.array_equal(ids, body):
                return Characters(begins, ends, None, None, self._note)
        return None

    def _cuts(self, text: str) -> list[int]:
        """As `pipeline.tokens.tokenize` cuts a text in which a special token stands literally."""
        if self._literal is None:
            return []
        return [match.start() + 1 for match in self._literal.finditer(text)]

    def _encoded(self, text: str, cuts: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ids, spans = [], []
        for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True):
            encoding = self._tokenizer.encode(text[first:last], add_special_tokens=False)
            ids += encoding.ids
            spans += [(first + begin, first + end) for begin, end in encoding.offsets]
        found, bounds = np.array(ids, np.int64), np.array(spans, np.int64).reshape(-1, 2)
        keep = ~np.isin(found, self._special) if cuts else np.ones(len(found), bool)
        return found[keep], bounds[keep, 0], bounds[keep, 1]
