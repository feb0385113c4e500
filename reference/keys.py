"""The keys of a pydantic model as a person writes them in YAML."""

import json
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

PLAIN = {
    str: "text", int: "integer", float: "number", bool: "true or false", Path: "path",
    type(None): "null", Any: "any value",
}  # fmt: skip
BOUNDS = {Ge: ("ge", ">="), Gt: ("gt", ">"), Le: ("le", "<="), Lt: ("lt", "<")}


@dataclass(frozen=True)
class Key:
    """One key: its name, its type and default in words of YAML, what it means, its annotation."""

    name: str
    type: str
    default: str  # `required` where there is none
    meaning: str
    annotation: Any


def keys(model: type[BaseModel]) -> list[Key]:
    """The keys of a model, in the order of the model."""
    return [_key(name, info) for name, info in model.model_fields.items()]


def parts(key: Key) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a key's values are made of, with the step that leads to them."""
    yield from _parts(key.name, key.annotation)


def _key(name: str, info: FieldInfo) -> Key:
    shown = _with_bounds(_type(info.annotation), info.metadata)
    meaning = info.description or _summary(info.annotation)
    return Key(name, shown, _default(info), meaning, info.annotation)


def _summary(annotation: Any) -> str:
    """What the first section of a type says of itself, in its first sentence."""
    for _, model in _parts("", annotation):
        first = cleandoc(model.__doc__ or "").partition("\n\n")[0]
        return " ".join(re.split(r"(?<=[.;:])\s", first)[0].split()).rstrip(";:")
    return ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "" if info.default_factory is None or _takes_data(info) else _empty(info)
    return _yaml(value)


def _takes_data(info: FieldInfo) -> bool:
    """Whether the default follows from other keys; the meaning says how."""
    return bool(info.default_factory_takes_validated_data)


def _empty(info: FieldInfo) -> str:
    """The default that a factory makes; of a section it is its keys' own defaults."""
    value = info.get_default(call_default_factory=True, validated_data={})
    return "" if isinstance(value, BaseModel) else _yaml(value)


def _yaml(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False).replace('"', "")


def _type(annotation: Any) -> str:
    """A type in words: `integer`, `list of text`, `one of a, b`, `section or null`."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_bounds(_type(arguments[0]), arguments[1:])
    if origin is Literal:
        return " / ".join(str(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(argument) for argument in arguments))
    if origin is tuple:
        return _tuple(arguments)
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return str(getattr(annotation, "__name__", annotation))


def _tuple(arguments: tuple[Any, ...]) -> str:
    if arguments[-1] is Ellipsis:
        return f"list of {_type(arguments[0])}"
    return f"[{', '.join(_type(argument) for argument in arguments)}]"


def _with_bounds(shown: str, metadata: Any) -> str:
    """The type with its limits, such as `integer >= 1`; patterns and lengths are left to errors."""
    flat = [part for each in metadata for part in _flat(each)]
    if any(getattr(part, "pattern", None) for part in flat) and shown == "text":
        pattern = next(part.pattern for part in flat if getattr(part, "pattern", None))
        shown = "package.module:name" if ":" in pattern else shown
    limits = [
        f"{sign} {getattr(part, name)}"
        for part in flat
        for kind, (name, sign) in BOUNDS.items()
        if isinstance(part, kind) and not isinstance(part, MinLen | MaxLen)
    ]
    return " ".join([shown, " and ".join(limits)]).strip()


def _flat(part: Any) -> list[Any]:
    return list(part.metadata) if isinstance(part, FieldInfo) else [part]


def _parts(step: str, annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield step, annotation
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        arguments = arguments[:1]
    inner = {tuple: f"{step}[]", dict: f"{step}.NAME"}.get(origin, step)
    for argument in arguments[1:] if origin is dict else arguments:
        yield from _parts(re.sub(r"\[\]\[\]$", "[]", inner), argument)
