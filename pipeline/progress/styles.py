"""Which view a run gets."""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.markup import escape

from pipeline.progress.events import EventView
from pipeline.progress.panel import PanelView
from pipeline.progress.plain import PlainView
from pipeline.progress.reporter import Progress, Style, View
from pipeline.progress.stages import RunProgress, StageProgress


class QuietView:
    """Shows nothing: errors are raised, and who catches them says them."""

    tick_seconds = 3600.0

    def open(self, run: RunProgress, now: float) -> None:
        """Nothing."""

    def close(self, run: RunProgress, now: float) -> None:
        """Nothing."""

    def started(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """Nothing."""

    def tick(self, run: RunProgress, now: float) -> None:
        """Nothing."""

    def finished(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def open_progress(
    style: Style = Style.AUTO,
    *,
    title: str = "prepare",
    num_workers: int = 1,
    expected: Sequence[str] = (),
) -> Progress:
    """Progress in a style; what `expected` names is shown before it begins."""
    views: dict[Style, View] = {Style.JSON: EventView(), Style.QUIET: QuietView()}
    view = views.get(style) or (PanelView(_console(), title) if has_screen() else PlainView())
    return Progress(view, num_workers=num_workers, expected=expected)


def has_screen() -> bool:
    """Whether stderr is a terminal that can move its cursor.

    Not what rich would say: `FORCE_COLOR`, which build servers set, makes it draw into logs.
    """
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown", "")


def waiting(text: str) -> AbstractContextManager[object]:
    """Show on a terminal that something goes on, by a line that is gone afterwards."""
    return _console().status(escape(text)) if has_screen() else nullcontext()


def _console() -> Console:
    return Console(file=sys.stderr)
