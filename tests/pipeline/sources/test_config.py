"""A source's entry in the manifest: what belongs together, and messages that name it."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.sources import READERS, SourceConfig
from pipeline.sources.config import OPTIONS


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"format": "jsonl"}, "format 'jsonl' needs paths"),
        ({"format": "hf"}, "format 'hf' needs dataset"),
        ({"format": "python-environment"}, "needs part"),
        ({"format": "csv", "paths": ["a"], "per": "line"}, "per: no option of format 'csv'"),
        ({"format": "text", "paths": ["a"], "text_field": "t"}, "text_field: no option"),
        ({"format": "jsonl", "paths": ["a"], "streaming": True}, "streaming: no option"),
        ({"format": "hf", "dataset": "json", "paths": ["a"]}, "paths: no option of format 'hf'"),
        ({"format": "text", "paths": ["a"], "date_field": "t"}, "date_field: no option"),
        ({"format": "jsonl", "paths": ["a"], "priority": 1 << 15}, "32767"),
        ({"format": "xml", "paths": ["a"]}, "jsonl"),
        ({"format": "jsonl", "paths": ["a"], "validation_fraction": 1.0}, "less than 1"),
        ({"format": "jsonl", "paths": ["a"], "name": "a/b"}, "pattern"),
        ({"format": "jsonl", "paths": ["a"], "pathz": ["b"]}, "Extra inputs"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceConfig.model_validate({"name": "a", **config})


def test_every_format_has_a_reader_and_every_option_is_a_field() -> None:
    assert sorted(READERS) == sorted(OPTIONS)
    assert set().union(*OPTIONS.values()) <= set(SourceConfig.model_fields)
    hash(SourceConfig(name="a", format="jsonl", paths=("x",)))
