"""A real browser: Debian's Chromium through playwright, without a network.

Tests are skipped where no Chromium is installed, unless HEADWATER_REQUIRE_BROWSER=1 is set: then
they fail, so that a run that is meant to have one cannot pass without.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "HEADWATER_REQUIRE_BROWSER"
# What moved after it was first drawn, kept from before the page's own script runs.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Opened:
    """A page from disk, and what it said and asked for that it should not."""

    page: Any  # playwright.sync_api.Page
    faults: list[str] = field(default_factory=list)

    def values(self, script: str) -> Any:
        return self.page.evaluate(script)


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, one for all tests."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path, why = None, "playwright is not installed"
    else:
        why = f"no Chromium is installed: looked for {', '.join(NAMES)}"
    if path is None:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but {why}")
        pytest.skip(why)
    with sync_playwright() as playwright:
        # Chromium has no sandbox as root, as in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a file: `open_page(path, width=1280, color_scheme="light", ...)`.

    Afterwards the test fails where the page asked for anything but files and data, or where its
    script said anything on the console.
    """
    contexts: list[Any] = []
    opened: list[Opened] = []

    def start(path: Path, *, width: int = 1280, **options: Any) -> Opened:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        context.add_init_script(SHIFTS)
        page = context.new_page()
        one = Opened(page)
        opened.append(one)
        page.on("console", lambda message: one.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: one.faults.append(f"error: {error}"))
        page.on("request", lambda request: _check(request.url, one))
        page.goto(path.resolve().as_uri())
        return one

    yield start
    for context in contexts:
        context.close()
    for one in opened:
        assert one.faults == []


def _check(url: str, one: Opened) -> None:
    if not url.startswith(("file:", "data:")):
        one.faults.append(f"request: {url}")
