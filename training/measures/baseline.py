"""`baseline.arrow`: what each validation document cost before the run changed the model.

One row per document: source, step, key, nats, num_targets, num_bytes. `step` is when the source
was first scored: 0, or where it was added to the run. Written whole, under a temporary name.
`evaluation.arrow` has the same of the last evaluation, so that two runs can be compared document by
document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files import arrow_writer
from training.errors import ResumeError
from training.evaluate import Evaluation
from training.measures.documents import Documents

FILE_NAME = "baseline.arrow"
LATEST_NAME = "evaluation.arrow"
SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("nats", pa.float64(), nullable=False),
        pa.field("num_targets", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """The first evaluation of each source, and the step at which it was."""

    documents: Mapping[str, Documents] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)

    def extended(self, evaluation: Evaluation, step: int) -> "Baseline":
        """With the sources of `evaluation` that it has not; itself where there are none."""
        new = {k: v for k, v in evaluation.documents.items() if k not in self.documents}
        if not new:
            return self
        steps = dict.fromkeys(new, step)
        return Baseline(documents={**self.documents, **new}, steps={**self.steps, **steps})


def write_baseline(out: Path, baseline: Baseline, name: str = FILE_NAME) -> None:
    """Write `out/baseline.arrow`, also for a run without validation rows."""
    with arrow_writer(out / name, SCHEMA) as writer:
        for name, documents in sorted(baseline.documents.items()):
            writer.write_batch(_batch(name, baseline.steps[name], documents))


def write_latest(out: Path, evaluation: Evaluation, step: int) -> None:
    """Write `out/evaluation.arrow`."""
    steps = dict.fromkeys(evaluation.documents, step)
    write_baseline(out, Baseline(documents=evaluation.documents, steps=steps), LATEST_NAME)


def read_baseline(out: Path, step: int, name: str = FILE_NAME) -> Baseline:
    """Read what was written by a run that resumes at `step`; later sources are left out.

    Raises `ResumeError` where the file is missing or damaged: the report cannot do without.
    """
    path = out / name
    try:
        table = pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()
        table = table.select(SCHEMA.names).filter(pc.less_equal(table["step"], step))
    except (OSError, pa.ArrowInvalid, KeyError) as exc:
        raise ResumeError(
            f"{path}: cannot be read ({exc}); the changes against step 0 need it: put the file "
            "back, or give another --out to start a new run"
        ) from exc
    names = sorted(table["source"].unique().to_pylist())
    parts = {name: table.filter(pc.equal(table["source"], name)) for name in names}
    return Baseline(
        documents={name: _documents(part) for name, part in parts.items()},
        steps={name: part["step"][0].as_py() for name, part in parts.items()},
    )


def _batch(name: str, step: int, documents: Documents) -> pa.RecordBatch:
    count = len(documents)
    raw = pa.py_buffer(np.ascontiguousarray(documents.keys, dtype="<u8").tobytes())
    columns = [
        pa.array([name] * count, pa.string()),
        pa.array(np.full(count, step, dtype=np.int64)),
        pa.Array.from_buffers(pa.binary(16), count, [None, raw]),
        pa.array(documents.nats),
        pa.array(documents.num_targets),
        pa.array(documents.num_bytes),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _documents(table: pa.Table) -> Documents:
    raw = b"".join(table["key"].to_pylist())
    return Documents(
        keys=np.frombuffer(raw, dtype="<u8").reshape(-1, 2).astype(np.uint64),
        nats=table["nats"].to_numpy(),
        num_targets=table["num_targets"].to_numpy(),
        num_bytes=table["num_bytes"].to_numpy(),
    )
