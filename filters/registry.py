"""Filters by name: entry points of the group `headwater.filters`, from a manifest's mapping.

The built-in filters register there like those of any other distribution. An entry point names a
class, which is built from the mapping, or a plain callable `RecordBatch -> BooleanArray`, which
takes no parameters. A class also takes `per_language`: other parameters for documents of some
languages, as `filters.per_language` says.
"""

import difflib
import functools
import inspect
import json
import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from filters.errors import FilterConfigError, FilterError, FilterLoadError
from filters.parameters import manifest_names, threshold_names
from filters.per_language import (
    KEY,
    Override,
    PerLanguage,
    check_fit_is_common,
    check_overridable,
    measures_language,
)
from filters.protocol import Filter, Signal, as_filter, is_expensive

GROUP = "headwater.filters"
NAME_KEY = "use"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a filter, as a manifest names it."""

    name: str
    type: str
    default: object
    required: bool
    is_threshold: bool  # read by `keep` alone: changing it measures nothing again


@dataclass(frozen=True, slots=True)
class Description:
    """What `prepare filters` says of a filter."""

    name: str
    summary: str  # the first line of its documentation
    documentation: str
    parameters: tuple[Parameter, ...]
    signals: tuple[Signal, ...]
    papers: tuple[str, ...]
    example: Mapping[str, Any]  # parameters that show what it is for
    is_expensive: bool
    edits: bool  # changes texts, with some parameters at least
    may_edit_nothing: bool  # there are parameters with which it changes none
    has_languages: bool  # takes `per_language`
    libraries: tuple[str, ...]  # distributions whose releases decide what it measures
    distribution: str


@dataclass(frozen=True, slots=True)
class _Argument:
    """A parameter with what is needed to pass it."""

    name: str  # in manifests
    keyword: str  # in Python
    hint: Any  # by which a value is checked; knows which strings are paths
    default: object


def names() -> tuple[str, ...]:
    """The names of all installed filters, sorted."""
    return tuple(sorted(_registered()))


def create(spec: Mapping[str, Any], base: Path | None = None) -> tuple[str, Filter]:
    """The filter of `{use: NAME, **parameters}`, and its name. Loads no model.

    Paths are relative to `base`, the folder of the manifest; without it to the current folder.
    Raises FilterConfigError for an unknown name or parameter and for a bad value, FilterLoadError
    for a plugin that cannot be imported, FilterError for one that is no filter.
    """
    parameters = dict(spec)
    name = parameters.pop(NAME_KEY, None)
    if not isinstance(name, str):
        raise FilterConfigError(
            f"filter {dict(spec)}: got {NAME_KEY}={name!r}, want one of {', '.join(names())}"
        )
    plugin = _plugin(name)
    by_language = parameters.pop(KEY, None) if isinstance(plugin, type) else None
    default = _created(f"filter {name}", plugin, parameters, base)
    if by_language is None:
        return name, default
    overrides = _checked_languages(name, by_language)
    return name, PerLanguage(
        default,
        tuple(
            _override(name, default, language, parameters, other, base)
            for language, other in overrides.items()
        ),
    )


def describe(name: str) -> Description:
    """What a filter is, its parameters and where it comes from. Raises as `create` does."""
    plugin = _plugin(name)
    thresholds = threshold_names(plugin)
    parameters = tuple(
        Parameter(
            name=argument.name,
            type=_type_name(argument.hint),
            default=None if argument.default is inspect.Parameter.empty else argument.default,
            required=argument.default is inspect.Parameter.empty,
            is_threshold=argument.name in thresholds,
        )
        for argument in _arguments(plugin)
    )
    documentation = inspect.getdoc(plugin) or ""
    distribution = _distribution(_registered()[name])
    return Description(
        name=name,
        summary=documentation.partition("\n")[0],
        documentation=documentation,
        parameters=parameters,
        signals=tuple(getattr(plugin, "SIGNALS", ())),
        papers=tuple(getattr(plugin, "PAPERS", ())),
        example=getattr(plugin, "EXAMPLE", {}),
        is_expensive=is_expensive(plugin),
        edits=hasattr(plugin, "edit"),
        may_edit_nothing=hasattr(plugin, "edit") and hasattr(plugin, "edits"),
        has_languages=isinstance(plugin, type),
        libraries=tuple(getattr(plugin, "LIBRARIES", ())),
        distribution=distribution,
    )


def measuring(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `{use: NAME, **parameters}` that decides what is measured: no threshold.

    Raises as `create` does for an unknown name, or a `per_language` that is no mapping.
    """
    plugin = _plugin(spec[NAME_KEY])
    thresholds = threshold_names(plugin)
    measured = {key: value for key, value in spec.items() if key not in {*thresholds, KEY}}
    if spec.get(KEY) is None or not isinstance(plugin, type):
        return measured
    overrides = _checked_languages(spec[NAME_KEY], spec[KEY])
    apart = {language: _plain(other, spec, thresholds) for language, other in overrides.items()}
    apart = {language: plain for language, plain in apart.items() if plain}
    # Even without them: the language is stored with the signals.
    return measured if measures_language(plugin) else {**measured, KEY: apart}


