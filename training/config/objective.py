"""The terms of the loss: each a weight (`kl: 0.1`) or a mapping (`kl: {weight: 0.1, ...}`)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.configfile import Config
from training.config.base import Count, Fraction, ImportPath, Name, Positive, Share


class Weighted(Config):
    """A term by its weight alone."""

    weight: Positive = Field(default=1.0, description="Of the term in the sum.")

    @model_validator(mode="before")
    @classmethod
    def _number_is_the_weight(cls, value: Any) -> Any:
        # A string too: to YAML 1.1, `1e-4` without a dot is one.
        plain = isinstance(value, int | float | str) and not isinstance(value, bool)
        return {"weight": value} if plain else value


class ClmConfig(Weighted):
    """Causal cross-entropy, nats per target token; `label_smoothing` as Szegedy et al. 2016."""

    label_smoothing: Fraction = 0.0


class MlmConfig(Weighted):
    """BERT's masked language modelling (Devlin et al. 2019): of `probability` of the tokens, 80 %
    are masked, 10 % replaced, 10 % kept. `whole_word` draws words, not tokens."""

    probability: Share = 0.15
    whole_word: bool = False


class ZLossConfig(Weighted):
    """Square of the log of the softmax's denominator (Chowdhery et al. 2022: weight 1e-4)."""

    weight: Positive = Field(default=1e-4, description="Of the term in the sum.")


class KlConfig(Weighted):
    """Divergence from a frozen reference per token: `forward` KL(reference || model), `reverse`
    KL(model || reference). On the rows of the replayed source, or on all.

    `reference`: a model directory (default: the model at step 0). `device`: where it stands.
    `cache`: a directory for its `top_k` log-probabilities, computed before the first step; the rest
    of the vocabulary counts as one more id, so the divergence is a lower bound.
    """

    direction: Literal["forward", "reverse"] = Field(
        default="forward", description="KL(reference || model), or the other way round."
    )
    rows: Literal["replay", "all"] = Field(
        default="all", description="On the rows of the replayed source, or on all."
    )
    reference: Name | None = None
    device: Name | None = None
    cache: Path | None = None
    top_k: Count = 64


class EwcConfig(Weighted):
    """Elastic weight consolidation (Kirkpatrick et al. 2017): weight / 2 * sum F (w - w0)^2.

    F is of a sequence, as there: a weight of 1 / targets per sequence makes the term, to second
    order, a KL divergence per token.

    F is diagonal, on `num_sequences` rows of `source` (default: the replayed
    source), from the gradient of each sequence with labels drawn from the model. `fisher`: a file
    to read it from where it exists, else to write it to.
    """

    source: Name | None = None
    num_sequences: Count = 256
    fisher: Path | None = None


class ContrastiveConfig(Weighted):
    """Mean-pooled hidden states of two texts that belong together, against others.

    `info_nce`: cross-entropy over the cosines of a group / `temperature` (van den Oord et al.
    2018). `cosine_margin`: relu(margin - cos(a, b) + cos(a, other)). Without `pairs`, the two
    halves of a piece of a document of at least `min_tokens` tokens belong together, and the pieces
    of `group_rows` rows make a group. `pairs`: JSONL with `fields` (anchor, positive and maybe
    negative), `pairs_per_row` of them for each row of a step.
    """

    loss: Literal["info_nce", "cosine_margin"] = Field(
        default="info_nce", description="Against all others of the group, or against one."
    )
    temperature: Positive = 0.05
    margin: Positive = Field(default=0.2, description="Of `cosine_margin`.")
    group_rows: Count = 2
    min_tokens: Annotated[int, Field(ge=2)] = 32
    pairs: Path | None = None
    fields: Annotated[tuple[str, ...], Field(min_length=2, max_length=3)] = ("anchor", "positive")
    pairs_per_row: Count = 2
    max_tokens: Count = Field(default=256, description="A longer text of `pairs` is cut.")


