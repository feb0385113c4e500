"""Texts to token ids, in the worker processes: fast where that is safe, right everywhere.

fastokens encodes; Hugging Face `tokenizers` encodes each document that fastokens refuses (SmolLM2
has no token for 21 bytes, which 1 document in 6,000 holds), and all of them where the two differ
on a built-in sample. One document in 4,096, chosen by its hash, is encoded by both: what a
document becomes is a function of that document, never of the batch or the worker that it met.

A special token that stands literally in a text (`<|endoftext|>` in a web page) is ordinary text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.arrow import value_bounds
from pipeline.errors import PrepareError
from pipeline.files import file_hash, read_json
from pipeline.keys import hash_values, key_words
from pipeline.shards import TokenizerIdentity, token_type
from pipeline.tokens.agreement import first_difference
from pipeline.tokens.config import Marking, TokenizerConfig
from pipeline.tokens.engines import (
    Engine,
    Fastokens,
    HuggingFace,
    Ragged,
    Settings,
    join,
    offsets_of,
    read_settings,
    without_prefix,
)
from pipeline.tokens.kernels import put_marks, rows_with
from pipeline.tokens.resolve import RECORD_FILE, TOKENIZER_FILE

AUDITED = 1 << 12  # 1 of so many documents; the other engine is 50 times slower: 1 to 2 %
# Begun in one call of an engine: strings and ids then stay in the processor's cache, and a text
# that fastokens refuses costs only these again. With 4 MB a call it all takes 1.4 times as long.
CALL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of n documents, begin and end marks included.

    `values` uint16 or uint32, flat; `offsets` int64 (n + 1), the first 0. `num_fallback` counts
    the documents that only `tokenizers` could encode, `num_mismatched` those on which the two
    engines differed and `tokenizers` was believed. `learned` uint8 stands beside `values`, where
    only a part of them is to be learned.
    """

    values: np.ndarray
    offsets: np.ndarray
    num_fallback: int = 0
    num_mismatched: int = 0
    learned: np.ndarray | None = None

    @property
    def num_empty(self) -> int:
        """Documents without any token: all of it unknown to the model, and no mark asked for."""
        return int(np.count_nonzero(np.diff(self.offsets) == 0))


class Plain(NamedTuple):
    """Ids of texts without marks, and on how many the engines did not agree, as `Tokens` has it."""

    ids: Ragged
    num_fallback: int
    num_mismatched: int


