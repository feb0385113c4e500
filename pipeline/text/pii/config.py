"""What a manifest says about PII: which kinds, and what stands in their place."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline.configfile import Config
from pipeline.text.pii.kinds.phone import PHONE_REGIONS, check_regions
from pipeline.text.pii.plugins.registry import create
from pipeline.text.pii.registry import DEFAULT_KINDS, Kind

Mode = Annotated[
    Literal["tag", "pseudonym", "hash", "remove", "drop_document", "off"],
    BeforeValidator(lambda mode: "off" if mode is False else mode),  # YAML reads `off` as false
]
KEYED: frozenset[str] = frozenset({"pseudonym", "hash"})
MAX_SAMPLES = 1000


class PiiConfig(Config):
    """Which kinds of PII to look for, and what to write instead of each.

    `tag` writes `[EMAIL]`; `pseudonym` a value out of a range that is reserved for examples, the
    same one wherever the same value stands; `hash` writes `[EMAIL:kcbdmhtvbgqwnrjs]`; `remove`
    nothing; `drop_document` drops the documents that hold the kind; `off` does not look for it.
    """

    mode: Mode = Field(default="tag", description="Of every kind that `modes` does not name.")
    modes: dict[str, Mode] = Field(default_factory=dict, description="Modes of single kinds.")
    kinds: tuple[Kind, ...] = Field(
        default=DEFAULT_KINDS,
        description="Kinds to look for, those of `recognizers` aside. `private_ip`, addresses of"
        " private networks and of the machine itself, is looked for only if it is named here.",
    )
    phone_regions: tuple[str, ...] = Field(
        default=PHONE_REGIONS,
        description="Countries (ISO 3166-1: GB, not UK) whose telephone numbers are found as they"
        " are written at home; those that begin with + are found whatever the country.",
    )
    length_preserving: bool = Field(
        default=False,
        description="What is written has as many characters as what it replaces.",
    )
    key_env: str = Field(
        default="HEADWATER_PII_KEY",
        description="Environment variable of the key of `pseudonym` and `hash`.",
    )
    key_file: str | None = Field(
        default=None,
        description="File of that key instead, relative to the manifest's folder.",
    )
    recognizers: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="Plugins that find more kinds, such as names: `use` and their parameters.",
    )
    num_samples: int = Field(
        default=20,
        ge=0,
        le=MAX_SAMPLES,
        description="Masked contexts of each kind and source in the audit.",
    )

    @field_validator("kinds")
    @classmethod
    def _no_kind_twice(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("a kind stands there twice; name each at most once")
        return kinds

    @field_validator("phone_regions")
    @classmethod
    def _regions_exist(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        return check_regions(regions)

    @field_validator("recognizers")
    @classmethod
    def _creatable(cls, specs: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for spec in specs:
            create(spec)
        return specs

    @model_validator(mode="after")
    def _modes_name_kinds(self) -> Self:
        for kind in self.modes:
            if kind not in self.all_kinds:
                raise ValueError(
                    f"modes: {kind} is not among the kinds; want of {', '.join(self.all_kinds)}"
                )
        return self

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """`kinds`, then those of the plugins, each once."""
        found = dict.fromkeys(self.kinds)
        for spec in self.recognizers:
            found.update(dict.fromkeys(create(spec).kinds))
        return tuple(found)

    def mode_of(self, kind: str) -> Mode:
        """What becomes of a kind."""
        return self.modes.get(kind, self.mode)

    @property
    def active_kinds(self) -> tuple[str, ...]:
        """The kinds that are looked for."""
        return tuple(kind for kind in self.all_kinds if self.mode_of(kind) != "off")

    @property
    def needs_key(self) -> bool:
        return any(self.mode_of(kind) in KEYED for kind in self.all_kinds)

    @property
    def stores_tags(self) -> bool:
        """Whether the stored texts hold plain tags, and nothing else, where PII was."""
        modes = {self.mode_of(kind) for kind in self.active_kinds}
        return not self.length_preserving and modes <= {"tag", "drop_document"}
