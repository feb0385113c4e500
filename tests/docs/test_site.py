"""The site builds without a warning, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.blocks import DOCS, ROOT

LOADED = re.compile(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\s\">]+)")
LINKED = re.compile(
    r"<link[^>]* rel=\"?(?:stylesheet|preconnect|preload)[^>]* href=\"?(https?:[^\s\">]+)"
)


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "tutorial.html", "commands.html", "gopher_quality.html"} <= {
        page.name for page in pages
    }
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert LOADED.findall(text) + LINKED.findall(text) == [], page
    assert "prepare erase" in (tmp_path / "reference" / "commands.html").read_text()


@pytest.mark.parametrize("path", sorted((DOCS / "diagrams").glob("*.svg")), ids=lambda p: p.stem)
def test_a_diagram_can_be_read_by_all(path: Path) -> None:
    """In light and dark, by a screen reader, without anything from elsewhere."""
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    tags = [element.tag.rpartition("}")[2] for element in root]
    assert tags[:2] == ["title", "desc"]
    assert root.get("role") == "img"
    assert "prefers-color-scheme: dark" in text
    light, dark = (set(re.findall(r"--([a-z-]+):", part)) for part in text.split("@media", 1))
    assert light == dark
    assert re.findall(r"(?:fill|stroke): *#", text) == []  # colours are the variables'
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
