"""`dedup.index` of the data manifest: the finished corpora that this one is compared with."""

from typing import Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pipeline.configfile import Config


class IndexConfig(Config):
    """Where the index is, and what this corpus is called in it; a bare path stands for `path`."""

    path: str = Field(min_length=1, description="Folder of the index, relative to the manifest.")
    segment: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of this corpus in the index; null: the manifest's `name`.",
    )
    estimate: bool = Field(
        True,
        description="Where the text of an indexed document is gone, compare stored signatures "
        "with it instead; false: a document goes only after exact verification.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        return {"anyOf": [described, {"type": "string", "minLength": 1}]}
