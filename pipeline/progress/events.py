"""JSON lines for machines, one event a line, on stdout. `docs/progress.md` has the schema."""

import json
import sys
from typing import Any, TextIO

from pipeline.progress.figures import Figures
from pipeline.progress.stages import RunProgress, StageProgress


def write_event(event: str, *, file: TextIO | None = None, **values: Any) -> None:
    """Write one event, and let its reader have it at once."""
    out = file or sys.stdout
    out.write(json.dumps({"event": event, **values}) + "\n")  # at once: Ctrl-C may come any time
    out.flush()


class EventView:
    """A stage that begins and ends, and once a second how far it is."""

    tick_seconds = 1.0

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout

    def open(self, run: RunProgress, now: float) -> None:
        """Nothing is held."""

    def close(self, run: RunProgress, now: float) -> None:
        """The outcome is the command's to tell."""

    def started(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """`stage_started`."""
        self._write("stage_started", run, stage, now)

    def tick(self, run: RunProgress, now: float) -> None:
        """`progress`, while there is a stage."""
        if run.current is not None:
            self._write("progress", run, run.current, now)

    def finished(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """`stage_done`."""
        self._write("stage_done", run, stage, now)

    def note(self, text: str) -> None:
        """`note`."""
        write_event("note", file=self._file, text=text)

    def _write(self, event: str, run: RunProgress, stage: StageProgress, now: float) -> None:
        write_event(
            event,
            file=self._file,
            stage=stage.name,
            num_items=stage.num_items,
            num_done=stage.num_done,
            num_done_before=stage.num_before,
            seconds=round(stage.seconds(now), 3),
            elapsed_seconds=round(now - run.started, 3),
            eta_seconds=_rounded(stage.eta_seconds(now)),
            documents_per_second=_rounded(stage.documents_per_second(now)),
            bytes_per_second=_rounded(stage.bytes_per_second(now)),
            memory_bytes=run.memory_bytes,
            **_sums(stage.figures),
        )


def _sums(figures: Figures) -> dict[str, int]:
    names = ("documents", "bytes", "kept", "dropped", "quarantined", "removed", "tokens")
    return {f"num_{name}": getattr(figures, f"num_{name}") for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
