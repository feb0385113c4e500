"""What `prepare plan` says of a run; every number is an estimate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.ledger import Ledger, to_json
from pipeline.planning.drawing import Example


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: how long it takes by the clock, of which `fixed_seconds` whatever is read."""

    name: str
    num_items: int | None
    seconds: float
    fixed_seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes below the output directory at the end; `spool` are there for a while only."""

    refined: float
    tokens: float
    shards: float
    rest: float
    spool: float

    @property
    def total(self) -> float:
        return self.refined + self.tokens + self.shards + self.rest

    @property
    def peak(self) -> float:
        """While it runs: chunks of files are deleted once they are refined."""
        return max(self.total, self.spool + self.refined)


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the estimates of one source rest on."""

    num_files: int
    stored_bytes: int
    coverage: float
    num_documents: int  # that went through a run
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Left:
    """What records say is done of an output that is not finished, as a share of the reading."""

    num_items: int
    share: float
    seconds: float  # of work that need not be done again, by the clock


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run as it is expected. `removed` has the interval of each source's duplicates."""

    corpus: str
    num_workers: int
    ledger: Ledger
    removed: Mapping[str, tuple[float, float]]
    num_tokens: float
    num_rows: int  # of the shards
    num_shards: int
    sequence_tokens: int
    stages: tuple[Stage, ...]
    disk: Disk
    examples: tuple[Example, ...]
    max_quarantined_fraction: float
    sampled: Mapping[str, Sampled]
    unknown: tuple[str, ...]
    left: Left | None
    took_seconds: float

    @property
    def seconds(self) -> float:
        """Of the whole run, by the clock."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def quarantined_fraction(self) -> float:
        read = sum(entry.num_read for entry in self.ledger.values())
        bad = sum(entry.quarantined.total() for entry in self.ledger.values())
        return bad / max(1, read)


def to_values(prediction: Prediction) -> dict[str, Any]:
    """The same as JSON has it."""
    values = asdict(prediction)
    disk = prediction.disk
    return values | {
        "ledger": to_json(prediction.ledger),
        "seconds": prediction.seconds,
        "quarantined_fraction": prediction.quarantined_fraction,
        "disk": values["disk"] | {"total": disk.total, "peak": disk.peak},
    }
