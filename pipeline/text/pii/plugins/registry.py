"""Recogniser plugins by name: entry points of the group `headwater.recognizers`."""

import functools
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.releases import release
from pipeline.suggest import did_you_mean
from pipeline.text.pii.plugins.protocol import TextRecognizer

GROUP = "headwater.recognizers"
NAME_KEY = "use"
_KIND = re.compile(r"[a-z][a-z0-9_]*")


def create(spec: Mapping[str, Any]) -> TextRecognizer:
    """The plugin of `{use: NAME, **parameters}`. Loads no model.

    Raises ValueError, with what is wanted instead, for an unknown name or parameter, a bad value,
    a plugin that cannot be imported, and one that is none.
    """
    return _created(json.dumps(spec, sort_keys=True, default=str))


def load(spec: Mapping[str, Any]) -> None:
    """Load the models of a plugin, where it has any."""
    loader = getattr(create(spec), "load", None)
    if loader is not None:
        loader()


def releases(spec: Mapping[str, Any]) -> list[str]:
    """The distributions, with their versions, that decide what a plugin finds."""
    point = _entry_point(spec[NAME_KEY])
    own = () if point.dist is None else (point.dist.name,)
    libraries = getattr(create(spec), "libraries", ())
    return [release(name) for name in (*own, *libraries)]


@functools.lru_cache(maxsize=64)
def _created(text: str) -> TextRecognizer:
    parameters = json.loads(text)
    name = parameters.pop(NAME_KEY, None)
    if not isinstance(name, str):
        raise ValueError(f"got {NAME_KEY}={name!r}, want the name of a plugin: {_names()}")
    plugin = _plugin(name)
    if not callable(plugin):
        raise ValueError(
            f"{name}: want a class, or a function that makes a recogniser, got {plugin!r}"
        )
    known = list(inspect.signature(plugin).parameters)
    if unknown := [each for each in parameters if each not in known]:
        meant = did_you_mean(unknown[0], known)
        raise ValueError(f"{name}: unknown parameter {unknown[0]}{meant}; known: {_list(known)}")
    made = _checked(name, plugin, parameters)
    if not isinstance(made, TextRecognizer):
        raise ValueError(f"{name}: want an object with `kinds` and `find(texts)`, got {made!r}")
    if isinstance(made.kinds, str):
        raise ValueError(f"{name}: got kinds {made.kinds!r}, want a tuple of names")
    if wrong := [kind for kind in made.kinds if not _KIND.fullmatch(kind)]:
        raise ValueError(f"{name}: got kinds {wrong}, want names such as person or badge_number")
    return made


def _checked(name: str, plugin: Any, parameters: Mapping[str, Any]) -> object:
    try:
        return TypeAdapter(plugin).validate_python(parameters, strict=False)
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ValueError(f"{name}: {place}: got {fault['input']!r}: {fault['msg']}") from exc
    except (TypeError, ImportError) as exc:
        raise ValueError(f"{name}: {exc}") from exc


def _plugin(name: str) -> Any:
    try:
        return _entry_point(name).load()
    except (ImportError, AttributeError) as exc:
        raise ValueError(f"{name}: cannot be imported ({exc}); install what it needs") from exc


def _entry_point(name: str) -> EntryPoint:
    points = list(entry_points(group=GROUP, name=name))
    if not points:
        raise ValueError(f"{name!r} is no recogniser plugin; installed: {_names()}")
    if len({point.value for point in points}) > 1:
        owners = _list(sorted(point.dist.name for point in points if point.dist is not None))
        raise ValueError(f"two plugins are called {name!r}, of {owners}; uninstall one of them")
    return points[0]


def _names() -> str:
    return _list(sorted({point.name for point in entry_points(group=GROUP)}))


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
