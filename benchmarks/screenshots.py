"""Screenshots of the reports for the README and the documentation, and how fast they are drawn.

    python -m benchmarks.screenshots prepare OUT/report.html docs/images/prepare-report.png
    python -m benchmarks.screenshots train RUN/report.html docs/images/train-report.png

Needs Chromium and playwright. Prints the median of several openings, in milliseconds: until the
document is parsed and its script has run, until the first paint, until all is loaded. The picture
is light, of the top of the page, in a palette of 128 colours.
"""

import argparse
import json
import os
import shutil
import statistics
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1200, 1250
NUM_OPENINGS = 5
NUM_COLOURS = 128
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What is scrolled to, by kind of report: the part that says most at one look.
PLACES = {"prepare": "#overview", "train": "main"}
_TIMES = """() => {
  const loaded = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByType("paint")[0];
  return { parsed: loaded.domContentLoadedEventEnd, painted: paint ? paint.startTime : 0,
           loaded: loaded.loadEventEnd };
}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Take one screenshot and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=sorted(PLACES))
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(arguments)
    times = shoot(options.page, options.picture, PLACES[options.kind])
    times["picture_bytes"] = options.picture.stat().st_size
    times["page_bytes"] = options.page.stat().st_size
    print(json.dumps(times))


def shoot(page: Path, picture: Path, place: str) -> dict[str, float]:
    """Open the page several times, offline; the median times, and the last one as a picture."""
    from playwright.sync_api import sync_playwright

    found: list[dict[str, float]] = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=_chromium(), args=arguments)
        for _ in range(NUM_OPENINGS):
            context = browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", offline=True
            )
            tab = context.new_page()
            tab.goto(page.resolve().as_uri())
            tab.wait_for_timeout(200)  # the load event has an end only when it is over
            found.append(tab.evaluate(_TIMES))
            tab.locator(place).scroll_into_view_if_needed()
            data = tab.screenshot()
            context.close()
        browser.close()
    _write(data, picture)
    return {
        f"{name}_milliseconds": round(statistics.median(one[name] for one in found), 1)
        for name in found[0]
    }


def _chromium() -> str:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit(f"no Chromium here, looked for {', '.join(NAMES)}: install `chromium`")
    return path


def _write(data: bytes, picture: Path) -> None:
    """As a PNG with a palette, which is a third of the size."""
    from PIL import Image

    image: Any = Image.open(BytesIO(data)).convert("RGB")
    picture.parent.mkdir(parents=True, exist_ok=True)
    reduced = image.quantize(NUM_COLOURS, method=Image.Quantize.MEDIANCUT, dither=0)
    reduced.save(picture, optimize=True)


if __name__ == "__main__":
    main()
