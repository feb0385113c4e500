"""One entry of the manifest's `decontaminate`: an evaluation set that no document may hold."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.configfile import Config
from pipeline.sources.config import SourceConfig

Action = Literal["drop", "cut", "report"]
SetFormat = Literal["jsonl", "parquet", "csv", "tsv", "text", "arrow"]

COMPRESSED = frozenset({".gz", ".zst", ".bz2", ".xz"})
SUFFIXES: dict[str, SetFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".arrow": "arrow",
}
DEFAULT_MIN_WORDS = 8
DEFAULT_FIELDS = ("text",)

NonEmpty = Annotated[str, Field(min_length=1)]


class EvaluationSet(Config):
    """The items of a benchmark, and what becomes of a document that shares words with one.

    An item matches by its n-grams of words, each text field for itself. 13 words are those of GPT-3
    (Brown et al. 2020, arXiv:2005.14165, appendix C). A field of fewer words, but of `min_words`
    at least, matches as a whole; a shorter one matches nothing and is listed in the report.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="The set's name in rules and columns."
    )
    paths: tuple[NonEmpty, ...] = Field(
        min_length=1, description="Globs or fsspec URLs; local ones relative to the manifest."
    )
    format: SetFormat | None = Field(None, description="By the paths' suffixes if left out.")
    text_fields: tuple[NonEmpty, ...] = Field(
        DEFAULT_FIELDS,
        min_length=1,
        description="Fields of an item's text, each matched for itself.",
    )
    id_field: NonEmpty | None = Field(
        None, description="The item's name; its file and row if left out."
    )
    per: Literal["file", "line"] = Field("file", description="Of format text: what an item is.")
    ngram: int = Field(13, ge=1, le=64, description="Words that have to agree in a row.")
    min_words: int | None = Field(
        None, ge=1, description="A field of fewer words matches nothing; 8 if left out, or ngram."
    )
    min_overlap: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Least part of the n-grams of one field of an item that a document has to "
        "hold; 0 means any one n-gram.",
    )
    action: Action = Field(
        "drop",
        description="drop the document, cut the words that agree out of it, or only report it.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.min_words is not None and self.min_words > self.ngram:
            raise ValueError(
                f"min_words = {self.min_words} is more than ngram = {self.ngram}; want at most "
                "ngram: only fields that are shorter than an n-gram match as a whole"
            )
        if len(set(self.text_fields)) < len(self.text_fields):
            raise ValueError("text_fields: a field stands there twice; want each once")
        formats = {self.format_of(path) for path in self.paths}
        has_fields = self.text_fields != DEFAULT_FIELDS or self.id_field is not None
        if "text" in formats and has_fields:
            raise ValueError("text_fields, id_field: a text file has no fields; leave them out")
        return self

    @property
    def least_words(self) -> int:
        """Words of the shortest field that can match."""
        return min(DEFAULT_MIN_WORDS, self.ngram) if self.min_words is None else self.min_words

    def format_of(self, path: str) -> SetFormat:
        """`format`, or what the suffix says, before that of a compression."""
        if self.format is not None:
            return self.format
        suffixes = PurePosixPath(path.partition("::")[0]).suffixes
        while suffixes and suffixes[-1].lower() in COMPRESSED:
            suffixes.pop()
        suffix = suffixes[-1].lower() if suffixes else ""
        if suffix not in SUFFIXES:
            raise ValueError(
                f"paths: {path!r} does not tell its format; want one of {', '.join(SUFFIXES)} "
                "(.gz, .zst, .bz2 or .xz may follow), or `format`"
            )
        return SUFFIXES[suffix]

    def source(self, field: str, path: str) -> SourceConfig:
        """What to read one field of the items of a path from: a source with that text."""
        kind = self.format_of(path)
        if kind == "text":
            return SourceConfig(name=self.name, format=kind, paths=(path,), per=self.per)
        return SourceConfig(
            name=self.name, format=kind, paths=(path,), text_field=field, id_field=self.id_field
        )
