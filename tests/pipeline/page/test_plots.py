"""Figures: every colour is one of the page's, nothing is loaded, hints and names are text."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pipeline.page import plots

HOSTILE = 'a "quoted" <b> & </svg><script>alert(1)</script>'


def drawn(label: str = "Bars", hints: dict[str, str] | None = None) -> str:
    figure, axes = plots.new_axes(200, xlabel="x", ylabel="y", title="t")
    axes.bar([0, 1], [1, 2], label="bars")[0].set_gid("first")
    axes.plot([0, 1], [2, 1], "o-", label="a line")
    axes.annotate("here", (0, 1))
    axes.annotate("there", (1, 1), color=(0.0, 0.0, 0.0, 1.0))
    axes.axvline(0.5, color=plots.ROLES["bad"])
    axes.legend()
    plots.legend_above(figure)
    return str(plots.draw(figure, label=label, caption=HOSTILE, hints=hints))


def test_all_colours_are_those_of_the_page() -> None:
    values = re.findall(r"(?:fill|stroke|color): ?([^;\"]+)", drawn())
    assert {"var(--ink)", "var(--muted)", "var(--grid)", "var(--c0)", "var(--bad)"} <= set(values)
    assert all(value.startswith("var(--") or value == "none" for value in values), set(values)


def test_every_role_is_a_variable_of_the_style_in_light_and_in_dark() -> None:
    style = (Path(plots.__file__).parent / "assets" / "page.css").read_text()
    for name in plots.ROLES:
        assert len(re.findall(rf"--{name}: #", style)) == 3, name  # light, dark, dark by itself


def test_what_is_given_as_text_stays_text() -> None:
    figure = ElementTree.fromstring(drawn(label=HOSTILE, hints={"first": HOSTILE}))
    namespace = "{http://www.w3.org/2000/svg}"
    (svg,) = figure.findall(f"{namespace}svg")
    assert svg.get("aria-label") == HOSTILE
    assert HOSTILE in [title.text for title in svg.iter(f"{namespace}title")]
    assert figure.findtext("figcaption") == HOSTILE
    assert not list(figure.iter("script"))


def test_the_same_figure_is_the_same_bytes_and_two_share_no_id() -> None:
    assert drawn() == drawn()
    ids = [set(re.findall(r'id="([^"]+)"', drawn(label))) for label in ("one", "two")]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_nothing_is_asked_of_another_host() -> None:
    links = re.findall(r'(?:href="|src="|url\()([^")]+)', drawn())
    assert links
    assert all(link.startswith("#") for link in links), links


@pytest.mark.parametrize("number", [0, 7, 8, 15])
def test_colours_of_series_repeat_after_eight(number: int) -> None:
    assert plots.series(number) == plots.series(number + 8)
