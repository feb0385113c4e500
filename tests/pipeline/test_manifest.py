"""The manifest: what is shipped is valid, and the schema is that of the code."""

import json
from pathlib import Path

import pytest
import yaml

from filters.registry import names
from pipeline.cli import main
from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest, manifest_schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "data_manifests").glob("*.yaml")), ids=str)
def test_ready_manifests_are_valid(path: Path) -> None:
    assert load_manifest(path).name == path.stem


def test_the_schema_file_is_that_of_the_code() -> None:
    written = json.loads((ROOT / "data_manifests" / "manifest.schema.json").read_text())
    assert written == json.loads(json.dumps(manifest_schema())), "run `make schema`"


def test_the_readme_shows_a_valid_manifest() -> None:
    text = (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    assert Manifest.model_validate(yaml.safe_load(text)).name == "my-corpus"


def test_filters_apply_to_the_sources_that_they_name(tmp_path: Path) -> None:
    manifest = load_manifest(ROOT / "data_manifests" / "python-environment.yaml")
    assert [spec["use"] for spec in manifest.filters_of("domain")] == ["length"]
    assert [spec["use"] for spec in manifest.filters_of("general")] == [
        "length",
        "language",
        "gopher_quality",
    ]
    assert all("sources" not in spec for spec in manifest.filters_of("general"))


def test_overrides_are_validated_like_the_file() -> None:
    path = ROOT / "data_manifests" / "python-environment.yaml"
    assert load_manifest(path, ["filters.1.min_score=0.8"]).filters[1]["min_score"] == 0.8
    with pytest.raises(
        ManifestError, match=r"^--set filters\.1\.min_score=8: filters\.1: .*min_score"
    ):
        load_manifest(path, ["filters.1.min_score=8"])


def test_each_fault_is_one_line_that_says_got_once(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        "version: 1\nname: n\noutput: out\ntokenizer: {path: t}\n"
        "sources: [{name: a, format: text, pats: [x]}]\n"
        "pii: {mode: off, kinds: [emial], phone_regions: [UK]}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "sources.0.pats: unknown key (did you mean 'paths'?)" in lines[0]
    assert "pii.kinds.0: got 'emial' (did you mean 'email'?); want of " in lines[1]
    assert "pii.phone_regions: got UK; want GB" in lines[2]


def test_every_filter_is_listed_and_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filters"]) == 0
    listed = capsys.readouterr().out
    for name in names():
        assert name in listed
        assert main(["filters", name]) == 0
        documented = capsys.readouterr().out
        assert "Parameters" in documented
        assert "Signals" in documented or name == "expression"  # it copies those that it is given
    assert main(["filters", "gopher"]) == 2