class Tokenizer:
    """Encodes batches of documents; one a process, in one thread.

    `continuing` texts go on after others, so none begins with a space that it does not have.
    `directory` holds the copy that `resolve_tokenizer` made. `engine` names the library that
    encodes, `reason` says why it is not fastokens, or is None.
    Raises `PrepareError` where the copy is not the one of `identity`.
    """

    def __init__(
        self,
        directory: Path,
        identity: TokenizerIdentity,
        config: TokenizerConfig,
        *,
        continuing: bool = False,
    ) -> None:
        path = directory / TOKENIZER_FILE
        if not path.is_file() or file_hash(path) != identity.fingerprint:
            raise PrepareError(
                f"{path}: missing or changed since the run began, want the file with xxh3-128 "
                f"{identity.fingerprint}; remove {directory} and run `prepare run` again"
            )
        settings = read_settings(path)
        settings = without_prefix(settings) if continuing else settings
        self._reference = HuggingFace(settings)
        self._fast, self.reason = _fast_engine(settings, self._reference)
        self.engine = "tokenizers" if self._fast is None else "fastokens"
        self._special = settings.special
        self._is_special = np.zeros(identity.num_ids, bool)
        self._is_special[list(settings.special.values())] = True
        # The longest first, so that "<|im_start|>" is not found as a shorter one inside it.
        contents = sorted(settings.special, key=lambda content: (-len(content), content))
        self._literal = re.compile("|".join(map(re.escape, contents)))
        record = read_json(directory / RECORD_FILE)
        self.marks = (
            _marking(config.bos, identity.bos_id, auto=record["adds_bos"]),
            _marking(config.eos, identity.eos_id, auto=True),
        )
        self.dtype = token_type(identity.num_ids).to_pandas_dtype()

    def encode(
        self, texts: pa.StringArray, text_hash: pa.FixedSizeBinaryArray | None = None
    ) -> Tokens:
        """Token ids of texts without nulls; an empty batch gives no ids and one offset.

        `text_hash` is what `pipeline.keys` makes of them, where that is known.
        """
        values, lengths = [np.zeros(0, self.dtype)], [np.zeros(0, np.int64)]
        num_fallback = num_mismatched = 0
        for call in self._calls(texts, text_hash):
            marked, offsets = self._marked(call.ids)
            values.append(marked)
            lengths.append(offsets[1:] - offsets[:-1])
            num_fallback += call.num_fallback
            num_mismatched += call.num_mismatched
        offsets = offsets_of(np.concatenate(lengths))
        return Tokens(np.concatenate(values), offsets, num_fallback, num_mismatched)

    def plain(self, texts: pa.StringArray) -> Plain:
        """The same without begin and end marks."""
        calls = list(self._calls(texts, None))
        return Plain(
            join([call.ids for call in calls]),
            sum(call.num_fallback for call in calls),
            sum(call.num_mismatched for call in calls),
        )

    def _calls(
        self, texts: pa.StringArray, text_hash: pa.FixedSizeBinaryArray | None
    ) -> Iterator[Plain]:
        """The texts in order, some at a time."""
        is_audited = self._audited(texts, text_hash)
        first = 0
        for part in _slices(texts):
            # Both libraries take a list of str and nothing else; making it takes 15 % of the time.
            rows: list[str] = part.to_numpy(zero_copy_only=False).tolist()
            encoded, num_fallback = self._encode(rows)
            chosen = np.flatnonzero(is_audited[first : first + len(rows)]).tolist()
            differing = self._differing(rows, chosen, encoded)
            encoded = _replace(encoded, differing)
            encoded = _replace(encoded, self._literals(rows, encoded))
            yield Plain(encoded, num_fallback, len(differing))
            first += len(rows)

    def _encode(self, rows: list[str]) -> tuple[Ragged, int]:
        """Ids, and how many documents fastokens refused: found by halving, as it names none."""
        if self._fast is None:
            return self._reference.encode(rows), 0
        try:
            return self._fast.encode(rows), 0
        except ValueError:
            if len(rows) == 1:
                return self._reference.encode(rows), 1
        middle = len(rows) // 2
        (left, num_left), (right, num_right) = (
            self._encode(rows[:middle]),
            self._encode(rows[middle:]),
        )
        return join([left, right]), num_left + num_right

    def _audited(
        self, texts: pa.StringArray, text_hash: pa.FixedSizeBinaryArray | None
    ) -> np.ndarray:
        """Which texts the other engine encodes, too: chosen by their hash; bool (n)."""
        if self._fast is None or not len(texts):
            return np.zeros(len(texts), np.bool_)
        hashes = key_words(hash_values(texts) if text_hash is None else text_hash)
        chosen: np.ndarray = hashes[:, 1] % AUDITED == 0
        return chosen

    def _differing(
        self, rows: list[str], chosen: list[int], encoded: Ragged
    ) -> dict[int, np.ndarray]:
        """The audit: of the chosen rows those whose ids are not those of the reference."""
        if not chosen:
            return {}
        expected = self._reference.encode([rows[row] for row in chosen])
        return {
            row: expected[i]
            for i, row in enumerate(chosen)
            if not np.array_equal(expected[i], encoded[row])
        }

    def _literals(self, rows: list[str], encoded: Ragged) -> dict[int, np.ndarray]:
        """Documents whose ordinary text came out as a special token, encoded so that it does not.

        A Unigram model has `</s>` in its vocabulary, and finds it in HTML; so may `ignore_merges`.
        """
        found = np.flatnonzero(rows_with(encoded.ids, encoded.offsets, self._is_special))
        return {row: self._without_special(rows[row]) for row in found.tolist()}

    def _without_special(self, text: str) -> np.ndarray:
        """Encode the text cut after the first character of each special token in it.

        Leaves out what is special even so: a token of one character, or one that the normaliser
        makes of other characters.
        """
        cuts = [match.start() + 1 for match in self._literal.finditer(text)]
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        ids = self._reference.encode(pieces).ids
        kept: np.ndarray = ids[~self._is_special[ids]]
        return kept

    def _marked(self, encoded: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """Narrow ids with the begin and end marks put in, and their offsets."""
        before, after = ([] if mark is None else [mark] for mark in self.marks)
        num_marks = len(before) + len(after)
        offsets = encoded.offsets + np.arange(len(encoded.offsets)) * num_marks
        values = np.empty(offsets[-1], self.dtype)
        put_marks(
            encoded.ids,
            encoded.offsets,
            np.array(before, self.dtype),
            np.array(after, self.dtype),
            values,
        )
        return values, offsets


def _slices(texts: pa.StringArray) -> Iterator[pa.StringArray]:
    """The texts in order, those together that begin within the same `CALL_BYTES`."""
    bounds, _ = value_bounds(texts)
    starts = (bounds[:-1] - bounds[0]) // CALL_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(texts)]
    for first, end in pairwise(cuts):
        if first < end:
            yield texts.slice(first, end - first)


def _fast_engine(settings: Settings, reference: Engine) -> tuple[Engine | None, str | None]:
    """fastokens where it knows the model and agrees with the reference, else None and why."""
    try:
        fast = Fastokens(settings)
    except ValueError as exc:
        return None, f"fastokens does not know the model ({exc})"
    differing = first_difference(fast, reference)
    if differing is not None:
        return None, f"fastokens and tokenizers differ on {differing!r}"
    return fast, None


def _marking(wish: Marking, token_id: int | None, *, auto: bool) -> int | None:
    return token_id if wish == "always" or (wish == "auto" and auto) else None


def _replace(encoded: Ragged, rows: dict[int, np.ndarray]) -> Ragged:
    """The same texts with other ids for some of them."""
    if not rows:
        return encoded
    lengths = np.diff(encoded.offsets)
    parts, done = [], 0
    for row, ids in sorted(rows.items()):
        parts += [encoded.ids[done : encoded.offsets[row]], ids]
        lengths[row], done = len(ids), encoded.offsets[row + 1]
    return Ragged(np.concatenate([*parts, encoded.ids[done:]]), offsets_of(lengths))
