"""The `dedup` section of the data manifest."""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.configfile import Config
from pipeline.dedup.index_config import IndexConfig
from pipeline.dedup.parameters import MAX_BANDS, MAX_ROWS, best_bands
from pipeline.dedup.policy import NamedRule, Rule, SignalRule, check_policy

Shingles = Literal["words", "characters"]
Similarity = Literal["jaccard", "containment"]

NGRAMS: dict[Shingles, int] = {"words": 5, "characters": 24}
SIGNING = {"shingles", "ngram", "num_perm", "bands", "rows", "seed", "signatures"}
# Of an exact-only run: what near-duplicates use too, and only identical shingle sets pass.
EXACT_NGRAM, EXACT_THRESHOLD = NGRAMS["words"], 1.0


class MinHashConfig(Config):
    """Near-duplicates: MinHash over shingles, banded, verified by exact similarity.

    The chance that a pair of Jaccard similarity s shares a bucket is 1 - (1 - s^rows)^bands: with
    14 bands of 8 rows 0.92 at 0.8 and 0.57 at 0.7 (Leskovec, Rajaraman and Ullman, Mining of
    Massive Datasets, 3.4). Where neither `bands` nor `rows` is given, they are those of the
    smallest weighted error at `candidate_threshold`. Every pair is verified, so a false positive
    costs a comparison and a false negative a duplicate: they weigh 0.05 and 0.95, with which 112
    permutations at 0.8 give 14 bands of 8 rows, FineWeb's numbers (arXiv:2406.17557), as is its
    ngram of 5 words. 24 characters are those of NVIDIA NeMo Curator, which advises 20 or more.

    `similarity: containment` finds a text inside a longer one, but only where the two meet in a
    bucket, and that is by Jaccard similarity: a text all of whose shingles stand in one k times as
    large has s = 1 / k. 14 bands of 8 rows find one in half of a document with the chance 0.05;
    a lower `candidate_threshold` finds more: 0.3 makes of 112 permutations 41 bands of 2 rows,
    which find half of a document with the chance 1.00 and a quarter with 0.93, for 216 bytes more
    of disk per document and many more comparisons.
    """

    shingles: Shingles = Field(
        "words",
        description="Of what a shingle is made: words, or characters of the words with one space "
        "between them. Chinese, Japanese, Thai, Lao, Khmer and Burmese words are one character.",
    )
    ngram: int = Field(
        default_factory=lambda data: NGRAMS[data["shingles"]],
        ge=1,
        le=64,
        description="Words or characters in a shingle. Left out: 5 words or 24 characters.",
    )
    num_perm: int = Field(112, ge=1, le=4096, description="Permutations in a signature.")
    threshold: float = Field(0.8, gt=0, le=1, description="Least similarity of a duplicate.")
    similarity: Similarity = Field(
        "jaccard",
        description="Of two documents: the share of shingles that both have among all of theirs, "
        "or containment, the share among those of the one that would go.",
    )
    candidate_threshold: float = Field(
        default_factory=lambda data: data["threshold"],
        gt=0,
        le=1,
        description="Jaccard similarity for which bands and rows are chosen. Left out: threshold.",
    )
    false_positive_weight: float = Field(
        0.05, ge=0, le=1, description="Of a pair below that shares a bucket, in choosing them."
    )
    false_negative_weight: float = Field(
        0.95, ge=0, le=1, description="Of a pair above that shares none, in choosing them."
    )
    bands: int = Field(
        default_factory=lambda data: _chosen(data)[0],
        ge=1,
        le=MAX_BANDS,
        description="Bands, each one bucket of a document. Left out with rows: chosen.",
    )
    rows: int = Field(
        default_factory=lambda data: _chosen(data)[1],
        ge=1,
        le=MAX_ROWS,
        description="Permutations in a band. Left out with bands: chosen.",
    )
    verify: bool = Field(True, description="Verify each candidate pair exactly; always true.")
    seed: int = Field(1, ge=0, lt=1 << 32, description="Seed of the permutations, as datasketch's.")
    signatures: bool = Field(
        False,
        description="Store whole signatures (4 * num_perm bytes a document) with the bands, as "
        "`datasketch.MinHash(scheme='affine32')` reads them.",
    )

    @field_validator("verify")
    @classmethod
    def _is_verified(cls, verify: bool) -> bool:
        if not verify:
            raise ValueError(
                "want true, or no such key: a document goes only after exact verification"
            )
        return verify

    @model_validator(mode="after")
    def _something_weighs(self) -> Self:
        if self.false_positive_weight == self.false_negative_weight == 0:
            raise ValueError(
                "false_positive_weight and false_negative_weight are both 0, so nothing chooses "
                "bands and rows; want one above 0, as the default 0.05 and 0.95"
            )
        return self

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        given = {"bands", "rows"} & self.model_fields_set
        if len(given) == 1:
            (name,) = given
            other = "rows" if name == "bands" else "bands"
            raise ValueError(
                f"{name} is given without {other}; want both, or neither to have them chosen from "
                "candidate_threshold and num_perm"
            )
        if self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"bands * rows = {self.bands} * {self.rows} = {self.bands * self.rows} is more "
                f"than num_perm = {self.num_perm}; want bands * rows <= num_perm: raise num_perm "
                f"to {self.bands * self.rows}, or lower bands or rows"
            )
        return self


def _chosen(data: dict[str, Any]) -> tuple[int, int]:
    """Bands and rows from the values before them, all of which are valid by then."""
    return best_bands(
        data["candidate_threshold"],
        data["num_perm"],
        data["false_positive_weight"],
        data["false_negative_weight"],
    )


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
    survivor: tuple[Rule, ...] = Field(
        ("priority", "longest", "id"),
        description="Which copy stays: the first rule decides, the next ones break its ties.",
    )

    index: IndexConfig | None = Field(
        None,
        description="Folder of an index of finished corpora: what they have goes, and what stays "
        "of this one is added. A path, or path, segment and estimate.",
    )

    @field_validator("survivor")
    @classmethod
    def _is_an_order(
        cls, survivor: tuple[NamedRule | SignalRule, ...]
    ) -> Sequence[NamedRule | SignalRule]:
        check_policy(survivor)
        return survivor

    @property
    def signing(self) -> dict[str, Any]:
        """What decides what `refine` writes of a document for deduplication, as JSON has it.

        The rest, such as `exact` and `threshold`, decides what is made of it: documents need not be
        read again for that, unless bands and rows are chosen by the threshold and change with it.
        """
        minhash = None if self.minhash is None else self.minhash.model_dump(include=SIGNING)
        return {"minhash": minhash, **self.model_dump(mode="json", include={"survivor"})}

    @property
    def ngram(self) -> int:
        """Words or characters in a shingle."""
        return self.minhash.ngram if self.minhash else EXACT_NGRAM

    @property
    def by_characters(self) -> bool:
        """Whether shingles are of characters, not of words."""
        return self.minhash is not None and self.minhash.shingles == "characters"

    @property
    def threshold(self) -> float:
        """Least similarity of two shingle sets for which one of the documents goes."""
        return self.minhash.threshold if self.minhash else EXACT_THRESHOLD

    @property
    def by_containment(self) -> bool:
        """Whether similarity is the share of one document's shingles, not of both documents'."""
        return self.minhash is not None and self.minhash.similarity == "containment"
