"""The libraries whose formats are written, each in a process of its own.

Megatron-core takes seconds to import and sets up loggers; mosaicml-streaming pins an older numpy
and transformers, and imports torchvision for datasets of images, which is not needed here.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MEGATRON = """
import sys
import numpy as np
from megatron.core.datasets.indexed_dataset import IndexedDataset
for prefix in sys.argv[1:]:
    data = IndexedDataset(prefix)
    np.savez(
        prefix + ".npz",
        values=np.concatenate([data[i] for i in range(len(data))]),
        lengths=data.sequence_lengths,
        documents=data.document_indices,
    )
"""
BUILD_MEGATRON = """
import json, sys
import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
folder, documents, *dtypes = sys.argv[1:]
for dtype in dtypes:
    builder = IndexedDatasetBuilder(f"{folder}/{dtype}.bin", dtype=getattr(np, dtype))
    for sequences in json.loads(documents):
        for ids in sequences:
            builder.add_item(torch.tensor(ids, dtype=torch.int64))
        builder.end_document()
    builder.finalize(f"{folder}/{dtype}.idx")
"""
STREAMING = """
import sys
from unittest.mock import MagicMock
sys.modules["streaming.vision"] = MagicMock()
import numpy as np
from streaming import StreamingDataset
folder, target = sys.argv[1:]
data = StreamingDataset(local=folder, shuffle=False, batch_size=1, validate_hash="xxh3_128")
samples = [data[i] for i in range(len(data))]
arrays = {}
for name in samples[0]:
    values = [np.asarray(sample[name]) for sample in samples]
    arrays[name] = np.concatenate([value.reshape(-1) for value in values])
    arrays[name + ".lengths"] = np.array([value.size for value in values])
np.savez(target, **arrays)
"""


def needs(module: str) -> Any:
    """Skip where the library is not installed."""
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top) is not None
    return pytest.mark.skipif(not found, reason=f"{top} is not installed")


def run(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def read_megatron(folder: Path, names: list[str]) -> list[list[np.ndarray]]:
    """Documents of datasets below a folder, as megatron-core reads them."""
    run(MEGATRON, *(str(folder / name) for name in names))
    found = []
    for name in names:
        read = np.load(folder / f"{name}.npz")
        ends = np.concatenate([[0], np.cumsum(read["lengths"])])[read["documents"]]
        found.append(np.split(read["values"], ends[1:-1]))
    return found


def build_megatron(folder: Path, dtypes: list[str], documents: list[list[list[int]]]) -> None:
    """Datasets `folder/<dtype>` of documents of sequences, as megatron-core builds them."""
    run(BUILD_MEGATRON, str(folder), json.dumps(documents), *dtypes)


def read_streaming(folder: Path, tmp_path: Path) -> dict[str, list[np.ndarray]]:
    """Columns of an MDS dataset as mosaicml-streaming reads them, an array a row."""
    target = tmp_path / "streaming.npz"
    run(STREAMING, str(folder), str(target))
    read = np.load(target)
    names = [name for name in read.files if not name.endswith(".lengths")]
    return {name: np.split(read[name], np.cumsum(read[f"{name}.lengths"])[:-1]) for name in names}
