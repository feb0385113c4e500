"""Tokenising and packing beside bare fastokens: the same texts, one thread each, in turn.

Ours reads refined files, encodes, checks what came, writes token files, reads them, plans rows and
writes parts, hashes and records. Bare is `Tokenizer.encode_batch_flat`, the fastest call that there
is, on lists of str that were made before, by batches of a refined file; its ids are thrown away.
Bare does without the texts that fastokens refuses (SmolLM2 has no token for some bytes).
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from benchmarks.shards.output import pack_again
from pipeline.arrow import num_value_bytes
from pipeline.plan import Plan
from pipeline.refined import RowReader


class Round(NamedTuple):
    """CPU seconds of each side."""

    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Our rate beside the bare one."""
        return self.bare / self.ours


def measure(plan: Plan, rounds: int) -> tuple[int, list[Round]]:
    """Bytes of text, and what each round took; who begins alternates."""
    batches = _accepted(plan)
    num_bytes = sum(int(num_value_bytes(text).sum()) for text in batches)
    pack_again(plan)  # the tokenizer is loaded, the kernels are compiled
    measured = []
    for number in range(rounds):
        if number % 2:
            bare = _bare(plan, batches)
            measured.append(Round(pack_again(plan), bare))
        else:
            measured.append(Round(pack_again(plan), _bare(plan, batches)))
    return num_bytes, measured


def _accepted(plan: Plan) -> list[pa.StringArray]:
    """Texts of all refined files by their batches, without those that fastokens refuses."""
    tokenizer = _tokenizer(plan)

    def accepted(part: pa.StringArray) -> list[pa.StringArray]:
        try:
            tokenizer.encode_batch_flat(part.to_pylist(), split_special_tokens=True)
        except ValueError:
            middle = len(part) // 2
            return accepted(part[:middle]) + accepted(part[middle:]) if middle else []
        return [part]

    paths = sorted((plan.out / "refined").rglob("*.kept.arrow"))
    batches = [batch["text"] for path in paths for batch in RowReader(path, "text").batches()]
    return [pa.concat_arrays(parts) for batch in batches if (parts := accepted(batch))]


def _bare(plan: Plan, batches: Sequence[pa.StringArray]) -> float:
    tokenizer, seconds = _tokenizer(plan), 0.0
    for batch in batches:
        rows = batch.to_pylist()  # new ones each time: a str keeps its UTF-8 for the next call
        started = time.process_time()
        tokenizer.encode_batch_flat(rows, split_special_tokens=True)
        seconds += time.process_time() - started
    return seconds


def _tokenizer(plan: Plan) -> Any:
    from fastokens import Tokenizer

    path = next((plan.out / "tokenizer").rglob("tokenizer.json"))
    return Tokenizer.from_file(str(path))
