"""The environment's own files: named alike everywhere, code whole, prose only."""

import json
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from pipeline.sources import Input, Slice
from tests.pipeline.sources.conftest import Read, collect, reader_of

MODULE = '''"""Module, %s."""
import os

try:
    def first():
        """First."""
except ImportError:
    class Second:
        """Second.

            indented
        """
        async def third(self):
            """Third."""
            def fourth():
                "Fourth."
'''


def read_one(part: str, name: str) -> Read:
    reader = reader_of(Path(), format="python-environment", part=part)
    (item,) = (item for item in reader.inputs() if item.relative == name)
    return collect(reader.read(Slice(input=item)))


def test_a_module_of_the_standard_library_is_one_document() -> None:
    (document,) = read_one("stdlib", "stdlib/json/decoder.py").documents
    assert document["text"] == Path(json.decoder.__file__).read_text(encoding="utf-8")
    assert document["id"] == document["source_path"] == "stdlib/json/decoder.py"


def test_names_are_sorted_relative_and_hold_no_installed_package_nor_empty_file() -> None:
    items = reader_of(Path(), format="python-environment", part="stdlib").inputs()
    names = [item.relative for item in items]
    assert names == sorted(set(names))
    assert len(names) > 500
    assert all(name.startswith("stdlib/") and name.endswith(".py") for name in names)
    assert not any("site-packages" in name or "__pycache__" in name for name in names)
    assert all(item.size_bytes for item in items)


def test_prose_is_readmes_and_docstrings_of_what_is_installed_but_not_of_headwater() -> None:
    items = reader_of(Path(), format="python-environment", part="prose").inputs()
    names = [item.relative for item in items]
    assert names == sorted(set(names))
    assert {"numpy/README", "numpy/linalg/_linalg.py"} <= set(names)
    assert not any(name.startswith(("headwater", "/", "..")) for name in names)
    (readme,) = read_one("prose", "numpy/README").documents
    assert "NumPy" in readme["text"]
    assert "Metadata-Version" not in readme["text"]
    (module,) = read_one("prose", "numpy/linalg/_linalg.py").documents
    assert "Compute the multiplicative inverse of a matrix." not in module["text"].split("\n\n")[0]
    assert np.linalg.__doc__ is not None
    assert "def inv(" not in module["text"]
    assert "singular" in module["text"]


@pytest.mark.parametrize(
    ("source", "texts", "reasons"),
    [
        (
            MODULE % ("x" * 200),
            ["Module, " + "x" * 200 + ".|First.|Second.\n\nindented|Third.|Fourth."],
            [],
        ),
        ("x = 1\n", [], []),
        ('"""Short."""\n', [], []),
        ("print 'two'\n", [], [(0, "bad_row")]),
        ("x = '\0'\n", [], [(0, "bad_row")]),
        ("x = " + "(" * 5000 + ")" * 5000, [], [(0, "bad_row")]),
    ],
)
def test_docstrings_come_in_the_order_of_the_file(
    tmp_path: Path, source: str, texts: list[str], reasons: list[tuple[int, str]]
) -> None:
    (tmp_path / "m.py").write_text(source)
    reader = reader_of(tmp_path, format="python-environment", part="prose")
    item = Input(path=str(tmp_path / "m.py"), relative="package/m.py", size_bytes=1)
    got = collect(reader.read(Slice(input=item)))
    assert got.texts == [text.replace("|", "\n\n") for text in texts]
    assert got.reasons == reasons
    assert all(row["id"] == "package/m.py" for row in got.documents)


def test_most_of_the_standard_library_is_text() -> None:
    reader = reader_of(Path(), format="python-environment", part="stdlib")
    items = [item for item in reader.inputs() if "/encodings/" in item.relative]
    assert items
    assert Path(sysconfig.get_path("stdlib")).is_dir()
    found = [collect(reader.read(Slice(input=item))) for item in items]
    assert sum(len(read.documents) for read in found) == len(items)
