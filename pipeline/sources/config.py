"""One entry of the manifest's `sources`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.configfile import Config
from pipeline.dedup.policy import MAX_PRIORITY

Format = Literal["jsonl", "parquet", "csv", "tsv", "text", "arrow", "hf", "python-environment"]

FIELDS = frozenset({"text_field", "id_field", "url_field", "date_field", "meta_fields"})
COMMON = frozenset({"name", "format", "validation_fraction", "priority"})
OPTIONS: dict[str, frozenset[str]] = {
    "jsonl": FIELDS | {"paths"},
    "parquet": FIELDS | {"paths"},
    "csv": FIELDS | {"paths"},
    "tsv": FIELDS | {"paths"},
    "arrow": FIELDS | {"paths"},
    "text": frozenset({"paths", "per"}),
    "hf": FIELDS | {"dataset", "config_name", "split", "data_files", "streaming"},
    "python-environment": frozenset({"part"}),
}
REQUIRED = {"hf": "dataset", "python-environment": "part"}  # of the others: paths

NonEmpty = Annotated[str, Field(min_length=1)]


class SourceConfig(Config):
    """Where documents come from, and which fields of a row make one.

    A row without the text field is quarantined; without the id field it is named after its file
    and row; without the url or a meta field that value is null. Values of the id, url, date and
    meta fields that are not strings become strings (`true`, `5`, nested ones as JSON). The date
    stands among the meta values; what is read of it is said in `pipeline.dates`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]  # also the mixing domain
    format: Format
    paths: tuple[NonEmpty, ...] = ()  # globs or fsspec URLs; local ones relative to the manifest
    text_field: NonEmpty = "text"
    id_field: NonEmpty | None = None
    url_field: NonEmpty | None = None
    date_field: NonEmpty | None = None  # ISO 8601, an epoch number or a time: for `newest`
    meta_fields: tuple[NonEmpty, ...] = ()
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # the larger survives across sources
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    per: Literal["file", "line"] = "file"  # text: what one document is
    dataset: NonEmpty | None = None  # hf: a folder, a builder (json, parquet, ...) or a hub name
    config_name: str | None = None  # hf
    split: NonEmpty = "train"  # hf
    data_files: tuple[NonEmpty, ...] = ()  # hf: for a builder; local ones relative to the manifest
    streaming: bool = False  # hf
    part: Literal["stdlib", "prose"] | None = None  # python-environment

    @model_validator(mode="after")
    def _options_belong_to_the_format(self) -> Self:
        allowed = OPTIONS[self.format]
        foreign = sorted(self.model_fields_set - allowed - COMMON)
        if foreign:
            raise ValueError(
                f"{', '.join(foreign)}: no option of format {self.format!r}, "
                f"which has {', '.join(sorted(allowed | COMMON))}"
            )
        required = REQUIRED.get(self.format, "paths")
        if not getattr(self, required):
            raise ValueError(f"format {self.format!r} needs {required}")
        return self

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """Names of the fields that become `meta`, each once: the meta fields and the date."""
        date = (self.date_field,) if self.date_field else ()
        return tuple(dict.fromkeys((*self.meta_fields, *date)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields to read, each once, the text first."""
        extra = (self.id_field, self.url_field, *self.stored_fields)
        return tuple(dict.fromkeys((self.text_field, *(name for name in extra if name))))
