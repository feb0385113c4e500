"""What is measured while the run goes on, and where it is told."""

from pathlib import Path

from pydantic import Field

from pipeline.configfile import Config
from training.config.base import Count, Name

MAX_SAMPLES = 8  # of documents: a page that is read, and seconds of the run


class LmEval(Config):
    """Tasks of the `lm_eval` harness (extra `lm-eval`), from local YAML files, every `every` steps
    and at the end."""

    tasks: tuple[Path, ...] = Field(min_length=1, description="Local YAML files.")
    every: Count | None = None
    limit: Count | None = Field(default=None, description="Items of each task; left out: all.")


class Samples(Config):
    """What the model writes on from the same prompts at step 0, at evaluations and at the end.

    Prompts are the first `prompt_tokens` of `num_per_source` validation documents of each source,
    at most `MAX_SAMPLES` in all; or `prompts`, in their place. `every` (a multiple of `eval_every`)
    leaves out the evaluations between. Decoding is greedy, up to `new_tokens`.
    """

    prompts: tuple[Name, ...] = Field(
        default=(), description="Texts of your own to write on from, instead of documents."
    )
    num_per_source: Count = Field(default=2, description="Validation documents of each source.")
    prompt_tokens: Count = Field(default=32, description="Tokens of a document that are given.")
    new_tokens: Count = Field(default=48, description="Tokens that are written, at most.")
    every: Count | None = Field(
        default=None,
        description="Steps between samples, a multiple of `eval_every`; default: each evaluation.",
    )


class Wandb(Config):
    """Weights & Biases (extra `wandb`)."""

    project: Name = Field(description="Its project.")
    name: Name | None = Field(default=None, description="Of the run there.")
