"""Documents by any text classifier: of fastText, or of Hugging Face with a sequence head.

Such as an educational-value classifier: FineWeb-Edu (Penedo et al. 2024, arXiv:2406.17557) keeps
what a head of one output, trained on scores of 0 to 5, scores 3 or more, reading the first 512
tokens; DataComp-LM (Li et al. 2024, arXiv:2406.11794) keeps the best tenth by a fastText model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError
from filters.models.fasttext_classifier import Classified, load_fasttext_classifier
from filters.models.hf_model import require_torch
from filters.parameters import FilePath, threshold
from filters.protocol import FAILURES, Bound, Signal, first_failure, signals
from filters.statistics import TextStatistics

if TYPE_CHECKING:
    from filters.models.hf_classifier import SequenceClassifier

NUM_PIECES = 16  # of a sampled text
WHOLE = 1 << 29  # characters: over any text's


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """Keep documents by the score or the label that a classifier gives them.

    `model` is the path of a fastText model (.bin, .ftz), or the folder of a Hugging Face sequence
    classifier (pip extra `train`). `score` is the probability of `label`, or of several labels
    together; without one, that of the likeliest label. `min_score` and `max_score` are inclusive;
    `keep` (in Python `keep_labels`, because `keep` is the method) lists the labels of which the
    likeliest must be one.

    fastText reads a text as one line, white space of any kind and length as one space; of a text of
    more than `max_chars` characters sixteen pieces of together that many, spread evenly over it;
    null is all of it.

    The rest is for Hugging Face. Of a text the first `max_tokens` tokens are read. `activation` is
    what makes scores of outputs: softmax, sigmoid, none (a regression), or auto: by the model's
    `problem_type`, and none where it has a single output. Texts of like length make batches of at
    most `batch_tokens`, on `device` (as "cpu", "cuda:0") in `dtype`; scores are rounded to six
    digits, because the last ones differ with the texts in the batch.

    A document without a score (null, blank, of which a fastText model knows no word) passes no
    bound and no list of labels.
    """

    LIBRARIES: ClassVar = ("torch", "transformers")
    EXAMPLE: ClassVar = {"model": "models/quality", "min_score": 0.5}
    SIGNALS: ClassVar = (
        Signal("score", pa.float64(), "of `label`, else of the likeliest label; null without text"),
        Signal("label", pa.string(), "the likeliest label; null without text"),
    )
    PAPERS: ClassVar = (
        "Joulin et al. 2016, arXiv:1607.01759",
        "Penedo et al. 2024, arXiv:2406.17557, section 4",
        "Li et al. 2024, arXiv:2406.11794, section 4.4",
    )

    model: FilePath
    label: str | tuple[str, ...] = ()
    min_score: float | None = threshold(None)
    max_score: float | None = threshold(None)
    keep_labels: tuple[str, ...] = threshold((), name="keep")
    max_chars: int | None = None
    max_tokens: int = 512
    batch_tokens: int = 16_384
    activation: Literal["auto", "softmax", "sigmoid", "none"] = "auto"
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        if not self.model:
            raise FilterConfigError(f"classifier: got model={self.model!r}, want a path")
        minimum, maximum = self.min_score, self.max_score
        if minimum is not None and maximum is not None and not minimum <= maximum:
            raise FilterConfigError(
                f"classifier: got min_score={minimum}, max_score={maximum}; "
                "want min_score <= max_score"
            )
        if self.max_chars is not None and self.max_chars < NUM_PIECES:
            raise FilterConfigError(
                f"classifier: got max_chars={self.max_chars}, want at least {NUM_PIECES}, or null"
            )
        for name in ("max_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise FilterConfigError(
                    f"classifier: got {name}={getattr(self, name)}, want at least 1"
                )

    @property
    def files(self) -> tuple[str, ...]:
        """What `measure` reads besides the batch: another content, other signals."""
        return (self.model,)

    def load(self) -> None:
        """Load the model. Raises FilterLoadError; FilterConfigError for a label it lacks."""
        known = self._labels()
        for label in (*self._wanted, *self.keep_labels):
            if label not in known:
                raise FilterConfigError(
                    f"classifier: got the label {label!r}, want of the {len(known)} of "
                    f"{self.model}: {', '.join(sorted(known)[:10])}"
                )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        found = self._classified(shared)
        return signals(
            score=pa.array(found.score, from_pandas=True),  # NaN is null
            label=found.label.cast(pa.string()),
        )

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.failures(measured)["rule"])

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """The rules `score`, and `label` where it is not one of `keep`, with its score."""
        failed = first_failure(measured, self.bounds())
        if not self.keep_labels:
            return failed
        wanted = pa.array(self.keep_labels, pa.string())
        other = pc.invert(pc.is_in(measured["label"], value_set=wanted))
        columns = [
            pc.if_else(other, "label", failed["rule"]),
            pc.if_else(other, measured["score"], failed["value"]),
            pc.if_else(other, pa.scalar(None, pa.float64()), failed["threshold"]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=FAILURES)

    def bounds(self) -> tuple[Bound, ...]:
        return (Bound("score", self.min_score, self.max_score, "min_score", "max_score"),)

    @property
    def _wanted(self) -> tuple[str, ...]:
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def _path(self) -> Path:
        return Path(self.model).expanduser()

    def _labels(self) -> tuple[str, ...]:
        if not self._path.is_dir():
            return load_fasttext_classifier(self._path).labels
        return self._sequence_classifier().labels

    def _classified(self, shared: TextStatistics) -> Classified:
        if not self._path.is_dir():
            model = load_fasttext_classifier(self._path)
            chars, pieces = (self.max_chars, NUM_PIECES) if self.max_chars else (WHOLE, 1)
            return model.classify(*shared.sample(chars, pieces), self._wanted)
        classifier = self._sequence_classifier()
        chosen = self.activation
        return classifier.classify(
            shared.texts,
            self._wanted,
            classifier.default_activation if chosen == "auto" else chosen,
            self.max_tokens,
            self.batch_tokens,
        )

    def _sequence_classifier(self) -> "SequenceClassifier":
        require_torch("classifier")
        from filters.models.hf_classifier import load_sequence_classifier  # torch: 2 s and 300 MB

        return load_sequence_classifier(self._path, self.device, self.dtype)
