"""The live panel: all stages, and what became of the documents, redrawn in place."""

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.progress import text
from pipeline.progress.stages import RunProgress, StageProgress

REDRAWS_PER_SECOND = 4
FULL_COLUMNS = 76  # a narrower terminal has no room for the bars
RATE_COLUMNS = 60  # nor, below this, for the rates
ECHO_COLUMNS = 4  # left free: a terminal echoes Ctrl-C, and must not scroll the panel for it


class PanelView:
    """A `rich` panel on a terminal, which is gone when the run ends."""

    tick_seconds = 1 / REDRAWS_PER_SECOND

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def open(self, run: RunProgress, now: float) -> None:
        """Hide the cursor, take care of what others print, and show what is to come."""
        self._live.start()
        self.tick(run, now)

    def close(self, run: RunProgress, now: float) -> None:
        """Take the panel off the screen, show the cursor again, and leave one line."""
        self._live.stop()
        if seen := [stage for stage in run.rows.values() if stage.total_seconds(now) > 0]:
            stages = " · ".join(f"{each.row} {each.total_seconds(now):.1f} s" for each in seen)
            peak = f" · at most {text.memory(run.peak_bytes)}" if run.peak_bytes else ""
            self._line(f"{stages} · in all {now - run.started:.1f} s{peak}")

    def started(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """Shown at once: the next tick may be the stage's last."""
        self.tick(run, now)

    def tick(self, run: RunProgress, now: float) -> None:
        """Draw it again."""
        self._live.update(Frame(run, now, self._title), refresh=True)

    def finished(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """Shown at once, with all its items."""
        self.tick(run, now)

    def note(self, text: str) -> None:
        """A line above the panel."""
        self._line(text)

    def _line(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True, highlight=False)


class Frame:
    """One picture of a run, for any width."""

    def __init__(self, run: RunProgress, now: float, title: str) -> None:
        self._run, self._now, self._title = run, now, title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stages = self._stages(options.max_width, ascii_only=options.ascii_only)
        yield Panel(
            Group(stages, Text(), *self._sums()),
            title=Text(self._title),
            title_align="left",
            border_style="dim",
            width=options.max_width - ECHO_COLUMNS,
        )

    def _stages(self, width: int, *, ascii_only: bool) -> Table:
        has_bar, has_rates = width >= FULL_COLUMNS, width >= RATE_COLUMNS
        table = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for justify in ("left", "left", "right"):
            table.add_column(justify=justify, no_wrap=True)
        if has_bar:
            table.add_column(ratio=1)
        for _ in range(3 if has_rates else 1):
            table.add_column(justify="right", no_wrap=True)
        for stage in self._run.rows.values():
            cells = [_mark(stage, ascii_only=ascii_only), Text(stage.name), _items(stage)]
            bar = [_bar(stage)] if has_bar else []
            rates = self._rates(stage) if has_rates else []
            table.add_row(*cells, *bar, *rates, Text(text.clock(stage.total_seconds(self._now))))
        for name in self._run.to_come():
            table.add_row("", Text(name, style="dim"))
        return table

    def _rates(self, stage: StageProgress) -> list[Text]:
        documents = stage.documents_per_second(self._now)
        num_bytes = stage.bytes_per_second(self._now)
        return [
            Text(f"{text.documents_rate(documents)} docs/s" if documents else ""),
            Text(f"{text.bytes_rate(num_bytes)} MB/s" if num_bytes else ""),
        ]

    def _sums(self) -> list[Text]:
        run, stage = self._run, self._run.current
        parts = [f"elapsed {text.clock(self._now - run.started)}"]
        if run.memory_bytes:
            parts.insert(0, f"memory {text.memory(run.memory_bytes)}")
        if stage is not None:
            parts.append(f"ETA of {stage.name} {text.clock(stage.eta_seconds(self._now))}")
        return [Text(text.documents(run)), Text(" · ".join(parts))]


def _mark(stage: StageProgress, *, ascii_only: bool) -> Text:
    if stage.ended is None:
        return Text(">" if ascii_only else "▶", style="cyan")
    return Text("+" if ascii_only else "✔", style="green")


def _items(stage: StageProgress) -> Text:
    return Text(f"{stage.num_done:,}/{stage.num_items:,}")


def _bar(stage: StageProgress) -> ProgressBar:
    return ProgressBar(total=max(1, stage.num_items), completed=stage.num_done or 0)
