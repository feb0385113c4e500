"""What the manifest says of tokens: the tokenizer, and how its tokens are packed.

Apart from the code that obeys it, so that reading a manifest compiles no kernel.
"""

from typing import Literal

from pydantic import Field

from pipeline.configfile import Config

Marking = Literal["auto", "always", "never"]
Strategy = Literal["best_fit", "concat", "pad"]


class TokenizerConfig(Config):
    """A Hugging Face tokenizer, and which marks each document gets."""

    path: str = Field(
        min_length=1,
        description="A tokenizer's directory, relative to the manifest's folder, or a hub name.",
    )
    bos: Marking = Field(
        default="auto",
        description="The beginning-of-sequence token before each document; auto: where the "
        "tokenizer itself puts it.",
    )
    eos: Marking = Field(
        default="auto",
        description="The end-of-sequence token after each document, which separates documents; "
        "auto: where the tokenizer has one.",
    )


class PackConfig(Config):
    """How tokenised documents become rows of equal length."""

    sequence_tokens: int = Field(
        default=2048, ge=16, le=1 << 24, description="Tokens of a row (T)."
    )
    strategy: Strategy = Field(
        default="best_fit",
        description="best_fit cuts only documents longer than a row; concat cuts every T tokens; "
        "pad gives each document rows of its own.",
    )
    shard_tokens: int = Field(
        default=1 << 26, ge=1, description="Tokens of a part file, to the next whole document."
    )
