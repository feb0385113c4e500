"""Figures by matplotlib as inline SVG whose colours are the page's: they follow its theme.

A figure is drawn with a colour of its own for each role; in the SVG that colour becomes the page's
variable of this name. Text stays text, in the page's fonts, so it can be searched and is small.
"""

import re
import warnings
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:  # 0.3 s: commands that draw nothing do not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 760.0  # units of the SVG: pixels, where the page is as wide
SMALL_WIDTH, SMALL_HEIGHT = 360.0, 190.0

SERIES = tuple(f"c{number}" for number in range(8))

# Colours that nothing else has. `series` are told apart by those who see few colours, too.
ROLES: Mapping[str, str] = {
    name: f"#01fe{number:02x}"
    for number, name in enumerate(
        ("ink", "muted", "grid", "surface", "raised", "accent", "good", "bad", "mark", *SERIES)
    )
}


def series(number: int) -> str:
    """The colour of the curve or bar of that number; they repeat after 8."""
    return ROLES[SERIES[number % len(SERIES)]]


def new_axes(height: float, **labels: str) -> "tuple[Figure, Axes]":
    """An empty figure `WIDTH` wide with one pair of axes. `labels`: `xlabel`, `ylabel`, `title`."""
    figure, (axes,) = new_row(height, 1)
    axes.set(**labels)
    return figure, axes


def new_small(**labels: str) -> "tuple[Figure, Axes]":
    """Like `new_axes`, for `elements.grid`: half as wide, with margins that fit short numbers.

    A layout that fits what is drawn takes as long as the drawing, and a page may have a hundred.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_style()):
        figure = Figure(figsize=(SMALL_WIDTH / 72, SMALL_HEIGHT / 72))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.12, right=0.95, top=0.96, bottom=0.24)
    axes.patch.set_visible(False)
    axes.set(**labels)
    return figure, axes


def new_row(height: float, num_axes: int, **options: Any) -> "tuple[Figure, list[Axes]]":
    """Several pairs of axes side by side; `options` as `Figure.subplots` has them."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_style()):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        axes = figure.subplots(1, num_axes, squeeze=False, **options)
    for each in axes[0]:
        each.patch.set_visible(False)  # the page is behind it
    return figure, list(axes[0])


def legend_above(figure: "Figure") -> None:
    """What the colours mean, over the axes, where it hides nothing."""
    (axes, *_) = figure.axes
    names = axes.get_legend_handles_labels()
    figure.legend(*names, loc="outside upper left", ncols=4, frameon=False)


def draw(
    figure: "Figure", *, label: str, caption: str = "", hints: Mapping[str, str] | None = None
) -> Markup:
    """The figure as `<figure>`. `label` says in one sentence what is to be seen, for who cannot.

    No two figures of a page have one label: the names inside of them are made of it.

    `hints` are shown where the pointer is, by the `gid` of what was drawn.
    """
    import matplotlib as mpl
    from matplotlib.colors import same_color
    from matplotlib.text import Text

    for word in figure.findobj(Text):  # what was added outside of `new_row`, which has the style
        if same_color(word.get_color(), "black"):
            word.set_color(ROLES["ink"])
    text = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    from matplotlib.legend import Legend
    from matplotlib.text import Text

    figure.patch.set_visible(False)
    for each in figure.findobj(Text):
        each.set_parse_math(False)  # a name may hold two `$`
    for legend in figure.findobj(Legend):
        legend.set_frame_on(False)
    with mpl.rc_context(_style() | {"svg.hashsalt": label}), warnings.catch_warnings():
        # The text stays text, so its letters are of the browser's fonts.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", category=UserWarning)
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = _themed(text.getvalue(), label, hints or {})
    under = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup("<figure>{}{}</figure>").format(Markup(svg), under)


def _themed(svg: str, label: str, hints: Mapping[str, str]) -> str:
    """Without its own size, fonts and names, which would meet those of the page."""
    svg = re.sub(r"<[^>]+>", _rounded, svg[svg.index("<svg") :])
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>", "", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        lambda found: (
            f'<svg role="img" aria-label="{escape(label)}" viewBox="{found[1]}" '
            'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        ),
        svg,
        count=1,
    )
    for name, hint in hints.items():
        svg = svg.replace(f'<g id="{name}">', f"<g><title>{escape(hint)}</title>")
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for name, colour in ROLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r"\s*\n\s*", " ", svg)


def _rounded(tag: re.Match[str]) -> str:
    """A tag whose numbers have one decimal: a tenth of a pixel is not seen. Text is left alone."""
    plain = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", tag[0])
    return re.sub(r"(\d+\.\d)\d+", r"\1", plain)


def _style() -> Any:
    """As `rc_context` takes it, whose type lists every name that there is."""
    return {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.size": 12.0,
        "axes.edgecolor": ROLES["muted"],
        "axes.labelcolor": ROLES["muted"],
        "axes.titlecolor": ROLES["ink"],
        "axes.titlesize": 12.0,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": _cycle(),
        "grid.color": ROLES["grid"],
        "grid.linewidth": 0.7,
        "text.color": ROLES["ink"],
        "xtick.color": ROLES["muted"],
        "ytick.color": ROLES["muted"],
        "legend.frameon": False,
        "lines.linewidth": 1.6,
    }


def _cycle() -> Any:
    from cycler import cycler

    return cycler(color=[series(number) for number in range(8)])