def _registered() -> dict[str, EntryPoint]:
    """Entry points by name; raises FilterConfigError where two distributions claim one name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        # Reading a distribution's metadata takes 1 ms: only of two that claim one name.
        if other is not point and (_distribution(other), other.value) != (
            _distribution(point),
            point.value,
        ):
            raise FilterConfigError(
                f"filter {point.name}: registered by {_distribution(other)} ({other.value}) and by "
                f"{_distribution(point)} ({point.value}), want one; uninstall one of them"
            )
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed distribution"


def _plugin(name: str) -> Any:
    """What the entry point names: a class or a callable."""
    registered = _registered()
    if name not in registered:
        raise FilterConfigError(f"no filter {name!r}{_hint(name, registered)}")
    point = registered[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as exc:
        raise FilterLoadError(
            f"filter {name}: cannot import {point.value} of {_distribution(point)} ({exc})"
        ) from exc


def _checked_languages(name: str, by_language: object) -> dict[str, Mapping[str, Any]]:
    """A value of `per_language`: parameters by language."""
    where = f"filter {name}: {KEY}"
    if not isinstance(by_language, Mapping):
        raise FilterConfigError(
            f"{where}: got {by_language!r}, want parameters by language, such as "
            "{de: {PARAMETER: VALUE}}"
        )
    for language, other in by_language.items():
        if not isinstance(language, str):
            raise FilterConfigError(
                f"{where}: got the language {language!r}, want a string; YAML reads no, on and off "
                'as booleans, so write "no"'
            )
        if not isinstance(other, Mapping):
            raise FilterConfigError(f"{where}.{language}: got {other!r}, want parameters")
    return dict(by_language)


def _override(
    name: str,
    default: Filter,
    language: str,
    parameters: Mapping[str, Any],
    other: Mapping[str, Any],
    base: Path | None,
) -> Override:
    """The filter of one language: with all parameters, of which some are its own."""
    plugin = type(default)
    rule = _created(f"filter {name}: {KEY}.{language}", plugin, {**parameters, **other}, base)
    plain = _plain(other, parameters, threshold_names(plugin))
    check_overridable(name, language, default, rule, set(plain))
    check_fit_is_common(name, language, default, rule, other)
    return Override(language, rule, measures=bool(plain))


def _plain(
    other: Mapping[str, Any], parameters: Mapping[str, Any], thresholds: Iterable[str]
) -> dict[str, Any]:
    """Those of the other parameters that are no thresholds, and not the same anyway."""
    return {
        key: value
        for key, value in other.items()
        if key not in thresholds and (key not in parameters or parameters[key] != value)
    }


def _created(where: str, plugin: Any, parameters: Mapping[str, Any], base: Path | None) -> Filter:
    """The filter with these parameters; `where` begins every message."""
    arguments = {argument.name: argument for argument in _arguments(plugin)}
    for parameter in parameters:
        if parameter not in arguments:
            raise FilterConfigError(
                f"{where}: unknown parameter {parameter!r}{_hint(parameter, arguments)}"
            )
    for argument in arguments.values():
        if argument.default is inspect.Parameter.empty and argument.name not in parameters:
            raise FilterConfigError(
                f"{where}: no {argument.name}, want a value of {_type_name(argument.hint)}"
            )
    keywords = {
        arguments[parameter].keyword: _value(where, arguments[parameter], value, base)
        for parameter, value in parameters.items()
    }
    return _built(where, plugin, keywords)


def _arguments(plugin: Any) -> tuple[_Argument, ...]:
    """The keyword parameters of a class; a plain callable has none."""
    if not isinstance(plugin, type):
        return ()
    hints = typing.get_type_hints(vars(plugin).get("__init__", plugin), include_extras=True)
    renamed = manifest_names(plugin)
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(
        _Argument(
            renamed.get(parameter.name, parameter.name),
            parameter.name,
            hints.get(parameter.name, Any),
            parameter.default,
        )
        for parameter in inspect.signature(plugin).parameters.values()
        if parameter.kind in named
    )


def _value(where: str, argument: _Argument, value: object, base: Path | None) -> object:
    """The value as the parameter's type, by JSON's rules: a list is a tuple, "5" is no number."""
    where = f"{where}: {argument.name}"
    _check_numbers(where, value)
    where = f"{where}: got {value!r}, want {_type_name(argument.hint)}"
    try:
        return TypeAdapter(argument.hint).validate_json(
            json.dumps(value), strict=True, context=base
        )
    except TypeError as exc:
        raise FilterConfigError(f"{where} ({exc})") from exc
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = "".join(f"[{step}]" for step in fault["loc"] if isinstance(step, int))
        at = f" at {argument.name}{place}" if place else ""
        raise FilterConfigError(f"{where} ({fault['msg']}{at})") from exc


def _check_numbers(where: str, value: object) -> None:
    """Raise FilterConfigError for a number that no column of int64 or float64 can be held to."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FilterConfigError(f"{where}: got an integer of over 64 bits, want -2**63 to 2**63-1")
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterConfigError(f"{where}: got {value}, want a finite number")
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for each in value:
            _check_numbers(where, each)


def _built(where: str, plugin: Any, keywords: Mapping[str, object]) -> Filter:
    try:
        return as_filter(plugin(**keywords) if isinstance(plugin, type) else plugin)
    except FilterConfigError as exc:
        if KEY in where:  # the filter does not know of which language it is
            raise FilterConfigError(f"{where}: {exc}") from exc
        raise
    except FilterError as exc:
        raise FilterError(f"{where}: {exc}") from exc


def _type_name(hint: Any) -> str:
    hint = _plain_hint(hint)
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _plain_hint(hint: Any) -> Any:
    """The type without annotations such as those of `FilePath`, its unions written with `|`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _plain_hint(inner[0])
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, map(_plain_hint, inner))
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(typing.cast("type", origin), tuple(map(_plain_hint, inner)))
    return hint


def _hint(got: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(got, known, n=1)
    if not known:
        return "; it takes none"
    meant = f"; did you mean {close[0]}?" if close else ";"
    return f"{meant} Known: {', '.join(known)}"
