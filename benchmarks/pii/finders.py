"""The tools that look for PII: Headwater, and scripts of `benchmarks/peers` in their own Python."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.pii.scores import Found
from pipeline.text.pii.registry import KINDS, recognizers_of
from pipeline.text.pii.spans import find_spans, rows_of

PEERS = Path(__file__).parent.parent / "peers"
# Faker goes through sets of strings here and there; threads would not be one core
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}


def headwater(texts: Sequence[str], kinds: Sequence[str] = tuple(KINDS)) -> list[list[Found]]:
    """What the recognisers of those kinds find, as `anonymise` has it in its first round."""
    recognizers = recognizers_of(kinds)
    array = pa.array(texts, pa.string())
    spans = find_spans(array, recognizers)
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(texts) + 1)
    found: list[list[Found]] = [[] for _ in texts]
    for row, begin, end, which in zip(rows_of(array, spans), *spans, strict=True):
        first, text = offsets[row], texts[row].encode()
        places = [len(text[: place - first].decode()) for place in (begin, end)]
        found[row].append(Found(places[0], places[1], recognizers[which].kind))
    return found


def peer(python: Path, name: str, texts: Sequence[str]) -> list[list[Found]]:
    """What `benchmarks/peers/<name>_pii.py` finds."""
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "texts.json", Path(folder) / "spans.json"
        given.write_text(json.dumps(texts))
        run(python, f"{name}_pii.py", str(given), str(taken))
        return [[Found(*span) for span in spans] for spans in json.loads(taken.read_text())]


def run(python: Path, script: str, *arguments: str) -> None:
    """One script of the peers, to its end."""
    subprocess.run(
        [python, PEERS / script, *arguments],
        check=True,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
