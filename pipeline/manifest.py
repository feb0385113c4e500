"""The data manifest: one YAML file that says what `prepare` reads, does and writes.

Relative paths are relative to the manifest's own folder, so a corpus means the same from anywhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from filters.protocol import edits
from filters.registry import create
from pipeline.configfile import Config, load
from pipeline.decontamination.config import EvaluationSet
from pipeline.dedup.config import DedupConfig
from pipeline.edits.config import EditsConfig
from pipeline.errors import ManifestError
from pipeline.sources.config import COMMON, OPTIONS, SourceConfig
from pipeline.strata import StrataConfig
from pipeline.suggest import did_you_mean
from pipeline.text.clean import CleanConfig
from pipeline.text.pii.config import PiiConfig
from pipeline.tokens.config import PackConfig, TokenizerConfig

SOURCES_KEY = "sources"  # of a filter: the sources that it applies to, all where it is left out


def _creatable(spec: dict[str, Any]) -> dict[str, Any]:
    named = spec.get(SOURCES_KEY)
    if named is not None and not (
        isinstance(named, list) and all(isinstance(n, str) for n in named)
    ):
        raise ValueError(f"sources: got {named!r}, want a list of names of sources")
    create(plugin_spec(spec))
    return spec


def plugin_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """What the plugin itself is given: `use` and its parameters."""
    return {key: value for key, value in spec.items() if key != SOURCES_KEY}


FilterSpec = Annotated[dict[str, Any], AfterValidator(_creatable)]


class Limits(Config):
    """When a run gives up on bad input."""

    max_quarantined_fraction: float = Field(
        default=0.01, ge=0, le=1, description="Of the rows read; above it the run fails."
    )
    max_document_bytes: int = Field(
        default=10_000_000, ge=1, description="UTF-8 bytes; a larger document is quarantined."
    )


class Manifest(Config):
    """A corpus: sources, what is done to them, and how they are packed."""

    version: Literal[1] = Field(description="Version of the manifest's format.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="The corpus name.")
    seed: int = Field(default=17, ge=0, description="Seed of everything random in `prepare`.")
    output: str = Field(description="Output directory, relative to the manifest's folder.")
    sources: tuple[SourceConfig, ...] = Field(min_length=1, description="What is read.")
    clean: CleanConfig = Field(default_factory=CleanConfig, description="Text repair.")
    pii: PiiConfig = Field(default_factory=PiiConfig, description="Anonymisation.")
    edits: EditsConfig | None = Field(
        default=None, description="What repeats across documents, dropped before the filters."
    )
    filters: tuple[FilterSpec, ...] = Field(
        default=(),
        description="In order; each names a plugin by `use` and, if not for all, its `sources`; "
        "the rest is the plugin's parameters.",
    )
    decontaminate: tuple[EvaluationSet, ...] = Field(
        default=(), description="Evaluation sets whose items no document may hold."
    )
    dedup: DedupConfig = Field(default_factory=DedupConfig, description="Deduplication.")
    tokenizer: TokenizerConfig = Field(description="A Hugging Face tokenizer.")
    strata: StrataConfig | None = Field(
        default=None, description="Parts the documents of a source by a signal, before packing."
    )
    pack: PackConfig = Field(default_factory=PackConfig, description="Packing into sequences.")
    limits: Limits = Field(default_factory=Limits, description="When a run gives up.")

    @field_validator("sources")
    @classmethod
    def _unique_names(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {', '.join(twice)}; want a name once each")
        return sources

    @field_validator("decontaminate")
    @classmethod
    def _unique_sets(cls, sets: tuple[EvaluationSet, ...]) -> tuple[EvaluationSet, ...]:
        names = [one.name for one in sets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sets are called {', '.join(twice)}; want a name once each")
        return sets

    @model_validator(mode="after")
    def _filters_name_sources(self) -> Self:
        known = [source.name for source in self.sources]
        for number, spec in enumerate(self.filters):
            for name in spec.get(SOURCES_KEY) or ():
                if name not in known:
                    raise ValueError(
                        f"filters.{number}.sources: got {name!r}, want of {', '.join(known)}"
                    )
        return self

    @model_validator(mode="after")
    def _segments_are_not_edited(self) -> Self:
        """Nothing says which author is left of a text out of whose middle something is cut."""
        for source in (source for source in self.sources if source.is_segmented):
            names = " and ".join(source.text_fields)
            why = f"source {source.name!r} learns only a part of its texts ({names}), and"
            if self.edits is not None:
                raise ValueError(
                    f"edits: {why} what repeats cannot be cut out of those; leave `edits` out, or "
                    "prepare the source by a manifest of its own: `train` takes several --shards"
                )
            for number, spec in enumerate(self.filters):
                own = spec.get(SOURCES_KEY) is None or source.name in spec[SOURCES_KEY]
                if own and edits(create(plugin_spec(spec))[1]):
                    raise ValueError(
                        f"filters.{number}: {why} {spec['use']} edits texts; name the other "
                        f"sources in its `sources`, or choose parameters that edit nothing"
                    )
            for one in self.decontaminate:
                if one.action == "cut":
                    raise ValueError(
                        f"decontaminate: {why} {one.name!r} cuts; want action drop or report"
                    )
        return self

    @field_validator("strata")
    @classmethod
    def _strata_name_sources(
        cls, strata: StrataConfig | None, info: ValidationInfo
    ) -> StrataConfig | None:
        known = [source.name for source in info.data.get("sources", ())]
        for name in (strata and strata.sources) or ():
            if known and name not in known:
                meant = did_you_mean(name, known)
                raise ValueError(f"sources: {name!r}{meant} is none; want of {', '.join(known)}")
        return strata

    @model_validator(mode="after")
    def _newest_has_dates(self) -> Self:
        if "newest" in self.dedup.survivor and not any(s.date_field for s in self.sources):
            raise ValueError(
                "dedup.survivor: 'newest' compares dates, and no source has a date_field; want "
                "the field of a date in one source at least, or no 'newest'"
            )
        return self

    def clean_of(self, source: str) -> CleanConfig:
        """What is cleaned of the documents of one source."""
        own = next(each for each in self.sources if each.name == source)
        return own.clean_over(self.clean)

    def strata_of(self, source: str) -> StrataConfig | None:
        """The strata of one source, or None where its documents are not parted."""
        strata = self.strata
        if strata is None or (strata.sources is not None and source not in strata.sources):
            return None
        return strata

    def filters_of(self, source: str) -> list[dict[str, Any]]:
        """The filters of one source, in order, as their plugins want them."""
        return [
            plugin_spec(spec)
            for spec in self.filters
            if spec.get(SOURCES_KEY) is None or source in spec[SOURCES_KEY]
        ]


def manifest_values(manifest: Manifest) -> dict[str, Any]:
    """All that a manifest says, defaults included, as it could have been written."""
    values = manifest.model_dump(mode="json")
    for source in values["sources"]:
        for name in source.keys() - OPTIONS[source["format"]] - COMMON:
            del source[name]  # an option of another format
        if source.get("completion_field") or source.get("messages_field"):
            del source["text_field"]  # of which these are the other kinds
    return values


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, for editors; `make schema` writes it to `data_manifests/`."""
    schema = Manifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def load_manifest(path: Path, overrides: Sequence[str] = ()) -> Manifest:
    """Read and validate a manifest. Raises `ManifestError` with line, field, got and wanted."""
    return load(path, Manifest, overrides, error=ManifestError)
