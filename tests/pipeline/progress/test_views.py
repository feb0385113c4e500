"""What is written: lines, events, frames."""

import io
import json
import re
import signal
from collections.abc import Iterator

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.progress import Progress
from pipeline.progress.events import EventView
from pipeline.progress.memory import resident_bytes
from pipeline.progress.panel import ECHO_COLUMNS, Frame, PanelView
from pipeline.progress.plain import PlainView
from pipeline.progress.stages import RunProgress
from pipeline.progress.styles import has_screen, waiting
from tests.pipeline.progress.test_stages import Seen


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """SIGINT as in a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run_with_figures() -> RunProgress:
    run = RunProgress(1000.0, 2, ("inputs", "refine", "tokenise", "pack"))
    run.begin("inputs", 12, 0, 1000.0, None).advance(12, 1001.0)
    run.end(1001.0)
    watch = Seen()
    run.begin("refine", 120, 0, 1001.0, watch)  # type: ignore[arg-type]
    watch.add(30, seconds=1.0, num_documents=12_000, num_kept=9_000)
    run.refresh(1011.0, 1_234_567_890)
    return run


def drawn(run: RunProgress, width: int, **options: object) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, **options)  # type: ignore[arg-type]
    console.print(Frame(run, 1011.0, "prepare corpus"))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 56, 60, 76, 80, 132])
def test_the_panel_fits_any_width(width: int) -> None:
    lines = drawn(run_with_figures(), width)
    assert {len(line) for line in lines} == {width - ECHO_COLUMNS}
    assert not any("…" in line for line in lines)
    assert "30/120" in "\n".join(lines)


def test_the_panel_shows_stages_figures_memory_and_what_is_to_come() -> None:
    shown = "\n".join(drawn(run_with_figures(), 80))
    assert re.search(r"✔ inputs +12/12 ", shown)
    assert re.search(r"▶ refine +30/120 ━.* 1,200 docs/s 0.1 MB/s 0:00:10", shown)
    assert re.search(r"  tokenise +│", shown)
    assert "read 12,000 (1.2 MB) · kept 9,000 · dropped 2,000 · quarantined 1,000" in shown
    assert "memory 1.2 GB · elapsed 0:00:11 · ETA of refine 0:00:30" in shown


def test_without_unicode_the_panel_is_ascii() -> None:
    text = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    Console(file=text, width=80).print(Frame(run_with_figures(), 1011.0, "prepare"))
    text.flush()
    shown = text.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "> refine" in shown
    assert "+ inputs" in shown


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = "\n".join(drawn(run_with_figures(), 80, force_terminal=True, color_system="standard"))
    codes = {code for group in re.findall(r"\x1b\[([0-9;]*)m", shown) for code in group.split(";")}
    assert codes <= {"", "0", "1", "2", "3", "4"}  # bold and dim are no colours


@given(st.text(max_size=30), st.text(max_size=30))
def test_lines_hold_no_control_character(name: str, note: str) -> None:
    text = io.StringIO()
    progress = Progress(PlainView(text))
    with progress.stage(name, 3, 1) as advance:
        advance(2)
    progress.note(note)
    lines = text.getvalue().split("\n")
    assert len(lines) == 3  # two, and what is behind the last end of line
    assert all(line.isprintable() for line in lines)


def test_a_log_gets_a_line_every_half_minute_and_one_at_the_end() -> None:
    text, clock, watch = io.StringIO(), Clock(), Seen()
    view = PlainView(text)
    progress = Progress(view, num_workers=2, clock=clock)
    with progress.stage("refine", 40, 0, watch):  # type: ignore[arg-type]
        for second in range(70):
            clock.now = 1000.0 + second
            if second % 5 == 4:
                watch.add(2, seconds=1.0, num_documents=500)
            progress.run.refresh(clock.now, None)
            view.tick(progress.run, clock.now)
        watch.add(12, seconds=1.0, num_documents=500)
    first, second_line, last = text.getvalue().splitlines()
    assert re.fullmatch(r"refine +31\.0 s  12 of 40 items · 97 documents/s .* · ETA 0:01:.*", first)
    assert "24 of 40 items" in second_line
    assert "40 items · " in last
    assert "ETA" not in last


def test_events_are_objects_a_line_with_the_sums() -> None:
    text, clock, watch = io.StringIO(), Clock(), Seen()
    view = EventView(text)
    progress = Progress(view, num_workers=2, clock=clock)
    with progress.stage("refine", 4, 1, watch):  # type: ignore[arg-type]
        watch.add(3, seconds=1.0, num_documents=300)
        clock.now += 10
        view.tick(progress.run, clock.now)
    progress.note("two\nlines")
    events = [json.loads(line) for line in text.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "stage_started",
        "progress",
        "stage_done",
        "note",
    ]
    assert events[2]["num_done"] == 4
    assert events[2]["num_done_before"] == 1
    assert events[2]["num_documents"] == 300
    assert events[2]["documents_per_second"] == 30.0
    assert events[3]["text"] == "two\nlines"
    assert {frozenset(event) for event in events[:3]} == {frozenset(events[0])}


def test_a_reader_who_is_gone_ends_the_looking_and_not_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    view = EventView(Gone())
    view.tick_seconds = 0.001  # type: ignore[misc]
    progress = Progress(view)
    progress.run.begin("refine", 1, 0, 0.0, None)
    with progress:
        progress._ticker.join(10)
        assert not progress._ticker.is_alive()


def test_memory_is_that_of_this_process_at_least() -> None:
    size = resident_bytes()
    assert size is None or 10**7 < size < 10**12


@pytest.mark.parametrize("term", ["dumb", "", "xterm"])
def test_a_file_is_no_screen_whatever_colours_are_forced(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not has_screen()


def test_what_is_waited_for_is_no_markup_and_not_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with waiting("Reading out[/x] ..."):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with waiting("Reading out[/x] ..."):
        pass
    assert "Reading out[/x] ..." in capsys.readouterr().err


def test_a_stage_that_was_done_before_is_shown_with_its_sums() -> None:
    text, before = io.StringIO(), Seen()
    before.add(2, seconds=1.0, num_documents=50, num_kept=20)
    progress = Progress(PlainView(text))
    progress.skip("refilter", 2, before)  # type: ignore[arg-type]
    assert text.getvalue() == ""
    shown = "\n".join(drawn(progress.run, 80))
    assert re.search(r"✔ refine +2/2 ", shown)
    assert "read 50 (0.0 MB) · kept 20" in shown


def drawn_until_ctrl_c(pressed: str) -> pyte.Screen:
    """The screen after a run whose user presses Ctrl-C as soon as there is that text on it."""
    screen = pyte.Screen(80, 24)
    stream = pyte.Stream(screen)

    class Terminal(io.StringIO):
        def write(self, text: str, /) -> int:
            for piece in text.splitlines(keepends=True):
                stream.feed(piece.replace("\n", "\r\n"))
                if pressed in piece and not written:
                    written.append(piece)
                    signal.raise_signal(signal.SIGINT)
            return len(text)

    written: list[str] = []
    console = Console(file=Terminal(), force_terminal=True, width=80)
    progress = Progress(PanelView(console, "prepare"), expected=["inputs", "refine"])

    def run() -> None:
        with progress:
            for name in ("inputs", "refine"):
                with progress.stage(name, 1, 0) as advance:
                    advance(1)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert written
    return screen


@pytest.mark.parametrize("pressed", ["╭", "inputs", "▶", "elapsed", "╰"])
def test_ctrl_c_while_the_panel_is_drawn_takes_it_off_the_screen(pressed: str) -> None:
    screen = drawn_until_ctrl_c(pressed)
    assert not set("".join(screen.display)) & set("╭│╰")
    assert not screen.cursor.hidden
