"""YAML files into frozen pydantic models, with errors that name the line.

Shared by the data manifest and the train config: the one reader, the one way to override.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pipeline.suggest import did_you_mean

Location = tuple[int | str, ...]
Model = TypeVar("Model", bound="Config")


class Config(BaseModel):
    """Base of every config value: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load(
    path: Path,
    model: type[Model],
    overrides: Sequence[str] = (),
    *,
    error: type[Exception],
) -> Model:
    """Read `path` as YAML, apply `key.path=value` overrides, validate as `model`.

    Raises `error` with one message that gives file, line, field, the value got and what is wanted.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as exc:
        raise error(
            f"{path}: cannot be read ({exc.strerror}); give the path of a YAML file"
        ) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise error(f"{path}: not valid YAML: {' '.join(str(exc).split())}") from exc
    try:
        # CSafeLoader would be faster, but a config is small and SafeLoader gives the same marks.
        values = yaml.safe_load(path.read_text(encoding="utf-8")) if root is not None else {}
    except yaml.YAMLError as exc:
        raise error(f"{path}: not valid YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(values, dict):
        raise error(f"{path}:1: got a {type(values).__name__}, want a mapping of keys to values")
    for override in overrides:
        set_value(values, override, error)
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise error(_message(path, root, model, exc.errors(), overrides)) from exc


def validate(
    values: Mapping[str, Any],
    model: type[Model],
    overrides: Sequence[str] = (),
    *,
    error: type[Exception],
) -> Model:
    """The same for values that are there already, as a notebook has them; they stay as they are.

    Raises `error` with a message as `load` has it, without a file and its lines.
    """
    changed = copy.deepcopy(dict(values))
    for override in overrides:
        set_value(changed, override, error)
    try:
        return model.model_validate(changed)
    except ValidationError as exc:
        try:
            root = yaml.compose(yaml.safe_dump(dict(values)), Loader=yaml.SafeLoader)
        except yaml.YAMLError:  # values that no file could hold
            root = None
        raise error(_message(None, root, model, exc.errors(), overrides)) from exc


def set_value(values: dict[str, Any], override: str, error: type[Exception]) -> None:
    """Apply one `a.0.b=value` override in place; the value is read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise error(f"--set {override}: want KEY=VALUE, such as --set filters.0.min_score=0.8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise error(f"--set {override}: the value is not valid YAML") from exc
    *parents, last = key.split(".")
    node: Any = values
    for depth, part in enumerate(parents):
        node = _child(node, part, ".".join(parents[: depth + 1]), override, error)
    if isinstance(node, list):
        node[_index(node, last, override, error)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise error(f"--set {override}: {'.'.join(parents)} is {node!r}, which has no {last!r}")


def _child(node: Any, part: str, path: str, override: str, error: type[Exception]) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override, error)]
    if isinstance(node, dict):
        if node.get(part) is None:
            node[part] = {}
        return node[part]
    raise error(f"--set {override}: {path} is not a mapping or a list")


def _index(node: list[Any], part: str, override: str, error: type[Exception]) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise error(f"--set {override}: got index {part!r}, want one of 0..{len(node) - 1}")
    return int(part)


def _message(
    path: Path | None,
    root: yaml.Node | None,
    model: type[BaseModel],
    errors: list[ErrorDetails],
    overrides: Sequence[str],
) -> str:
    lines = []
    for detail in errors:
        if _follows(detail, errors):
            continue
        location = tuple(part for part in detail["loc"] if not _is_tag(root, part))
        field = ".".join(map(str, location)) or "(top level)"
        override = next((o for o in overrides if _overlap(o.partition("=")[0], field)), None)
        where = "" if path is None else f"{path}:{_line(root, location)}: "
        where = f"--set {override}: " if override else where
        lines.append(f"{where}{field}: {_what(detail, model, location)}")
    return "\n".join(lines)


def _follows(detail: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether it is about nothing but what another error is about."""
    if detail["type"] == "too_short":  # pydantic does not count the members that are wrong
        place = detail["loc"]
        return any(len(e["loc"]) > len(place) and e["loc"][: len(place)] == place for e in errors)
    return detail["type"] == "default_factory_not_called"


def _overlap(key: str, field: str) -> bool:
    """Whether one dotted path leads to the other, or to something inside it."""
    return f"{field}.".startswith(f"{key}.") or f"{key}.".startswith(f"{field}.")


# Names of pydantic's validators, which it puts into locations: of functions, unions, models.
_TAG = re.compile(r"(function|constrained|lax|model|is)-.*|\w+\[.*|int|float|str|bool|[A-Z]\w*")


def _is_tag(root: yaml.Node | None, part: int | str) -> bool:
    """Whether `part` of a location is the name of a validator, and no key of the file."""
    if not (isinstance(part, str) and _TAG.fullmatch(part)):
        return False
    return part not in _keys(root)


def _keys(node: yaml.Node | None) -> Iterator[str]:
    """All keys of all mappings of a file."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value)
            yield from _keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _keys(value)


def _what(detail: ErrorDetails, model: type[BaseModel], location: Location) -> str:
    if detail["type"] == "missing":
        return f"is missing; want {detail['msg'].lower()}"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        hint = did_you_mean(str(location[-1]), known)
        return f"unknown key{hint}; known keys: {', '.join(known)}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "literal_error":
        known = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        message += did_you_mean(str(detail["input"]), known)
    if message.startswith("got "):
        return message
    return f"got {detail['input']!r}: {message[:1].lower()}{message[1:]}"


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, str) and hasattr(current, "model_fields"):
            current = _model_in(current.model_fields[part].annotation)
    return sorted(current.model_fields) if hasattr(current, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    """The first model class inside an annotation such as `tuple[Source, ...]` or `Dedup | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _line(root: yaml.Node | None, location: Location) -> int:
    """Line (1-based) of the deepest node of `location` that the file has."""
    node, line = root, 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = [(k, v) for k, v in node.value if k.value == str(part)]
            if not match:
                break
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
