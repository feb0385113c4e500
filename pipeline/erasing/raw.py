"""Ids in the bytes of quarantined rows, which have no column of them.

Lines of JSON only: of other formats `raw` is a text, or bytes that no reader could cut into fields.
"""

import json
import re
from collections.abc import Mapping

import pyarrow as pa

from pipeline.manifest import Manifest

FORMAT = "jsonl"
VALUE = r'\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)'  # of a field, where the line is cut or broken


def id_fields(manifest: Manifest) -> Mapping[str, str]:
    """The field of the id of each source whose quarantined rows may hold one."""
    return {
        source.name: source.id_field
        for source in manifest.sources
        if source.format == FORMAT and source.id_field is not None
    }


def raw_ids(raw: pa.BinaryArray, field: str) -> pa.StringArray:
    """The id in each value, null where there is none; few rows, each read on its own."""
    return pa.array([_id_in(value, field) for value in raw.to_pylist()], pa.string())


def _id_in(raw: bytes | None, field: str) -> str | None:
    if raw is None:
        return None
    text = raw.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        found = re.search(re.escape(json.dumps(field, ensure_ascii=False)) + VALUE, text)
        return None if found is None else _said(found[1])
    return _as_id(value.get(field)) if isinstance(value, dict) else None


def _said(digits: str) -> str | None:
    try:
        return _as_id(json.loads(digits))
    except ValueError:  # an escape that JSON has not, or too many digits
        return None


def _as_id(value: object) -> str | None:
    """As the reader writes it."""
    if value is None:
        return None
    name = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return name.encode("utf-8", "replace").decode()  # a lone surrogate is in no column
