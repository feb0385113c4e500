"""Values of a column as a format's reader gives them: strings, or why a row has none."""

import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class Bad(NamedTuple):
    """A row that is no document: becomes one row of QUARANTINE."""

    row: int
    reason: str  # a code of `schema.REASONS`
    detail: str
    raw: bytes | None = None


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type may be a text: strings, bytes, dictionaries of them, null."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_null(kind)
    )


def as_binary(values: pa.Array) -> pa.Array:
    """Values as binary or large_binary, not yet checked to be UTF-8.

    Numbers, booleans and times become what Arrow prints for them, nested values JSON.
    """
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values
    if pa.types.is_dictionary(kind):
        return as_binary(values.cast(kind.value_type))
    if (
        pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
    ):
        return values.cast(pa.large_binary())
    if pa.types.is_nested(kind):
        # No kernel writes JSON; only a nested id, url or meta field comes here.
        return pa.array([_as_json(value) for value in values.to_pylist()], pa.binary())
    return values.cast(pa.string()).cast(pa.binary())


def as_string(values: pa.Array) -> pa.StringArray:
    """Bytes that are known to be UTF-8; only large_binary, with its other offsets, is copied."""
    view = pa.large_string() if pa.types.is_large_binary(values.type) else pa.string()
    return values.view(view).cast(pa.string())


def bad_values(
    rows: np.ndarray, name: str, values: pa.Array | None, wanted: str = "a string"
) -> list[Bad]:
    """Why each of the rows is no document: no such field, null, or a value of another type."""
    numbers = rows.tolist()
    if values is None:
        return [Bad(row, "missing_field", f"no field {name!r}") for row in numbers]
    pairs = zip(numbers, values, strict=True)
    return [_of_another_type(row, name, value, wanted) for row, value in pairs]


def _of_another_type(row: int, name: str, value: pa.Scalar, wanted: str) -> Bad:
    if not value.is_valid:
        return Bad(row, "null_text", f"{name!r} is null, want {wanted}")
    raw = str(value.as_py()).encode("utf-8", "backslashreplace")
    return Bad(row, "wrong_type", f"{name!r} is {value.type}, want {wanted}", raw)


def _as_json(value: object) -> bytes | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
