"""No file of data is executed: YAML is loaded safely, and nothing is unpickled."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import filters
import pipeline
import training
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from training.config import read_config
from training.errors import TrainError

pytestmark = pytest.mark.faults

PACKAGES = (filters, pipeline, training)
UNPICKLING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
SAFE_YAML = {
    *("safe_load", "safe_dump", "compose", "SafeLoader", "YAMLError"),
    *("Node", "MappingNode", "SequenceNode", "ScalarNode"),
}


def offences(tree: ast.AST) -> Iterator[str]:
    """What a source does that could run what it loads, or that hides whether it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in UNPICKLING | {"yaml"}:
            yield f"from {node.module} import ..."
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            if module in UNPICKLING and name != "UnpicklingError":
                yield f"{module}.{name}"
            if module == "yaml" and name not in SAFE_YAML:
                yield f"{module}.{name}"
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "load":
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            called = ast.unparse(node.func)
            if called == "torch.load" and words.get("weights_only") != "True":
                yield f"{called} without weights_only=True"
            if called in ("np.load", "numpy.load") and "allow_pickle" in words:
                yield f"{called} with allow_pickle"


def test_no_source_loads_what_could_run() -> None:
    folders = [Path(folder) for package in PACKAGES for folder in package.__path__]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(paths) > 300
    found = {path: list(offences(ast.parse(path.read_text(encoding="utf-8")))) for path in paths}
    assert {path: told for path, told in found.items() if told} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(b'')",
        "from pickle import loads",
        "import yaml\nyaml.load('', Loader=yaml.Loader)",
        "import yaml\nyaml.unsafe_load('')",
        "torch.load('x')",
        "torch.load('x', weights_only=False)",
        "np.load('x', allow_pickle=True)",
    ],
)
def test_an_offence_is_found(source: str) -> None:
    assert list(offences(ast.parse(source)))


def test_numpy_does_not_unpickle_unless_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "x.npy")


CODE = "!!python/object/apply:os.system ['touch executed']"


def test_yaml_is_only_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.yaml"
    path.write_text(f"version: 1\nname: {CODE}\n")
    with pytest.raises(ManifestError, match="not valid YAML"):
        load_manifest(path)
    path.write_text("version: 1\n")
    with pytest.raises(ManifestError, match="not valid YAML"):
        load_manifest(path, [f"name={CODE}"])
    path.write_text(f"lr: {CODE}\n")
    with pytest.raises(TrainError, match="not valid YAML"):
        read_config(path, shards=[tmp_path], model="m", out=tmp_path, overrides=[])
    assert not (tmp_path / "executed").exists()
