"""Manifest and train config: every section, key, type, default and meaning, from the models."""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from pipeline.configfile import Config
from pipeline.manifest import Manifest
from reference.keys import Key, keys, parts
from reference.markdown import code, page, prose, table
from training.config import FREE_KEYS, TrainConfig

HEAD = ("key", "type", "default", "meaning")

MANIFEST = """\
# The manifest

What `prepare run MANIFEST` reads, does and writes. Paths are relative to the manifest's folder;
any key can be set on the command line, as `--set pack.sequence_tokens=1024`. An unknown key is an
error that names the known ones. `prepare schema` prints the same as a JSON Schema, for an editor.
"""

TRAIN = """\
# The train config

What `train --config FILE` reads; every key also by `--set lr.peak=3e-5`. Paths are relative to
where `train` is started. An unknown key is an error that names the known ones.
[Training](../training.md) says what to ask for.
"""

FREE = """\
## What may change when a run is resumed

The keys {keys}. Any other key is a part of what is computed: to change it is refused, with the
difference.
"""


def manifest_page() -> str:
    """The reference of manifests."""
    return page(MANIFEST, *sections(Manifest, "Top level"))


def train_config_page() -> str:
    """The reference of train configs."""
    free = ", ".join(code(name) for name in sorted(FREE_KEYS))
    return page(TRAIN, *sections(TrainConfig, "Top level"), FREE.format(keys=free))


def sections(model: type[BaseModel], title: str) -> Iterator[str]:
    """A section for a model and for each model that its keys lead to, once, depth first."""
    seen: set[type[BaseModel]] = set()
    pending: list[tuple[str, type[BaseModel]]] = [(title, model)]
    while pending:
        name, current = pending.pop(0)
        if current in seen:
            continue
        seen.add(current)
        found = keys(current)
        yield section(name, current, found)
        prefix = "" if current is model else f"{name}."
        pending = [(prefix + step, part) for key in found for step, part in parts(key)] + pending


def section(title: str, model: type[BaseModel], found: list[Key]) -> str:
    """One model: what its class says, then its keys."""
    about = "" if model in (Manifest, TrainConfig) else prose(_documentation(model))
    rows = [
        (code(key.name), code(key.type), code(key.default), prose(key.meaning)) for key in found
    ]
    shown = title if title == "Top level" else code(title)
    return page(f"## {shown}", about, table(HEAD, rows)).rstrip("\n")


def _documentation(model: type[BaseModel]) -> str:
    own: Any = model.__dict__.get("__doc__")
    return cleandoc(own) if own and own != Config.__doc__ else ""
