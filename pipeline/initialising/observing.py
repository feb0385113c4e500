"""What the documents of each source are, read by its reader and measured by the filters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow import num_value_bytes
from pipeline.calibration.measuring import Measurement, measure
from pipeline.manifest import Manifest
from pipeline.plan import Plan
from pipeline.sampling import sample

NUM_DOCUMENTS = 200  # of a source, fewer where they are large
SAMPLE_BYTES = 8_000_000  # of a source's documents, one at least
LENGTH, LANGUAGE, QUALITY = range(3)
FILTERS: tuple[dict[str, Any], ...] = (
    {"use": "length", "min_chars": 100},
    {"use": "language", "keep": ["en"], "min_score": 0.0},
    {"use": "gopher_quality"},
)

Mask = np.ndarray


@dataclass(frozen=True, slots=True)
class Observed:
    """A sample of one source; arrays are by document, of those that have text.

    `kept` and `rules` are by place in `FILTERS`; `rules` has what each one drops first by.
    """

    num_documents: int
    num_bytes: int
    num_quarantined: int  # by the reader
    refused: float  # share of the documents that cannot be cleaned, and are quarantined then
    is_whole: bool
    language: tuple[str | None, ...]
    score: np.ndarray
    kept: np.ndarray  # (filters, documents) bool
    rules: tuple[tuple[tuple[str, int], ...], ...]

    @property
    def quarantined(self) -> float:
        """Share of the rows that cannot be read."""
        unread = self.num_quarantined / max(1, self.num_documents + self.num_quarantined)
        return unread + (1 - unread) * self.refused

    def languages(self, min_score: float = 0.0) -> list[tuple[str, float]]:
        """Languages with their shares of the documents, the most frequent first."""
        sure = [
            name
            for name, score in zip(self.language, self.score, strict=True)
            if name is not None and score >= min_score
        ]
        return [(name, n / max(1, len(self.language))) for name, n in Counter(sure).most_common()]

    def drops(self, place: int) -> float:
        """Share of the documents that a filter would drop."""
        return 1 - float(self.kept[place].mean()) if self.kept.shape[1] else 0.0

    def dropped_by_language(self, keep: Sequence[str], min_score: float) -> Mask:
        """Documents that a language filter would drop."""
        named = np.array([name in keep for name in self.language], bool)
        return ~(named & (self.score >= min_score))


def observe(source: Mapping[str, Any], base: Path, mean_bytes: float) -> Observed:
    """A sample of the documents of one source, as the manifest will have it.

    Raises `SourceError` where the source cannot be read at all.
    """
    number = int(min(NUM_DOCUMENTS, max(10, SAMPLE_BYTES / max(1.0, mean_bytes))))
    values = {
        "version": 1,
        "name": "sample",
        "output": "unused",
        "sources": [source],
        "filters": FILTERS,
        "tokenizer": {"path": "unused"},
    }
    plan = Plan(Manifest.model_validate(values), base, base / "unused")
    (found,) = sample(plan, number)
    documents = _bounded(found.documents)
    measured = measure(plan, [(found.source, documents)])
    language, score = _languages(measured)
    return Observed(
        num_documents=found.documents.num_rows,
        num_bytes=int(num_value_bytes(found.documents["text"]).sum()),
        num_quarantined=found.num_quarantined,
        refused=_refused(documents.num_rows, measured),
        is_whole=found.is_whole,
        language=language,
        score=score,
        kept=measured.kept(),
        rules=tuple(_rules(measured, place) for place in range(len(FILTERS))),
    )


def _bounded(documents: pa.RecordBatch) -> pa.RecordBatch:
    """Documents up to `SAMPLE_BYTES` together, one at least."""
    ends = np.cumsum(num_value_bytes(documents["text"]))
    return documents.slice(0, max(1, int(np.searchsorted(ends, SAMPLE_BYTES, side="right"))))


def _refused(num_documents: int, measured: Measurement) -> float:
    """A page that no parser should see is quarantined as it is cleaned, after it was read."""
    num_cleaned = measured.documents.num_rows + measured.num_empty
    return float(num_documents - num_cleaned) / max(1, num_documents)


def _languages(measured: Measurement) -> tuple[tuple[str | None, ...], np.ndarray]:
    for part in measured.parts:
        if part.place == LANGUAGE:
            names = part.signals["language"].to_pylist()
            score = pc.fill_null(part.signals["language_score"], 0.0)
            return tuple(names), score.to_numpy(zero_copy_only=False)
    return (), np.zeros(0)


def _rules(measured: Measurement, place: int) -> tuple[tuple[str, int], ...]:
    counted = [(name, int(mask.sum())) for name, mask in measured.rules(place)]
    return tuple(sorted(counted, key=lambda one: -one[1]))