class RelatedConfig(Weighted):
    """Two sections of one document against sections of two, told apart by a small classifier."""

    group_rows: Count = Field(default=2, description="Rows whose pieces make the pairs.")
    min_tokens: int = Field(default=32, ge=2, description="Of a piece that is used.")
    lr_multiplier: Positive = Field(
        default=1.0, description="The classifier's learning rate, in those of the model."
    )


class TeacherConfig(Weighted):
    """`mse` or `huber` between the logits of the model and of a teacher with the same vocabulary,
    averaged over the vocabulary, summed over tokens."""

    model: Name = Field(description="Directory or hub name of the teacher.")
    loss: Literal["mse", "huber"] = Field(default="mse", description="Of a difference of logits.")
    delta: Positive = Field(default=1.0, description="Of `huber`: where it becomes linear.")
    device: Name | None = Field(
        default=None, description="Where the teacher stands; left out: beside the model."
    )


class RegressionConfig(Weighted):
    """`mse` or `huber` between a number and a linear read-out of the mean-pooled hidden states, on
    the texts of a JSONL file."""

    records: Path = Field(description="The JSONL file.")
    text_field: Name = Field(default="text", description="The field that is the text.")
    label_field: Name = Field(default="label", description="The field that is the number.")
    loss: Literal["mse", "huber"] = Field(default="mse", description="Of a difference of numbers.")
    delta: Positive = Field(default=1.0, description="Of `huber`: where it becomes linear.")
    records_per_row: Count = Field(default=1, description="Records for each row of a step.")
    max_tokens: Count = Field(default=256, description="A longer text is cut.")


class RewardConfig(Weighted):
    """Minus the expected score of what the model writes after the first `prompt_tokens` of a row.

    `reinforce`: `function(texts) -> scores`; the baseline of a sample is the mean score of the
    other samples of its prompt (Kool et al. 2019). `gumbel`: straight-through Gumbel-softmax
    (Jang et al. 2017); `function(one_hot)` takes a tensor (samples, tokens, vocabulary) and
    returns differentiable scores.
    """

    function: ImportPath
    estimator: Literal["reinforce", "gumbel"] = Field(
        default="reinforce", description="How the gradient of the expectation is estimated."
    )
    prompt_tokens: Count = 32
    new_tokens: Count = Field(default=32, description="Written after each prompt.")
    samples: int = Field(default=4, ge=2, description="Of each prompt.")
    temperature: Positive = Field(default=1.0, description="Of the samples.")


class ObjectiveConfig(Config):
    """A weighted sum of terms; `package.module:function` as a key is a term of your own."""

    clm: ClmConfig | None = None
    mlm: MlmConfig | None = None
    z_loss: ZLossConfig | None = None
    kl: KlConfig | None = None
    ewc: EwcConfig | None = None
    contrastive: ContrastiveConfig | None = None
    related: RelatedConfig | None = None
    teacher: TeacherConfig | None = None
    regression: RegressionConfig | None = None
    reward: RewardConfig | None = None
    custom: dict[ImportPath, Positive] = Field(
        default_factory=dict,
        description="Terms of your own with their weights; each may stand beside the others as "
        "well, under its import path.",
    )

    @model_validator(mode="before")
    @classmethod
    def _own_terms(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        own = {key: weight for key, weight in value.items() if ":" in str(key)}
        rest = {key: item for key, item in value.items() if key not in own}
        return {**rest, "custom": {**rest.get("custom", {}), **own}} if own else value

    @model_validator(mode="after")
    def _terms_fit(self) -> "ObjectiveConfig":
        if self.clm is not None and self.mlm is not None:
            raise ValueError("a model is causal or masked: give clm or mlm, not both")
        names = set(type(self).model_fields) - {"custom", "ewc"}  # ewc alone has nothing to learn
        if not self.custom and all(getattr(self, name) is None for name in names):
            raise ValueError("no term to learn from; want at least one, such as {clm: 1.0}")
        if self.mlm is not None and self.reward is not None:
            raise ValueError("a masked model cannot write: leave reward out, or train with clm")
        return self
