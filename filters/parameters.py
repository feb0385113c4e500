"""How a filter declares its parameters: those that only `keep` reads, and those named otherwise.

A filter is a frozen dataclass whose fields are its parameters. A field made by `threshold` is read
by `keep` and `failures` alone: a run that changes nothing else decides on the stored signals, and
no text is read or measured again.

`FilePath` is the type of what names a file or folder, alone or inside of another type, such as
`tuple[FilePath, ...]`. In Python it is a `str`; a manifest's are relative to the manifest's folder.
"""

from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, ValidationInfo

NAME, THRESHOLD = "parameter", "threshold"  # keys of a field's metadata


def _located(path: str, info: ValidationInfo) -> str:
    """The path below the folder that `registry.create` is given, if any.

    Absolute ones stay, and those that begin with `~`; so does an empty one, which its filter will
    refuse.
    """
    base: Path | None = info.context
    return path if base is None or not path or path.startswith("~") else str(base / path)


FilePath: TypeAlias = Annotated[str, AfterValidator(_located)]


def threshold(default: Any = MISSING, *, name: str | None = None) -> Any:
    """A parameter that neither `measure` nor `edit` reads. `name` is its name in manifests."""
    return _field(default, name, {THRESHOLD: True})


def parameter(default: Any = MISSING, *, name: str | None = None) -> Any:
    """A parameter that `measure` or `edit` reads; a plain field is the same without a `name`."""
    return _field(default, name, {})


def manifest_names(plugin: type) -> dict[str, str]:
    """What manifests call each field of the class; nothing where it is no dataclass."""
    if not is_dataclass(plugin):
        return {}
    return {entry.name: entry.metadata.get(NAME, entry.name) for entry in fields(plugin)}


def threshold_names(plugin: object) -> frozenset[str]:
    """The thresholds of a class by the names that manifests give them; of others none."""
    if not (isinstance(plugin, type) and is_dataclass(plugin)):
        return frozenset()
    names = manifest_names(plugin)
    return frozenset(names[entry.name] for entry in fields(plugin) if entry.metadata.get(THRESHOLD))


def _field(default: Any, name: str | None, metadata: dict[str, Any]) -> Any:
    metadata = metadata | ({} if name is None else {NAME: name})
    return field(default=default, metadata=metadata)
