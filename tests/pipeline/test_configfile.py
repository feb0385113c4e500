"""YAML to frozen models: every mistake is one line that names file, line, field, got and wanted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.configfile import Config, load, set_value, validate
from pipeline.errors import ManifestError


class Inner(Config):
    size: int
    name: str = "x"


class Outer(Config):
    version: int
    inner: Inner
    parts: tuple[Inner, ...] = ()


GOOD = "version: 1\ninner:\n  size: 2\nparts:\n  - {size: 1}\n  - size: 2\n    name: b\n"


def read(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "m.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Outer, overrides, error=ManifestError)


def test_a_good_file_is_read_and_frozen(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.parts[1].name == "b"
    with pytest.raises(ValueError, match="frozen"):
        config.version = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("  size: 2\n", "  size: big\n", 1), r"m\.yaml:3: inner\.size: got 'big'"),
        (
            GOOD.replace("    name: b", "    nmae: b"),
            r"m\.yaml:7: parts\.1\.nmae: unknown key \(did",
        ),
        (GOOD.replace("version: 1\n", ""), r"m\.yaml:1: version: is missing"),
        ("version: 1\ninner: {size: 2\n", r"m\.yaml: not valid YAML"),
        ("- 1\n- 2\n", r"m\.yaml:1: got a list, want a mapping"),
        ("", r"m\.yaml:1: version: is missing"),
    ],
)
def test_mistakes_name_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path / "none.yaml", Outer, error=ManifestError)


def test_overrides_reach_into_lists_and_are_checked(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, "parts.1.size=9", "inner.name=yes please")
    assert (config.parts[1].size, config.inner.name) == (9, "yes please")
    with pytest.raises(ManifestError, match=r"--set parts\.1\.size=many: parts\.1\.size: got"):
        read(tmp_path, GOOD, "parts.1.size=many")
    with pytest.raises(ManifestError, match=r"want one of 0\.\.1"):
        read(tmp_path, GOOD, "parts.7.size=1")
    with pytest.raises(ManifestError, match="want KEY=VALUE"):
        read(tmp_path, GOOD, "parts")


@given(st.text(st.characters(categories=["Ll", "Nd"]), min_size=1), st.integers())
def test_set_value_makes_missing_mappings(key: str, number: int) -> None:
    values: dict[str, object] = {}
    set_value(values, f"a.x{key}.b={number}", ManifestError)
    assert values == {"a": {f"x{key}": {"b": number}}}


def test_values_that_are_there_already_are_checked_alike_and_stay() -> None:
    values = {"version": 1, "inner": {"size": 2}, "parts": [{"size": 1}]}
    found = validate(values, Outer, ["parts.0.size=5"], error=ManifestError)
    assert (found.parts[0].size, found.inner.size) == (5, 2)
    assert values["parts"] == [{"size": 1}]
    with pytest.raises(ManifestError, match=r"^inner\.size: got 'big'"):
        validate({"version": 1, "inner": {"size": "big"}}, Outer, error=ManifestError)
    with pytest.raises(ManifestError, match=r"^parts\.0\.nmae: unknown key \(did"):
        validate(values | {"parts": [{"size": 1, "nmae": "b"}]}, Outer, error=ManifestError)
    with pytest.raises(ManifestError, match=r"^version: got <object"):
        validate(values | {"version": object()}, Outer, error=ManifestError)
