"""`run.json`: what a run is made of, written before its first step and again at every resume.

Its config with all defaults, the mix that is planned, and what the shards, the model and the
libraries are. Reports and comparisons read it; a run goes on from its checkpoint alone.
"""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from pipeline.errors import PrepareError
from pipeline.files import read_json, write_json
from pipeline.releases import release
from training.config import TrainConfig
from training.data import Data
from training.parallel import Workers

FILE_NAME = "run.json"
FORMAT_VERSION = 1
NUM_POINTS = 100  # of the planned mix, over the run; fewer where it has fewer steps
END_BYTES = 1 << 20
LIBRARIES = ("headwater", "torch", "transformers", "tokenizers", "numpy", "pyarrow")


def write_record(config: TrainConfig, data: Data, workers: Workers, step: int) -> None:
    """Write `out/run.json`; the parts that the run had before stay in it. For the main rank."""
    parts = [part for part in _parts(config.out) if part["step"] < step]
    write_json(
        config.out / FILE_NAME,
        record_values(config, data)
        | {
            "versions": versions(),
            "parts": [*parts, _part(workers, step)],
        },
    )


def record_values(config: TrainConfig, data: Data) -> dict[str, Any]:
    """What does not depend on when and where the run is."""
    return {
        "format_version": FORMAT_VERSION,
        "config": config.model_dump(mode="json"),
        "num_steps": data.num_steps,
        "sources": [
            {
                "name": size.name,
                "num_rows": size.num_rows,
                "num_tokens": size.num_tokens,
                "num_drawn_rows": int(drawn),
            }
            for size, drawn in zip(data.mix.sizes, data.plan.drawn[-1], strict=True)
        ],
        "planned_mix": planned_mix(data),
        "shards": [
            {
                "path": str(shards.path),
                "corpus": shards.index.corpus,
                "fingerprint": shards.index.fingerprint(),
                "manifest_fingerprint": shards.index.manifest_fingerprint,
                "sequence_tokens": shards.index.sequence_tokens,
                "tokenizer": shards.index.tokenizer.fingerprint,
            }
            for shards in data.sets
        ],
        "model": {"path": config.model_path, "fingerprint": model_fingerprint(config.model_path)},
    }


def planned_mix(data: Data) -> dict[str, Any]:
    """What the plan shares out to the sources over the run, and what the config asks for.

    `weights`: shares of the tokens in `NUM_POINTS` equal parts of the run, `steps` their middles;
    curricula, `max_epochs` and the control log are in them. `ends`: the config's weights at the
    first and the last step, without these.
    """
    num_parts = min(NUM_POINTS, data.num_steps)
    edges = np.linspace(0.0, 1.0, num_parts + 1)
    tokens = np.diff(data.plan.tokens_before(edges * data.plan.num_rows), axis=0)  # (parts, S)
    shares = tokens / tokens.sum(axis=1, keepdims=True)
    ends = np.stack([data.weights_at(0.0), data.weights_at(1.0)])
    middles = (edges[1:] + edges[:-1]) / 2
    return {
        "steps": (middles * data.num_steps).round(3).tolist(),
        "weights": {name: shares[:, i].round(6).tolist() for i, name in enumerate(data.names)},
        "ends": {name: ends[:, i].round(6).tolist() for i, name in enumerate(data.names)},
    }


def model_fingerprint(path: str) -> str | None:
    """Of the config, and of the size, first and last MB of each file of weights.

    Another fine-tuning differs in them; a whole hash of a large model would take minutes. None for
    a model of the hub.
    """
    folder = Path(path)
    if not folder.is_dir():
        return None
    found = xxhash.xxh3_128()
    for file in sorted([*folder.glob("config.json"), *folder.glob("*.safetensors")]):
        size = file.stat().st_size
        found.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as opened:
            found.update(opened.read(END_BYTES))
            opened.seek(max(0, size - END_BYTES))
            found.update(opened.read())
    return found.hexdigest()


def versions() -> dict[str, str]:
    """Releases of Python and of the libraries that a run depends on."""
    releases = (release(name).split(" ", 1) for name in LIBRARIES)
    return {"python": platform.python_version()} | {
        name: rest[0] if rest else "not installed" for name, *rest in releases
    }


def _part(workers: Workers, step: int) -> dict[str, Any]:
    device = workers.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "step": step,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_processes": workers.size,
        "device": f"{device.type} ({name})",
    }


def _parts(out: Path) -> list[dict[str, Any]]:
    """Of the file that is there; one that cannot be read tells nothing that the run needs."""
    if not (out / FILE_NAME).is_file():
        return []
    try:
        return list(read_json(out / FILE_NAME)["parts"])
    except (PrepareError, KeyError):
        return []
