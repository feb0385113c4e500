"""One entry of the manifest's `sources`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_serializer, model_validator

from pipeline.configfile import Config
from pipeline.dedup.policy import MAX_PRIORITY
from pipeline.text.clean import CODE, CleanConfig

Format = Literal[
    "jsonl",
    "parquet",
    "csv",
    "tsv",
    "text",
    "html",
    "warc",
    "arrow",
    "hf",
    "python-environment",
]

FIELDS = frozenset(
    {"text_field", "prompt_field", "completion_field", "messages_field"}
    | {"id_field", "url_field", "date_field", "meta_fields"}
)
COMMON = frozenset({"name", "format", "validation_fraction", "priority", "code", "clean"})
OPTIONS: dict[str, frozenset[str]] = {
    "jsonl": FIELDS | {"paths"},
    "parquet": FIELDS | {"paths"},
    "csv": FIELDS | {"paths"},
    "tsv": FIELDS | {"paths"},
    "arrow": FIELDS | {"paths"},
    "text": frozenset({"paths", "per"}),
    "html": frozenset({"paths"}),
    "warc": frozenset({"paths", "id_field", "date_field", "meta_fields"}),
    "hf": FIELDS | {"dataset", "config_name", "split", "data_files", "streaming"},
    "python-environment": frozenset({"part"}),
}
REQUIRED = {"hf": "dataset", "python-environment": "part"}  # of the others: paths

NonEmpty = Annotated[str, Field(min_length=1)]
MESSAGE_SEPARATOR = "\n\n"  # between the messages of a conversation, in the text that is stored


class SourceConfig(Config):
    """Where documents come from, and which fields of a row make one.

    A row without the text field is quarantined; without the id field it is named after its file
    and row; without the url or a meta field that value is null. Values of the id, url, date and
    meta fields that are not strings become strings (`true`, `5`, nested ones as JSON). The date
    stands among the meta values; what is read of it is said in `pipeline.dates`.

    Of `warc` the fields are those of a record's header, such as `WARC-Record-ID`, in any case, and
    what every document has: `warc_date` and `content_type`.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Of the source, and of what `train` mixes it by.",
    )
    format: Format = Field(description="How its files are read.")
    paths: tuple[NonEmpty, ...] = Field(
        default=(),
        description="Globs or fsspec URLs; local ones are relative to the manifest. Compression is "
        "found by content.",
    )
    text_field: NonEmpty = Field(default="text", description="The field that is the text.")
    prompt_field: NonEmpty | None = Field(
        default=None,
        description="With completion_field, instead of text_field: the text is the prompt and the "
        "completion, of which only the completion is learned.",
    )
    completion_field: NonEmpty | None = Field(
        default=None, description="What is learned; goes with prompt_field."
    )
    messages_field: NonEmpty | None = Field(
        default=None,
        description="Instead of text_field: a conversation, a list of {role, content}; tokens are "
        "those of the tokenizer's chat template, and only what the assistant says is learned.",
    )
    id_field: NonEmpty | None = Field(
        default=None, description="A document's name. Left out: its file and row."
    )
    url_field: NonEmpty | None = Field(default=None, description="A document's URL.")
    date_field: NonEmpty | None = Field(
        default=None,
        description="A document's date, ISO 8601, an epoch number or a time: for the survivor "
        "`newest`.",
    )
    meta_fields: tuple[NonEmpty, ...] = Field(
        default=(), description="Other fields that stay with the document."
    )
    validation_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Of the documents, by the hash of their text, that are held out.",
    )
    priority: int = Field(
        default=0,
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
        description="Of copies in several sources that of the larger survives.",
    )
    code: bool = Field(
        default=False,
        description="Program text: `clean` leaves it as it is written (white space, HTML, Unicode, "
        "hyphens), but for controls, invisible characters and line ends.",
    )
    clean: CleanConfig | None = Field(
        default=None,
        description="What of `clean` is otherwise for this source; the keys that are named here.",
    )
    per: Literal["file", "line"] = Field(
        default="file", description="Format `text`: what one document is."
    )
    dataset: NonEmpty | None = Field(
        default=None,
        description="Format `hf`: a folder, a builder (json, parquet, ...) or a hub name.",
    )
    config_name: str | None = Field(
        default=None, description="Format `hf`: the configuration of the dataset."
    )
    split: NonEmpty = Field(default="train", description="Format `hf`: which split is read.")
    data_files: tuple[NonEmpty, ...] = Field(
        default=(),
        description="Format `hf`: what a builder reads; local ones relative to the manifest.",
    )
    streaming: bool = Field(
        default=False, description="Format `hf`: read while loading, without a copy on disk."
    )
    part: Literal["stdlib", "prose"] | None = Field(
        default=None,
        description="Format `python-environment`: the standard library as code, or what the "
        "installed packages say of themselves.",
    )

    @field_serializer("clean")
    def _clean_as_given(self, clean: CleanConfig | None) -> dict[str, Any] | None:
        """Without defaults, which read back would override the manifest's `clean`."""
        return None if clean is None else clean.model_dump(mode="json", exclude_unset=True)

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

    @model_validator(mode="after")
    def _one_kind_of_text(self) -> Self:
        pair = [name for name in ("prompt_field", "completion_field") if getattr(self, name)]
        if len(pair) == 1:
            raise ValueError(
                f"{pair[0]}: want prompt_field and completion_field together, for what is learned "
                "is the completion of a prompt"
            )
        kinds = [*pair[:1], *(["messages_field"] if self.messages_field else [])]
        if kinds and "text_field" in self.model_fields_set:
            kinds.append("text_field")
        if len(kinds) > 1:
            raise ValueError(
                f"{', '.join(kinds)}: want one of text_field, prompt_field with completion_field, "
                "or messages_field: each makes the whole text"
            )
        return self

    def clean_over(self, base: CleanConfig) -> CleanConfig:
        """What is cleaned here: the source's own keys over those of code over the manifest's.

        Where several fields make a text, `html: auto` of the manifest is `never`.
        """
        own = {} if self.clean is None else self.clean.model_dump(exclude_unset=True)
        kind = CODE if self.code else {}
        if self.is_segmented and base.html == "auto":
            kind = {**kind, "html": "never"}  # an answer may be about HTML, and keeps its markup
        return CleanConfig.model_validate({**base.model_dump(), **kind, **own})

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """Names of the fields that become `meta`, each once: the meta fields and the date."""
        date = (self.date_field,) if self.date_field else ()
        return tuple(dict.fromkeys((*self.meta_fields, *date)))

    @property
    def is_segmented(self) -> bool:
        """Whether several fields or messages make a text, of which a part is learned."""
        return self.completion_field is not None or self.messages_field is not None

    @property
    def separator(self) -> str:
        """What stands in the text between two of its segments."""
        return "" if self.messages_field is None else MESSAGE_SEPARATOR

    @property
    def text_fields(self) -> tuple[str, ...]:
        """The fields that a row must have: its text is made of them."""
        if self.messages_field is not None:
            return (self.messages_field,)
        if self.prompt_field is not None and self.completion_field is not None:
            return (self.prompt_field, self.completion_field)
        return (self.text_field,)

    @property
    def other_fields(self) -> tuple[str, ...]:
        """Names of the fields beside the text, each once."""
        names = (self.id_field, self.url_field, *self.stored_fields)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields to read, each once, the text first."""
        return tuple(dict.fromkeys((*self.text_fields, *self.other_fields)))
