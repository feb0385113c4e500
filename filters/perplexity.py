"""Perplexity by a language model: by default an n-gram model of KenLM, as cc_net does it.

cc_net (Wenzek et al. 2020, arXiv:1911.00359, section 4.2) scores every line of a document as a
sentence, takes as the document's perplexity 10^(-sum of log10 p / sum of (words + 1 per line)), and
cuts the documents of a language in head, middle and tail at the 30th and the 60th percentile. Its
cut-offs are those of its own models on its own web pages, so here there are none built in:
`keep_buckets` fits them to the user's documents. What is done to the text before, and what of that
is not as in cc_net, stands in `filters.kernels.normalise`.

One threshold cannot tell another kind of text from garbage. Medians by a 5-gram model of 20 MB of
English documentation, on documents of over 1,000 characters:

    documents                           perplexity   oov_rate
    held out                               140        0.012
    the same, words shuffled             1,012        0.012
    English manual pages                   195        0.017
    English changelogs                     376        0.045
    English dictionary entries             622        0.040
    English package descriptions         1,196        0.087
    Japanese, French, German manuals   2,314, 6,449, 11,917    0.043, 0.280, 0.385

So `max_oov_rate` is a second rule, and percentiles of the user's documents are better than
constants. Scoring is KenLM's own and a fifth of it more: 14 MB/s of text on one core where the bare
library, on lines already normalised, does 17 (5-grams, probing; 51 MB of English documents).

datatrove 0.10.1 has no filter for this, but a `KenlmModel`, which scores SentencePiece's pieces by
models that it downloads. Given a model of words instead, and words in place of pieces, on 5,915
mixed documents:

- Of lines as they are normalised here it finds the same perplexity for all, to its one digit.
- Of lines as it normalises them itself, words being what stands between spaces, the median is 18.5
  times ours, and 3,754 documents (63.5 %) are in the same bucket of cc_net's.
- With line ends, which it removes as control characters, so that words run together: 4,203 (71.1
  %), at 12.2 times. With signs as words of their own, too: 5,757 (97.3 %), at 1.0 times. Those with
  the largest differences left have words of Chinese or Japanese, each character of which is a word
  here.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError, FilterError
from filters.models.buckets import BUCKETS, REST, fit_cutoffs, outside_buckets
from filters.models.hf_model import require_torch
from filters.models.kenlm_model import Scores, load_kenlm_model, normalise
from filters.parameters import FilePath, threshold
from filters.protocol import FAILURES, Bound, Signal, first_failure, signals
from filters.statistics import TextStatistics

LANGUAGE = "language.language"  # the signal of the filter `language`
Bucket = Literal["head", "middle", "tail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Perplexity:
    """Keep documents by how well a language model predicts them.

    `model` is a path, or paths by language, as `{en: lm/en.binary, de: lm/de.binary}`; then the
    filter `language` comes before, and a document of another language is kept or dropped by
    `unknown_language`. A file is a KenLM model, binary or ARPA, as `prepare fit-lm` makes it (pip
    extra `kenlm`); a folder is a Hugging Face causal LM (extra `train`).

    `max_perplexity`, `min_perplexity` and `max_oov_rate` are inclusive bounds. `keep_buckets` keeps
    those of cc_net's buckets: `head` is up to the first of the `percentiles`, `middle` up to the
    second, `tail` the rest. Their `cutoffs`, `{language: [head_max, middle_max]}` with those of all
    other documents under "", are fitted where they are not given: float64 percentiles of the
    perplexities, interpolated linearly; languages of fewer than `min_documents_to_fit` documents
    have the cut-offs of all documents. Until then no bucket drops anything.

    The rest is for causal LMs. A text is cut in windows of `max_tokens` tokens, each predicted from
    its own start, of which at most `max_windows`, spread evenly, are read. Windows of like length
    make batches of at most `batch_tokens`, on `device` (as "cpu", "cuda:0") in `dtype`. Signals are
    rounded to six digits, because the last ones differ with the windows in the batch.

    A document without words (null, blank) has no perplexity and does not pass any bound or bucket.
    """

    LIBRARIES: ClassVar = ("ufal-kenlm", "torch", "transformers")
    EXAMPLE: ClassVar = {"model": {"en": "lm/en.binary"}, "keep_buckets": ["head", "middle"]}
    SIGNALS: ClassVar = (
        Signal(
            "perplexity",
            pa.float64(),
            "of a word and line end (KenLM) or token (causal LM); null without words or model",
        ),
        Signal(
            "bits_per_byte",
            pa.float64(),
            "-log2 p per UTF-8 byte of the text that was scored, by KenLM the normalised one: what "
            "can be compared between languages and tokenizers; null as perplexity",
        ),
        Signal(
            "oov_rate",
            pa.float64(),
            "share of the words that the model lacks; null as perplexity, and of a causal LM",
        ),
        Signal("language", pa.string(), "as `language.language`; null where that is not there"),
    )
    FIT_PARAMETERS: ClassVar = ("percentiles", "min_documents_to_fit")
    FITTED_PARAMETERS: ClassVar = ("cutoffs",)
    PAPERS: ClassVar = (
        "Wenzek et al. 2020, arXiv:1911.00359, section 4.2",
        "Heafield 2011, KenLM: Faster and Smaller Language Model Queries",
    )

    model: FilePath | dict[str, FilePath]
    max_perplexity: float | None = threshold(None)
    min_perplexity: float | None = threshold(None)
    max_oov_rate: float | None = threshold(None)
    unknown_language: Literal["keep", "drop"] = threshold("drop")
    keep_buckets: tuple[Bucket, ...] = threshold(())
    percentiles: tuple[float, float] = threshold((30.0, 60.0))
    cutoffs: Mapping[str, tuple[float, float]] | None = threshold(None)
    min_documents_to_fit: int = threshold(100)
    max_tokens: int = 1024
    max_windows: int = 8
    batch_tokens: int = 4096
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        if not self.model or not all(self._paths.values()):
            raise FilterConfigError(f"perplexity: got model={self.model!r}, want a path")
        self._require_bounds()
        self._require_buckets()
        for name in ("max_tokens", "max_windows", "batch_tokens", "min_documents_to_fit"):
            if getattr(self, name) < 1:
                raise FilterConfigError(
                    f"perplexity: got {name}={getattr(self, name)}, want at least 1"
                )

    @property
    def files(self) -> tuple[str, ...]:
        """What `measure` reads besides the batch: another content, other signals."""
        return tuple(self._paths.values())

    @property
    def needs_fit(self) -> bool:
        """Whether buckets are asked for whose cut-offs are not known."""
        return bool(self.keep_buckets) and self.cutoffs is None

    def load(self) -> None:
        """Load the models. Raises FilterLoadError; FilterConfigError for a bound they know not."""
        for path in self._paths.values():
            self._scorer(path)
            if self.max_oov_rate is not None and Path(path).expanduser().is_dir():
                raise FilterConfigError(
                    f"perplexity: got max_oov_rate={self.max_oov_rate} and the causal LM {path}, "
                    "which knows every word; want a KenLM model, or no max_oov_rate"
                )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        languages = self._languages(batch)
        scores = Scores(*(np.full(batch.num_rows, np.nan) for _ in Scores._fields))
        for language, path in self._paths.items():
            texts, rows = shared.texts, slice(None)
            if isinstance(self.model, dict):
                mask = pc.fill_null(pc.equal(languages, language), False)
                texts, rows = texts.filter(mask), mask.to_numpy(zero_copy_only=False)
            if len(texts):
                for column, of_texts in zip(scores, self._scorer(path)(texts), strict=True):
                    column[rows] = of_texts
        columns = {
            name: pa.array(column, from_pandas=True)  # NaN is null
            for name, column in scores._asdict().items()
        }
        return signals(**columns, language=languages)

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.failures(measured)["rule"])

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """The rules `language`, `perplexity`, `oov_rate`, and `bucket` with the cut-off crossed."""
        failed = first_failure(measured, self.bounds())
        if self.keep_buckets and self.cutoffs is not None:
            values, languages = measured["perplexity"], measured["language"]
            outside = outside_buckets(values, languages, self.cutoffs, self.keep_buckets)
            failed = _where(pc.is_null(failed["rule"]), outside, failed)
        rule = pa.scalar("language" if self.unknown_language == "drop" else None, pa.string())
        none = pa.nulls(measured.num_rows, pa.float64())
        unknown = pa.RecordBatch.from_arrays(
            [pa.repeat(rule, measured.num_rows), none, none], schema=FAILURES
        )
        return _where(self._is_unknown(measured), unknown, failed)

    def fit(self, measured: pa.RecordBatch) -> dict[str, dict[str, tuple[float, float]]]:
        """`{"cutoffs": ...}`, from the signals of all documents of a source.

        Where none of them has a perplexity, which is in no bucket, the cut-offs are 0.
        """
        try:
            cutoffs = fit_cutoffs(
                measured["perplexity"],
                measured["language"],
                self.percentiles,
                self.min_documents_to_fit,
            )
        except ValueError:  # such as all in languages without a model, which `failures` judges
            cutoffs = {REST: (0.0, 0.0)}
        return {"cutoffs": cutoffs}

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound(
                "perplexity",
                self.min_perplexity,
                self.max_perplexity,
                "min_perplexity",
                "max_perplexity",
            ),
            Bound("oov_rate", maximum=self.max_oov_rate, maximum_name="max_oov_rate"),
        )

    def _is_unknown(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        """Rows of a language without a model."""
        if isinstance(self.model, str):
            return pa.repeat(False, measured.num_rows)
        return pc.invert(
            pc.is_in(measured["language"], value_set=pa.array(self.model, pa.string()))
        )

    def _languages(self, batch: pa.RecordBatch) -> pa.Array:
        if LANGUAGE in batch.schema.names:
            return batch[LANGUAGE].cast(pa.string())
        if isinstance(self.model, dict):
            raise FilterError(
                f"perplexity: got models by language and a batch without the column {LANGUAGE}; "
                "want the filter `language` before this one"
            )
        return pa.nulls(batch.num_rows, pa.string())

    def _scorer(self, path: str) -> Callable[[pa.Array], Scores]:
        """What scores texts by the model at `path`."""
        place = Path(path).expanduser()
        if not place.is_dir():
            model = load_kenlm_model(place)
            return lambda texts: model.score(normalise(texts))
        require_torch("perplexity")
        from filters.models.causal_model import Settings, load_causal_model  # torch: 2 s and 300 MB

        settings = Settings(self.max_tokens, self.max_windows, self.batch_tokens)
        return functools.partial(
            load_causal_model(place, self.device, self.dtype).score, settings=settings
        )

    @property
    def _paths(self) -> dict[str, str]:
        """Paths by language; of one model for all under ""."""
        return {"": self.model} if isinstance(self.model, str) else self.model

    def _require_bounds(self) -> None:
        minimum, maximum = self.min_perplexity, self.max_perplexity
        if minimum is not None and maximum is not None and not minimum <= maximum:
            raise FilterConfigError(
                f"perplexity: got min_perplexity={minimum}, max_perplexity={maximum}; "
                "want min_perplexity <= max_perplexity"
            )
        if self.max_oov_rate is not None and not 0 <= self.max_oov_rate <= 1:
            raise FilterConfigError(f"perplexity: got max_oov_rate={self.max_oov_rate}, want 0..1")

    def _require_buckets(self) -> None:
        for name in self.keep_buckets:
            if name not in BUCKETS:
                raise FilterConfigError(
                    f"perplexity: got {name!r} in keep_buckets, want of {', '.join(BUCKETS)}"
                )
        first, second = self.percentiles
        if not 0 <= first <= second <= 100:
            raise FilterConfigError(
                f"perplexity: got percentiles={self.percentiles}, want 0 <= first <= second <= 100"
            )
        if self.cutoffs is None:
            return
        if REST not in self.cutoffs:
            raise FilterConfigError(
                f"perplexity: got cutoffs of {', '.join(self.cutoffs) or 'nothing'}, "
                f'want those of all other documents too, under ""'
            )
        for language, (head, middle) in self.cutoffs.items():
            if not head <= middle:
                raise FilterConfigError(
                    f"perplexity: got cutoffs {head}, {middle} of {language!r}, "
                    "want head_max <= middle_max"
                )


def _where(mask: pa.BooleanArray, left: pa.RecordBatch, right: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of `left` where `mask` is true, else of `right`."""
    columns = map(functools.partial(pc.if_else, mask), left.columns, right.columns)
    return pa.RecordBatch.from_arrays([*columns], schema=left.schema)
