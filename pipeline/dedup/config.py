"""The `dedup` section of the data manifest."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.configfile import Config

Policy = Literal["priority", "longest", "id"]

# Of an exact-only run: what near-duplicates use too, and only identical shingle sets pass.
EXACT_NGRAM, EXACT_THRESHOLD = 5, 1.0


class MinHashConfig(Config):
    """Near-duplicates: MinHash over word n-grams, banded, verified by exact Jaccard similarity.

    The chance that a pair of similarity s shares a bucket is 1 - (1 - s^rows)^bands: with 14 bands
    of 8 rows 0.92 at 0.8 and 0.57 at 0.7 (Leskovec, Rajaraman and Ullman, Mining of Massive
    Datasets, 3.4). bands = 14, rows = 8 and ngram = 5 are those of FineWeb (arXiv:2406.17557).
    """

    ngram: int = Field(5, ge=1, le=64, description="Words in a shingle.")
    num_perm: int = Field(112, ge=1, le=4096, description="Permutations in a signature.")
    bands: int = Field(14, ge=1, le=255, description="Bands, each one bucket of a document.")
    rows: int = Field(8, ge=1, le=255, description="Permutations in a band.")
    threshold: float = Field(
        0.8, gt=0, le=1, description="Least Jaccard similarity of a duplicate."
    )
    verify: bool = Field(True, description="Verify each candidate pair exactly; always true.")
    seed: int = Field(1, ge=0, lt=1 << 32, description="Seed of the permutations, as datasketch's.")

    @field_validator("verify")
    @classmethod
    def _is_verified(cls, verify: bool) -> bool:
        if not verify:
            raise ValueError(
                "want true, or no such key: a document goes only after exact verification"
            )
        return verify

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"bands * rows = {self.bands} * {self.rows} = {self.bands * self.rows} is more "
                f"than num_perm = {self.num_perm}; want bands * rows <= num_perm: raise num_perm "
                f"to {self.bands * self.rows}, or lower bands or rows"
            )
        return self


class DedupConfig(Config):
    """What counts as a duplicate, and which copy stays.

    `exact` puts documents of the same normalised words into one bucket, whatever their length.
    `minhash: null` leaves it at that. A document shorter than a shingle has no signature: it takes
    the exact path also where `exact` is false, or it would never be deduplicated.
    """

    exact: bool = Field(True, description="Find documents of the same normalised words.")
    minhash: MinHashConfig | None = Field(
        default_factory=MinHashConfig, description="Find near-duplicates; null to leave them."
    )
    survivor: tuple[Policy, ...] = Field(
        ("priority", "longest", "id"),
        description="Which copy stays: the first rule decides, the next ones break its ties.",
    )

    @field_validator("survivor")
    @classmethod
    def _is_an_order(cls, survivor: Sequence[Policy]) -> Sequence[Policy]:
        if len(set(survivor)) != len(survivor):
            raise ValueError("a rule stands twice; want each rule once")
        if "id" in survivor[:-1]:
            raise ValueError(
                "'id' leaves no ties, so what follows it would never decide; want 'id' last"
            )
        return survivor

    @property
    def ngram(self) -> int:
        """Words in a shingle."""
        return self.minhash.ngram if self.minhash else EXACT_NGRAM

    @property
    def threshold(self) -> float:
        """Least Jaccard similarity of two shingle sets for which one of the documents goes."""
        return self.minhash.threshold if self.minhash else EXACT_THRESHOLD
