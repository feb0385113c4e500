"""The page of `train report` in a real browser, from disk and without a network."""

import shutil
from pathlib import Path

import pytest

from tests.browser import common
from tests.browser.conftest import Open
from tests.training.conftest import tiny_llama, write_spoken_shards
from tests.training.reporting.finished import finished
from training.reporting.comparing import read_pair
from training.reporting.comparison_page import write_comparison
from training.reporting.page import write_report

pytestmark = pytest.mark.browser
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(15, 20, 26)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    tiny_llama().save_pretrained(folder / "model")
    return finished(folder / "model", write_spoken_shards(folder / "shards"), folder)


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    return write_report(run)


def test_it_opens_from_disk_with_every_plot_drawn(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    assert opened.page.title() == "Training: run"
    assert common.assert_every_plot_is_drawn(opened) >= 9


def test_nothing_moves_while_it_opens(report: Path, open_page: Open) -> None:
    for width in (1280, 400):
        common.assert_nothing_moved(open_page(report, width=width))


def test_text_of_documents_is_text(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    assert page.locator("#samples .sample script").count() == 0
    assert "<script>alert" in "".join(page.locator("#samples .sample").all_inner_texts())


def test_tabs_change_by_the_keyboard(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    tabs = page.locator("#learning [role=tab]")
    panels = page.locator("#learning [role=tabpanel]")
    assert tabs.count() == 3
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert [panels.nth(n).is_visible() for n in range(3)] == [False, True, False]
    assert tabs.nth(1).evaluate("tab => tab === document.activeElement")


def test_the_theme_follows_the_system_and_the_button(report: Path, open_page: Open) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    for scheme, wanted in (("light", LIGHT), ("dark", DARK)):
        opened = open_page(report, color_scheme=scheme)
        assert opened.values(colour) == wanted
        ink = "getComputedStyle(document.querySelector('#learning svg text')).fill"
        assert opened.values(ink) != wanted


def test_two_runs_side_by_side_open_too(run: Path, tmp_path: Path, open_page: Open) -> None:
    other = shutil.copytree(run, tmp_path / "other", symlinks=True)
    page = write_comparison(read_pair(run, other), tmp_path / "both.html")
    assert common.assert_every_plot_is_drawn(open_page(page)) == 3
