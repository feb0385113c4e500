"""Named entities by a spaCy pipeline: `{use: spacy, model: en_core_web_sm}`.

Needs the extra `headwater[spacy]`, and the pipeline installed or as a folder.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.text.pii.plugins.protocol import FOUND

# spaCy's labels (OntoNotes and WikiNER) and the kinds they become
DEFAULT_LABELS = MappingProxyType({"PERSON": "person", "PER": "person"})


@dataclass(frozen=True, kw_only=True)
class SpacyRecognizer:
    """Entities of some labels of a pipeline, which may hold an entity ruler or a model.

    A text longer than `max_chars` is read in pieces cut at spaces or line ends: spaCy refuses more
    than a million characters, and a parse needs about 1 GB for 100,000.
    """

    model: str
    labels: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_LABELS))
    max_chars: int = 100_000

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("spacy", self.model.replace("_", "-"))

    def load(self) -> None:
        """Raises `UsageError` where spaCy or the pipeline is not installed."""
        _pipeline(self.model)

    def find(self, texts: pa.StringArray) -> pa.RecordBatch:
        """One Python step per text and entity: the model's work is a thousand times that."""
        pieces = [
            (piece, (row, begin))
            for row, text in enumerate(texts.to_pylist())
            for begin, piece in split(text, self.max_chars)
        ]
        rows = [
            (row, begin + entity.start_char, begin + entity.end_char, kind)
            for doc, (row, begin) in _pipeline(self.model).pipe(pieces, as_tuples=True)
            for entity in doc.ents
            if (kind := self.labels.get(entity.label_))
        ]
        return found(rows)


def found(rows: list[tuple[int, int, int, str]]) -> pa.RecordBatch:
    """Tuples of row, begin, end and kind as a batch of schema `FOUND`."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    arrays = [pa.array(values, one.type) for values, one in zip(columns, FOUND, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=FOUND)


def split(text: str, max_chars: int) -> list[tuple[int, str]]:
    """Pieces of at most `max_chars`, each with where it begins; cut after white space if any."""
    pieces, begin = [], 0
    while len(text) - begin > max_chars:
        last = max(text.rfind(space, begin, begin + max_chars) for space in " \n")
        end = last + 1 if last >= begin else begin + max_chars
        pieces.append((begin, text[begin:end]))
        begin = end
    return [*pieces, (begin, text[begin:])]


@functools.lru_cache(maxsize=2)
def _pipeline(model: str) -> Any:
    try:
        import spacy
    except ImportError as exc:
        raise UsageError(
            "pii.recognizers: spacy is not installed; install headwater[spacy]"
        ) from exc
    try:
        return spacy.load(model)
    except OSError as exc:
        raise UsageError(
            f"pii.recognizers: spaCy has no pipeline {model!r}; install one, such as "
            "`python -m spacy download en_core_web_sm`, or give a folder"
        ) from exc
