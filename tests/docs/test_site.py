"""The site builds without a warning, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.browser.conftest import Open, browser, open_page
from tests.docs.blocks import DOCS, ROOT

# Pytest finds fixtures by their names here.
__all__ = ["browser", "open_page"]

LOADED = re.compile(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\s\">]+)")
LINKED = re.compile(
    r"<link[^>]* rel=\"?(?:stylesheet|preconnect|preload)[^>]* href=\"?(https?:[^\s\">]+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
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
    return folder


@pytest.mark.slow
def test_the_site_has_its_pages_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert {"index.html", "tutorial.html", "commands.html", "gopher_quality.html"} <= {
        page.name for page in pages
    }
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert LOADED.findall(text) + LINKED.findall(text) == [], page
    assert "prepare erase" in (site / "reference" / "commands.html").read_text()


@pytest.mark.slow
@pytest.mark.browser
def test_the_search_finds_a_page_from_disk(site: Path, open_page: Open) -> None:
    page = open_page(site / "howto" / "index.html").page
    page.get_by_role("textbox", name="Search").press_sequentially("tombstones")
    page.locator(".md-search-result__item a[href*='erasure.html']").first.click()
    page.wait_for_url("**/erasure.html*")


@pytest.mark.slow
@pytest.mark.browser
def test_a_diagram_keeps_the_size_of_its_words_on_a_telephone(site: Path, open_page: Open) -> None:
    page = open_page(site / "index.html", width=400).page
    diagram = page.locator("img[src$='dataflow.svg']")
    assert diagram.evaluate("image => image.clientWidth") > 500  # of the 800 that it is drawn for
    assert diagram.evaluate("image => image.parentElement.clientWidth") < 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


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
