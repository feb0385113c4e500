"""Parameters that are paths: below the folder of the manifest, wherever in a value they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters import registry
from filters.chain import Chain
from filters.errors import FilterConfigError
from filters.parameters import FilePath
from filters.statistics import TextStatistics

BASE = Path("/data/corpus")

# Every path of each filter that reads files, and beside them what is none.
SPECS: dict[str, dict[str, Any]] = {
    "c4_quality": {"bad_words": "{}.txt"},
    "classifier": {"model": "{}.bin", "label": "__label__hq"},
    "language": {"keep": ["en"], "model": "{}.ftz"},
    "perplexity": {"model": {"en": "{}.arpa", "de": "lm/{}.arpa"}, "keep_buckets": ["head"]},
    "toxicity": {"words": {"en": "{}.txt", "de": ["x.txt"]}},
    "url": {
        "domains": ["x.txt"],
        **{
            f"{name}_files": [f"{name}/{{}}.txt"]
            for name in ("domain", "url", "strict_word", "hard_word", "soft_word", "allow_domain")
        },
    },
}


def filled(value: Any, name: str) -> Any:
    """The parameters with files of this name."""
    if isinstance(value, str):
        return value.replace("{}", name)
    if isinstance(value, Mapping):
        return {key: filled(each, name) for key, each in value.items()}
    return [filled(each, name) for each in value] if isinstance(value, list) else value


def files_of(rule: object) -> tuple[str, ...]:
    return rule.files  # type: ignore[attr-defined,no-any-return]


def test_the_filters_that_read_files_are_those_here():
    plugins = {name: point.load() for name, point in registry._registered().items()}
    assert {name for name, plugin in plugins.items() if hasattr(plugin, "files")} == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_every_path_of_a_filter_is_below_the_folder_and_nothing_else_changes(name):
    spec = {"use": name, **filled(SPECS[name], "a")}
    _, rule = registry.create(spec, BASE)
    _, here = registry.create(spec)
    assert files_of(rule) == tuple(f"{BASE}/{path}" for path in files_of(here))
    assert str(rule).replace(f"{BASE}/", "") == str(here)
    assert Chain.of(spec, base=BASE).filters[0][1] == rule


@pytest.mark.parametrize("name", sorted(SPECS.keys() - {"language", "c4_quality", "perplexity"}))
def test_paths_of_a_language_are_below_the_folder_too(name):
    own = filled(SPECS[name], "b")
    spec = {"use": name, **filled(SPECS[name], "a"), "per_language": {"de": own}}
    files = files_of(registry.create(spec, BASE)[1])
    assert files
    assert files == tuple(f"{BASE}/{path}" for path in files_of(registry.create(spec)[1]))


@pytest.mark.parametrize("path", ["/models/en.bin", "~/en.bin"])
def test_an_absolute_path_and_one_of_the_home_folder_stay(path):
    _, rule = registry.create({"use": "classifier", "model": path}, BASE)
    assert files_of(rule) == (path,)


def test_an_empty_path_is_still_refused_as_one():
    with pytest.raises(FilterConfigError, match=r"classifier: got model='', want a path"):
        registry.create({"use": "classifier", "model": ""}, BASE)


def test_a_value_that_is_no_path_is_refused_by_its_plain_type():
    with pytest.raises(FilterConfigError, match=r"model: got 3, want str \("):
        registry.create({"use": "classifier", "model": 3}, BASE)
    assert registry.describe("classifier").parameters[0].type == "str"


@dataclass(frozen=True, kw_only=True)
class Nested:
    """A filter of another distribution, with paths deep inside of a value."""

    folders: Mapping[str, tuple[tuple[FilePath, ...], ...]]
    names: tuple[tuple[str, ...], ...] = ()

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        return batch.select([])

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pa.repeat(True, measured.num_rows)


def test_paths_are_found_in_lists_inside_of_lists(monkeypatch):
    point = EntryPoint("nested", f"{__name__}:Nested", registry.GROUP)
    vars(point)["dist"] = None
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    spec = {"use": "nested", "folders": {"en": [["a", "/b"], []]}, "names": [["a"]]}
    _, rule = registry.create(spec, BASE)
    assert rule == Nested(folders={"en": ((f"{BASE}/a", "/b"), ())}, names=(("a",),))
