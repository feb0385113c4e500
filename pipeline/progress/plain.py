"""Lines for a log: one when a stage is done, and one every half minute while it is not."""

import sys
from typing import TextIO

from pipeline.progress import text
from pipeline.progress.stages import RunProgress, StageProgress

PLAIN_SECONDS = 30.0


class PlainView:
    """Writes lines without any control character."""

    tick_seconds = 1.0

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._printed = 0.0

    def open(self, run: RunProgress, now: float) -> None:
        """Nothing is held."""

    def close(self, run: RunProgress, now: float) -> None:
        """Nothing is held."""

    def started(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """Nothing is said before there is something to say."""
        self._printed = now

    def tick(self, run: RunProgress, now: float) -> None:
        """A line, if the last one is long ago."""
        stage = run.current
        if stage is None or now - self._printed <= PLAIN_SECONDS:
            return
        self._printed = now
        done = f"{stage.num_done:,} of {stage.num_items:,} items"
        left = stage.eta_seconds(now)
        eta = [] if left is None else [f"ETA {text.clock(left)}"]
        self._print(stage, now, [done, *_rates(stage, now), *_fates(stage), *eta])

    def finished(self, run: RunProgress, stage: StageProgress, now: float) -> None:
        """The line that stays."""
        before = f", {stage.num_before:,} of them done before" if stage.num_before else ""
        done = f"{stage.num_items:,} items{before}"
        self._print(stage, now, [done, *_rates(stage, now), *_fates(stage)])

    def note(self, text: str) -> None:
        """A line of its own."""
        self._line(text)

    def _print(self, stage: StageProgress, now: float, parts: list[str]) -> None:
        self._line(f"{stage.name:<12} {stage.seconds(now):7.1f} s  {' · '.join(parts)}")

    def _line(self, line: str) -> None:
        print("".join(c if c.isprintable() else "?" for c in line), file=self._file, flush=True)


def _rates(stage: StageProgress, now: float) -> list[str]:
    documents, num_bytes = stage.documents_per_second(now), stage.bytes_per_second(now)
    parts = [f"{text.documents_rate(documents)} documents/s"] if documents else []
    return parts + ([f"{text.bytes_rate(num_bytes)} MB/s"] if num_bytes else [])


def _fates(stage: StageProgress) -> list[str]:
    figures = stage.figures
    if not figures.is_refined:
        return []
    return [
        f"kept {figures.num_kept:,}",
        f"dropped {figures.num_dropped:,}",
        f"quarantined {figures.num_quarantined:,}",
    ]
