"""What holds of every page that `pipeline.page` makes, as tests of both reports ask it."""

from typing import Any

from tests.browser.conftest import Opened

_DRAWN = """() => [...document.querySelectorAll("figure svg")].map((svg) => {
  const box = svg.getBoundingClientRect();
  const numPaths = svg.querySelectorAll("path").length;
  return [svg.getAttribute("aria-label"), box.width, box.height, numPaths];
})"""
_SHOW_ALL = """() => {
  for (const hidden of document.querySelectorAll("[role=tabpanel][hidden]")) hidden.hidden = false;
  for (const closed of document.querySelectorAll("details")) closed.open = true;
}"""


def assert_every_plot_is_drawn(opened: Opened) -> int:
    """Each figure has a size and something in it, those of other tabs as well; how many."""
    opened.values(_SHOW_ALL)
    drawn = opened.values(_DRAWN)
    for label, width, height, num_paths in drawn:
        assert width > 100, label
        assert height > 50, label
        assert num_paths > 3, label
    return len(drawn)


def assert_nothing_moved(opened: Opened) -> None:
    """No layout shift from the first paint until all is loaded."""
    opened.page.wait_for_timeout(300)
    assert sum(opened.values("() => window.shifts")) == 0


def assert_no_sideways_scrolling(opened: Opened) -> None:
    """The page is as wide as the window; wide tables and figures scroll by themselves."""
    widths = opened.values("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]


def background(opened: Opened) -> Any:
    return opened.values("() => getComputedStyle(document.body).backgroundColor")


def focused(opened: Opened) -> Any:
    """The text of what has the keyboard's focus."""
    return opened.values("() => document.activeElement.textContent.trim()")
