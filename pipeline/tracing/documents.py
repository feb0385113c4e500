"""The documents of a finished output, tokenised again as `prepare run` did it."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.explaining.finding import Place, find_keys
from pipeline.explaining.output import Output, doc_number
from pipeline.explaining.story import read_place
from pipeline.segments import COLUMN as SEGMENTS
from pipeline.segments import SEGMENTS as SEGMENTS_TYPE
from pipeline.shards import TokenizerIdentity
from pipeline.tokens.engines import read_settings
from pipeline.tokens.resolve import TOKENIZER_FILE
from pipeline.tokens.segments import SegmentTokenizer
from pipeline.tokens.tokenize import Tokenizer
from pipeline.tracing.characters import Aligner, Characters
from pipeline.tracing.traced import Document

MAX_CACHED = 64  # documents whose tokens are kept: the pieces of a long one are rows apart
COLUMNS = ("id", "source", "source_path", "source_row", "url", "text")


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A document, its stored text, and its own tokens."""

    document: Document
    text: str
    ids: np.ndarray  # (n,) uint16 or uint32, begin and end marks included
    characters: Characters  # of each of them


class Documents:
    """Finds and tokenises documents; the tokenizer is loaded when the first one is wanted."""

    def __init__(self, output: Output, identity: TokenizerIdentity) -> None:
        self._output = output
        self._identity = identity
        self._recent: OrderedDict[bytes, Tokenised] = OrderedDict()

    def __call__(self, keys: Iterable[bytes], source: str) -> dict[bytes, Tokenised]:
        """The documents of a source with these keys; those that are still there.

        Raises `PrepareError` where the output's copy of the tokenizer is not the one of the shards.
        """
        wanted = set(keys)
        found = {key: self._recent[key] for key in wanted & self._recent.keys()}
        found |= self._read(find_keys(self._output, wanted - found.keys(), source))
        self._recent.update(found)
        while len(self._recent) > MAX_CACHED:
            self._recent.popitem(last=False)
        return found

    def name(self, token_id: int) -> str | None:
        """A token as the vocabulary has it; None for an id of a gap."""
        return self._aligner.spelling.name(token_id)

    def _read(self, places: dict[bytes, Place]) -> dict[bytes, Tokenised]:
        docs = [doc_number(place.item, place.row) for place in places.values()]
        columns = self._output.read(np.array(docs, np.uint64), *self._columns(places.values()))
        found = {}
        for row, key in enumerate(places):
            values: dict[str, Any] = {name: column[row] for name, column in columns.items()}
            found[key] = self._tokenised(key, values)
        return found

    def _tokenised(self, key: bytes, values: dict[str, Any]) -> Tokenised:
        text = values["text"]
        ids, characters = self._encoded(text, values.get(SEGMENTS))
        read = read_place(self._output, values["source"], values)
        document = Document(values["id"], key.hex(), read, len(ids), len(text))
        return Tokenised(document, text, ids, characters)

    def _columns(self, places: Iterable[Place]) -> tuple[str, ...]:
        """All places are of one source."""
        names = {place.item.source for place in places}
        sources = (self._output.plan.source(name) for name in names)
        return (*COLUMNS, *((SEGMENTS,) if any(s.is_segmented for s in sources) else ()))

    def _encoded(
        self, text: str, segments: list[dict[str, Any]] | None
    ) -> tuple[np.ndarray, Characters]:
        """The tokens of a text, and their characters; of segments, each has its own."""
        column = pa.array([text], pa.string())
        if segments is None:
            ids = self._tokenizer.encode(column).values
            return ids, self._aligner.align(text, ids)
        parts = pa.array([segments], SEGMENTS_TYPE)
        ids = self._segment_tokenizer.encode(column, parts).values
        spans = self._segment_tokenizer.spans(text, parts)
        return ids, self._aligner.align_spans(text, ids, spans)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        folder = self._output.out / self._identity.path
        return Tokenizer(folder, self._identity, self._output.plan.manifest.tokenizer)

    @cached_property
    def _segment_tokenizer(self) -> SegmentTokenizer:
        folder = self._output.out / self._identity.path
        return SegmentTokenizer(folder, self._identity, self._output.plan.manifest.tokenizer)

    @cached_property
    def _aligner(self) -> Aligner:
        path = self._output.out / self._identity.path / TOKENIZER_FILE
        return Aligner(read_settings(path), self._identity)
