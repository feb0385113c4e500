"""Strata: the documents of a source, parted by a signal before they are packed.

So a row is of one stratum, and a stratum is an entry of the trainer's mix (`domain/hard`) that a
weight or a curriculum can schedule; nothing needs an order inside one.
"""

from itertools import pairwise
from typing import Annotated, Self

import numpy as np
from pydantic import Field, FiniteFloat, field_validator, model_validator

from pipeline.configfile import Config

MISSING = "none"  # the stratum of documents whose signal is null or NaN

# A folder's name and half of a mix entry's: no dot, which parts the keys of `train --set`.
StratumName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class StrataConfig(Config):
    """Strata by the value of one signal: k edges make k + 1 strata.

    Stratum i holds values from `edges[i - 1]`, inclusive, up to `edges[i]`, exclusive; the first is
    open below, the last above. A null or a NaN is in none of them: such documents are a stratum
    `none` of their own, which exists only where there are some. A stratum without documents has no
    shards, so the trainer does not know it.
    """

    by: str = Field(
        min_length=1,
        description="A numeric signal that is stored with the documents, as `length.num_words`, or "
        "num_bytes, num_chars, num_tokens or num_duplicates of each document.",
    )
    edges: tuple[FiniteFloat, ...] = Field(
        min_length=1, description="Ascending; a document at an edge is above it."
    )
    names: tuple[StratumName, ...] = Field(
        default=(),
        description="Of the strata, lowest first; left out: stratum-0, stratum-1, ...",
    )
    sources: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="The sources to stratify; left out: all."
    )

    @field_validator("edges")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        for low, high in pairwise(edges):
            if low >= high:
                raise ValueError(f"want ascending edges, but {high:g} follows {low:g}")
        return edges

    @field_validator("names")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        # Folders of `Hard` and `hard` are one on some file systems.
        folders = [name.lower() for name in names]
        if len(set(folders)) < len(folders):
            raise ValueError("want names that differ, in more than upper and lower case")
        if MISSING in folders:
            raise ValueError(f"{MISSING!r} is the stratum of documents without a value; rename it")
        return names

    @model_validator(mode="after")
    def _a_name_for_each(self) -> Self:
        num_strata = len(self.edges) + 1
        if self.names and len(self.names) != num_strata:
            raise ValueError(
                f"{len(self.names)} names for {len(self.edges)} edges; want {num_strata}, one for "
                "each stratum, below the first edge to above the last"
            )
        return self

    def applies_to(self, source: str) -> bool:
        """Whether the documents of a source are stratified."""
        return self.sources is None or source in self.sources

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names by stratum number; the last is `MISSING`."""
        default = (f"stratum-{number}" for number in range(len(self.edges) + 1))
        return (*(self.names or default), MISSING)


def stratum_numbers(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """The stratum of each value (n), int64: 0..len(edges), and len(edges) + 1 for a NaN."""
    numbers = np.searchsorted(np.asarray(edges), values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, numbers).astype(np.int64)
