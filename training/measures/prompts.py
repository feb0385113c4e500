"""What samples begin with: beginnings of validation documents, or texts of the user's own.

Shards hold documents as they were stored, so a prompt shows what `pii` left of a text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from training.config.evaluation import MAX_SAMPLES, Samples
from training.errors import ConfigError
from training.measures.targets import scored_rows
from training.sources.corpus import Corpus, Rows

CHUNK_ROWS = 16  # gathered at a time: the first few nearly always do

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """Where a sample begins, and how its document goes on."""

    source: str  # empty: a text of the config
    key: str  # of the document, 32 hex digits; empty: a text of the config
    tokens: tuple[int, ...]
    following: tuple[int, ...] = ()


def document_prompts(
    corpus: Corpus, num_rows: int, samples: Samples, sequence_tokens: int
) -> tuple[Prompt, ...]:
    """The first documents of each source that are long enough, else the longest there are.

    They are of the rows that validation scores (`num_rows` of each source), in their order. A
    document of which nothing is learned, such as an erased one, is not taken. Where a loss mask
    leaves out its beginning, as of an instruction, the prompt is the end of that.
    A prompt is at most half of `sequence_tokens`, which a run may have fewer of than the shards.
    """
    each = min(samples.num_per_source, max(1, MAX_SAMPLES // max(1, len(corpus.sizes))))
    width = min(samples.prompt_tokens, max(1, sequence_tokens // 2))
    wanted = width + samples.new_tokens // 2
    prompts = [
        _prompt(size.name, key, tokens, learned, width, samples.new_tokens)
        for size, rows in zip(corpus.sizes, scored_rows(corpus, num_rows), strict=True)
        for key, tokens, learned in _first_documents(corpus, rows, each, wanted)
    ]
    return tuple(prompts[:MAX_SAMPLES])


def text_prompts(
    samples: Samples, encode: Encode, bos: int | None, width: int
) -> tuple[Prompt, ...]:
    """The texts of the config; `bos` precedes them where documents in the shards begin with it.

    Raises `ConfigError` for one of no tokens, or of `width` tokens or more.
    """
    prompts = []
    for number, text in enumerate(samples.prompts):
        tokens = [*([] if bos is None else [bos]), *encode(text)]
        if not 0 < len(tokens) < width:
            raise ConfigError(
                f"samples.prompts[{number}]: got {len(tokens)} tokens, want 1 to {width - 1}, "
                "which leaves room to write; give another text"
            )
        prompts.append(Prompt(source="", key="", tokens=tuple(tokens)))
    return tuple(prompts)


def bos_of(corpus: Corpus, bos_id: int | None) -> int | None:
    """`bos_id`, if the first document of the shards begins with it."""
    if bos_id is None or not corpus.num_rows:
        return None
    return bos_id if corpus.gather(np.array([0])).tokens[0, 0] == bos_id else None


Document = tuple[str, np.ndarray, np.ndarray]  # key, tokens, which are learned


def _first_documents(corpus: Corpus, rows: np.ndarray, count: int, wanted: int) -> list[Document]:
    """`count` documents of `wanted` tokens or more; where there are fewer, the longest of all."""
    short: list[Document] = []
    long: list[Document] = []
    for start in range(0, len(rows), CHUNK_ROWS):
        for document in _documents(corpus.gather(rows[start : start + CHUNK_ROWS])):
            (long if len(document[1]) >= wanted else short).append(document)
        if len(long) >= count:
            return long[:count]
    short.sort(key=lambda document: -len(document[1]))
    return [*long, *short][:count]


def _documents(rows: Rows) -> Iterator[Document]:
    """Pieces that begin a document and of which something is learned, of two tokens or more."""
    width = rows.tokens.shape[1]
    ends = (np.arange(len(rows.tokens)) * width + rows.num_tokens)[rows.pieces // width]
    ends = np.minimum(ends, np.append(rows.pieces[1:], rows.tokens.size))
    flat = rows.tokens.ravel()
    learned = np.ones(flat.size, bool) if rows.learned is None else rows.learned.ravel() != 0
    for number in np.flatnonzero((rows.token_starts == 0) & (ends - rows.pieces > 1)).tolist():
        inside = slice(int(rows.pieces[number]), int(ends[number]))
        if learned[inside].any():
            key = np.ascontiguousarray(rows.keys[number], dtype="<u8").tobytes().hex()
            yield key, flat[inside], learned[inside]


def _prompt(
    source: str, key: str, tokens: np.ndarray, learned: np.ndarray, width: int, num_new: int
) -> Prompt:
    first = int(learned.argmax())
    end = first if first > 0 else min(width, max(1, len(tokens) // 2))
    return Prompt(
        source=source,
        key=key,
        tokens=tuple(tokens[max(0, end - width) : end].tolist()),
        following=tuple(tokens[end : end + num_new].tolist()),
    )
