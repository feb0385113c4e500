"""YAML of a page through the real readers: a whole file, or a fragment in a smallest whole."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.manifest import Manifest, load_manifest
from training.config import TrainConfig, read_config

MANIFEST: dict[str, Any] = {
    "version": 1,
    "name": "n",
    "output": "out",
    "sources": [
        {"name": name, "format": "jsonl", "paths": ["*.jsonl"], "date_field": "date"}
        for name in ("domain", "general")
    ],
    "tokenizer": {"path": "t"},
}
TRAIN: dict[str, Any] = {"model": "m", "shards": ["s"], "out": "o"}


def kind(values: dict[str, Any]) -> str:
    """`manifest` or `train`, by which of the two knows all keys; ValueError where neither does."""
    for name, model in (("manifest", Manifest), ("train", TrainConfig)):
        if values.keys() <= model.model_fields.keys():
            return name
    unknown = sorted(values.keys() - Manifest.model_fields.keys() - TrainConfig.model_fields.keys())
    raise ValueError(f"neither a manifest nor a train config: {', '.join(unknown) or 'both'}")


def check(text: str, folder: Path) -> Manifest | TrainConfig:
    """Read what a page shows as the commands would."""
    values = yaml.safe_load(text)
    path = folder / "shown.yaml"
    if kind(values) == "train":
        path.write_text(yaml.safe_dump({**TRAIN, **values}))
        return read_config(path)
    whole = "version" in values
    path.write_text(text if whole else yaml.safe_dump({**MANIFEST, **values}))
    return load_manifest(path)
