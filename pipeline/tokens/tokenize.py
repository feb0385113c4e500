"""Texts to token ids, in the worker processes: fast where that is safe, right everywhere.

fastokens encodes; Hugging Face `tokenizers` encodes each document that fastokens refuses (SmolLM2
has no token for 21 bytes, which 1 document in 6,000 holds), and all of them where the two differ
on a built-in sample. One document in 4,096, chosen by its hash, is encoded by both: what a
document becomes is a function of that document, never of the batch or the worker that it met.

A special token that stands literally in a text (`<|endoftext|>` in a web page) is ordinary text.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import PrepareError
from pipeline.files import file_hash
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
)
from pipeline.tokens.kernels import put_marks, rows_with
from pipeline.tokens.resolve import RECORD_FILE, TOKENIZER_FILE

AUDITED = 1 << 12  # 1 of so many documents; the other engine is 50 times slower: 1 to 2 %


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of n documents, begin and end marks included.

    `values` uint16 or uint32, flat; `offsets` int64 (n + 1), the first 0. `num_fallback` counts
    the documents that only `tokenizers` could encode, `num_mismatched` those on which the two
    engines differed and `tokenizers` was believed.
    """

    values: np.ndarray
    offsets: np.ndarray
    num_fallback: int = 0
    num_mismatched: int = 0

    @property
    def num_empty(self) -> int:
        """Documents without any token: all of it unknown to the model, and no mark asked for."""
        return int(np.count_nonzero(np.diff(self.offsets) == 0))


class Tokenizer:
    """Encodes batches of documents; one a process, in one thread.

    `directory` holds the copy that `resolve_tokenizer` made. `engine` names the library that
    encodes, `reason` says why it is not fastokens, or is None.
    Raises `PrepareError` where the copy is not the one of `identity`.
    """

    def __init__(
        self, directory: Path, identity: TokenizerIdentity, config: TokenizerConfig
    ) -> None:
        path = directory / TOKENIZER_FILE
        if not path.is_file() or file_hash(path) != identity.fingerprint:
            raise PrepareError(
                f"{path}: missing or changed since the run began, want the file with xxh3-128 "
                f"{identity.fingerprint}; remove {directory} and run `prepare run` again"
            )
        settings = read_settings(path)
        self._reference = HuggingFace(settings)
        self._fast, self.reason = _fast_engine(settings, self._reference)
        self.engine = "tokenizers" if self._fast is None else "fastokens"
        self._special = settings.special
        self._is_special = np.zeros(identity.num_ids, bool)
        self._is_special[list(settings.special.values())] = True
        # The longest first, so that "<|im_start|>" is not found as a shorter one inside it.
        contents = sorted(settings.special, key=lambda content: (-len(content), content))
        self._literal = re.compile("|".join(map(re.escape, contents)))
        record = json.loads((directory / RECORD_FILE).read_text(encoding="utf-8"))
        self._marks = (
            _marking(config.bos, identity.bos_id, auto=record["adds_bos"]),
            _marking(config.eos, identity.eos_id, auto=True),
        )
        self.dtype = token_type(identity.num_ids).to_pandas_dtype()

    def encode(self, texts: pa.StringArray) -> Tokens:
        """Token ids of texts without nulls; an empty batch gives no ids and one offset."""
        # Both libraries take a list of str and nothing else; making it takes 16 % of the time.
        rows: list[str] = texts.to_numpy(zero_copy_only=False).tolist()
        encoded, num_fallback = self._encode(rows)
        differing = self._differing(texts, rows, encoded)
        encoded = _replace(encoded, differing)
        encoded = _replace(encoded, self._literals(rows, encoded))
        values, offsets = self._marked(encoded)
        return Tokens(values, offsets, num_fallback, num_mismatched=len(differing))

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

    def _differing(
        self, texts: pa.StringArray, rows: list[str], encoded: Ragged
    ) -> dict[int, np.ndarray]:
        """The audit: documents chosen by hash whose ids are not those of the reference."""
        if self._fast is None or not rows:
            return {}
        chosen = np.flatnonzero(key_words(hash_values(texts))[:, 1] % AUDITED == 0)
        expected = self._reference.encode([rows[row] for row in chosen.tolist()])
        return {
            row: expected[i]
            for i, row in enumerate(chosen.tolist())
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
        before, after = ([] if mark is None else [mark] for mark in self._marks)
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
