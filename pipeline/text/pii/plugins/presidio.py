"""Microsoft Presidio's recognisers: `{use: presidio, entities: {PERSON: person}}`.

Needs the extra `headwater[presidio]`. Presidio reads about 300 documents a second without a model,
and 30 with spaCy's small one: take it for the kinds that Headwater has not.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.text.pii.plugins.protocol import FOUND
from pipeline.text.pii.plugins.spacy import found, split

DEFAULT_ENTITIES = MappingProxyType({"PERSON": "person"})


@dataclass(frozen=True, kw_only=True)
class PresidioRecognizer:
    """Entities that Presidio's analyzer finds, with a score of at least `min_score`.

    `model` is a spaCy pipeline, installed or a folder; without one, texts are only split into
    tokens, and what needs a model (PERSON, LOCATION) is not found. Texts are read in pieces of
    `max_chars`, cut at white space.
    """

    entities: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_ENTITIES))
    language: str = "en"
    model: str | None = None
    min_score: float = 0.5
    max_chars: int = 100_000

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.entities.values()))

    @property
    def libraries(self) -> tuple[str, ...]:
        model = () if self.model is None else (self.model.replace("_", "-"),)
        return ("presidio-analyzer", "spacy", *model)

    def load(self) -> None:
        """Raises `UsageError` where Presidio or the model is not installed, or knows no entity."""
        known = _analyzer(self.language, self.model).get_supported_entities(self.language)
        if unknown := sorted(set(self.entities) - set(known)):
            raise UsageError(
                f"pii.recognizers: presidio finds no {', '.join(unknown)} in {self.language!r}; "
                f"want of {', '.join(sorted(known))}"
            )

    def find(self, texts: pa.StringArray) -> pa.RecordBatch:
        """One Python step per text and entity: Presidio's own work is a thousand times that."""
        analyzer, rows = _analyzer(self.language, self.model), []
        for row, text in enumerate(texts.to_pylist()):
            for begin, piece in split(text, self.max_chars):
                for result in analyzer.analyze(
                    text=piece,
                    language=self.language,
                    entities=list(self.entities),
                    score_threshold=self.min_score,
                ):
                    kind = self.entities[result.entity_type]
                    rows.append((row, begin + result.start, begin + result.end, kind))
        return found(rows) if rows else pa.RecordBatch.from_pylist([], schema=FOUND)


@functools.lru_cache(maxsize=2)
def _analyzer(language: str, model: str | None) -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as exc:
        raise UsageError(
            "pii.recognizers: presidio-analyzer is not installed; install headwater[presidio]"
        ) from exc
    engine: Any = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model or "blank"}])
    engine.nlp = {language: _spacy(language, model)}
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[language])


def _spacy(language: str, model: str | None) -> Any:
    if model is None:
        import spacy

        return spacy.blank(language)
    from pipeline.text.pii.plugins.spacy import _pipeline

    return _pipeline(model)
