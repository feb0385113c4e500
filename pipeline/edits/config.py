"""The `edits` section of the data manifest: what repeats across documents and is dropped."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.configfile import Config

Scope = Literal["source", "corpus"]


class LinesConfig(Config):
    """Repeated lines: navigation, footers, licence headers.

    Llama 3 removes lines that stand more than 6 times in 30M documents (arXiv:2407.21783, 3.1.1);
    CCNet every repetition within a shard (arXiv:1911.00359, 3.1). Lines are compared by their
    case-folded words, so that numbers count and punctuation does not.
    """

    max_documents: int = Field(
        6, ge=1, description="A line of more distinct texts stays in the best-ranked one only."
    )
    min_words: int = Field(3, ge=1, description="A line of fewer words is left as it is.")
    scope: Scope = Field("corpus", description="Counted over the corpus, or over each source.")


class ParagraphsConfig(Config):
    """Repeated paragraphs: the text between blank lines.

    Dolma drops each repetition of a paragraph (arXiv:2402.00159, 5.1), there a line; here the
    count of the lines, because a quotation may stand in a few documents.
    """

    max_documents: int = Field(
        6, ge=1, description="A paragraph of more distinct texts stays in the best-ranked one only."
    )
    min_words: int = Field(10, ge=1, description="A paragraph of fewer words is left as it is.")
    scope: Scope = Field("corpus", description="Counted over the corpus, or over each source.")


class SubstringsConfig(Config):
    """Repeated substrings of at least `min_tokens` words, all but one occurrence.

    50 tokens are those of Lee et al. 2022 (arXiv:2107.06499, 4.1) and of RefinedWeb
    (arXiv:2306.01116, G.3), there of a BPE vocabulary, here words: a Chinese, Japanese or Thai
    character is a word.
    """

    min_tokens: int = Field(50, ge=5, description="Words; what repeats in fewer is left.")
    group_bytes: int = Field(
        100_000_000,
        ge=1_000_000,
        le=1_000_000_000,
        description="UTF-8 bytes of text that are compared with each other, in the order of the "
        "input; a worker holds about six times as much.",
    )


class EditsConfig(Config):
    """What is dropped from the texts before anything is measured of them."""

    lines: LinesConfig | None = Field(None, description="Repeated lines; null leaves them.")
    paragraphs: ParagraphsConfig | None = Field(
        None, description="Repeated paragraphs; null leaves them."
    )
    substrings: SubstringsConfig | None = Field(
        None, description="Repeated substrings; null leaves them."
    )

    @model_validator(mode="after")
    def _edits_something(self) -> Self:
        if self.lines is None and self.paragraphs is None and self.substrings is None:
            raise ValueError(
                "want lines, paragraphs or substrings, such as lines: {max_documents: 6}; leave "
                "`edits` out to edit nothing"
            )
        return self
