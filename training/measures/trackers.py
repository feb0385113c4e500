"""Where figures go besides `metrics.jsonl`: TensorBoard, and Weights & Biases where asked for.

A tracker is anything with `log`, `cut` and `close`. No step is ever drawn twice: TensorBoard is
told at which step a resumed run goes on, and hides what came after it; W&B keeps the first value of
a step of the run whose id lies in `wandb-id`.
"""

import importlib.util
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from training.config.evaluation import Wandb
from training.errors import ConfigError
from training.measures.metrics import MetricsFile

ID_FILE = "wandb-id"


class Tracker(Protocol):
    """Receives the figures of a step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """`values` are finite, by names such as `eval/domain/perplexity`."""

    def cut(self, step: int) -> None:
        """The run goes back to `step`; what came after it comes again."""

    def close(self) -> None:
        """Hand everything over; no `log` follows."""


class TensorBoard:
    """Event files in one directory; a part of a resumed run adds one."""

    def __init__(self, directory: Path, resumed_step: int | None) -> None:
        # Step 0 too: a run that died before its first checkpoint starts anew in the directory.
        self._directory = directory
        self._writer = self._open(0 if resumed_step is None else resumed_step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def cut(self, step: int) -> None:
        """Go on in another file, which hides later points of the ones before it."""
        self._writer.close()
        self._writer = self._open(step + 1)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()

    def _open(self, first: int) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard reads the files by name: the second they were opened in, then the process
        # and a count as text ("10" before "9"). Two of one second could be read the wrong way.
        while any(self._directory.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
            time.sleep(0.02)
        return SummaryWriter(str(self._directory), purge_step=first)


class WandbRun:
    """One W&B run, the same one after a resume. `WANDB_MODE=offline` writes to `out/wandb`."""

    def __init__(
        self, config: Wandb, out: Path, resumed_step: int | None, values: Mapping[str, Any]
    ) -> None:
        import wandb

        path = out / ID_FILE
        if resumed_step is None or not path.exists():
            path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
        self._run = wandb.init(
            project=config.project,
            name=config.name,
            dir=str(out),
            id=path.read_text(encoding="utf-8").strip(),
            resume="allow",
            config=dict(values),
            settings=wandb.Settings(silent=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add to the step, which must not be before the last one."""
        self._run.log(dict(values), step=step)

    def cut(self, step: int) -> None:
        """Nothing: W&B's steps only rise, so it ignores them until the run is past the old ones."""

    def close(self) -> None:
        """Wait until everything is handed over."""
        self._run.finish()


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """The metrics file, and the trackers beside it, behind one `write`; and the file of samples."""

    metrics: MetricsFile
    trackers: tuple[Tracker, ...] = ()
    samples: MetricsFile = field(default_factory=partial(MetricsFile, None, None))

    def write(self, kind: str, step: int, **values: Any) -> None:
        """One line of the file; every finite number in it to the trackers."""
        self.metrics.write(kind, step, **values)
        numbers = flatten(kind, values)
        for tracker in self.trackers if numbers else ():
            tracker.log(step, numbers)

    def sync(self) -> None:
        """Make the lines of the files durable."""
        self.metrics.sync()
        self.samples.sync()

    def cut(self, step: int) -> None:
        """Forget what came after `step`: the run goes back to it."""
        self.metrics.cut(step)
        self.samples.cut(step)
        for tracker in self.trackers:
            tracker.cut(step)

    def close(self) -> None:
        """Close all."""
        self.metrics.close()
        self.samples.close()
        for tracker in self.trackers:
            tracker.close()


def check_trackers(wandb: Wandb | None) -> None:
    """Raise `ConfigError`, before anything is loaded, where W&B is asked for and not installed."""
    if wandb is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            f"wandb: got project {wandb.project!r}, but wandb is not installed; "
            "pip install 'headwater[wandb]', or leave wandb out"
        )


def open_trackers(
    *,
    tensorboard: bool,
    wandb: Wandb | None,
    out: Path,
    resumed_step: int | None,
    config: Mapping[str, Any],
    say: Callable[[str], None],
) -> tuple[Tracker, ...]:
    """The trackers of the main rank. Without `tensorboard` installed, one line says so."""
    trackers: list[Tracker] = []
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        say("tensorboard is not installed, so only metrics.jsonl is written")
    elif tensorboard:
        trackers.append(TensorBoard(out / "tensorboard", resumed_step))
    if wandb is not None:
        check_trackers(wandb)
        trackers.append(WandbRun(wandb, out, resumed_step, config))
    return tuple(trackers)


def flatten(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Nested numbers by their path, such as `eval/sources/domain/loss`; finite ones only."""
    flat: dict[str, float] = {}
    for key, value in values.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(name, value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat.update({name: float(value)} if math.isfinite(value) else {})
    return flat
