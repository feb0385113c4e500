"""Documents of ids that come chunk by chunk, packed into parts of the shards.

A part is cut where `prepare run` would cut it: after the document that fills `shard_tokens`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.shards import Shard, TokenizerIdentity, token_type
from pipeline.tokens.config import PackConfig
from pipeline.tokens.engines import offsets_of
from pipeline.tokens.packing import make_plan
from pipeline.tokens.parts import write_part
from pipeline.tokens.token_file import TokenisedDocuments, joined

Entry = tuple[str, str, str | None]  # source, split and stratum


class Packer:
    """Writes the parts of one source, split and stratum; holds one part and one chunk."""

    def __init__(
        self, shards: Path, entry: Entry, config: PackConfig, identity: TokenizerIdentity
    ) -> None:
        self._shards, self._entry = shards, entry
        self._config, self._identity = config, identity
        self._waiting: list[TokenisedDocuments] = []
        self._num_waiting_tokens = 0
        self.shards: list[Shard] = []

    def add(self, documents: TokenisedDocuments) -> None:
        """Append documents, and write every part that is full."""
        ends = documents.offsets[1:]
        first, used = 0, 0
        while first < len(ends):
            room = self._config.shard_tokens - self._num_waiting_tokens
            last = min(int(np.searchsorted(ends, used + room)) + 1, len(ends))
            self._waiting.append(_slice(documents, first, last))
            self._num_waiting_tokens += int(ends[last - 1]) - used
            first, used = last, int(ends[last - 1])
            if self._num_waiting_tokens >= self._config.shard_tokens:
                self._write()

    def close(self) -> None:
        """Write the last part."""
        if self._num_waiting_tokens:
            self._write()

    def _write(self) -> None:
        source, split, stratum = self._entry
        documents = _joined(self._waiting)
        self._waiting, self._num_waiting_tokens = [], 0
        name = part_path(self._entry, len(self.shards))
        plan = make_plan(np.diff(documents.offsets), self._config)
        dtype, width = token_type(self._identity.num_ids), self._config.sequence_tokens
        path = self._shards / name
        counts = write_part(path, plan, documents, width, dtype, self._identity.pad_id)
        self.shards.append(Shard(path=name, source=source, split=split, stratum=stratum, **counts))


def part_path(entry: Entry, number: int) -> str:
    """Where a part of a source, split and stratum lies in the shard directory."""
    folder = "/".join(name for name in entry if name is not None)
    return f"{folder}/part-{number:05d}.arrow"


def select(documents: TokenisedDocuments, rows: np.ndarray) -> TokenisedDocuments:
    """Some of the documents, as copies."""
    lengths = np.diff(documents.offsets)
    chosen = np.zeros(len(lengths), bool)
    chosen[rows] = True
    inside = np.repeat(chosen, lengths)
    return TokenisedDocuments(
        documents.values[inside],
        offsets_of(lengths[rows]),
        documents.keys[rows],
        documents.text_hashes[rows],
        documents.num_bytes[rows],
        None if documents.learned is None else documents.learned[inside],
    )


def _slice(documents: TokenisedDocuments, first: int, last: int) -> TokenisedDocuments:
    offsets = documents.offsets[first : last + 1]
    inside = slice(offsets[0], offsets[-1])
    return TokenisedDocuments(
        documents.values[inside],
        offsets - offsets[0],
        documents.keys[first:last],
        documents.text_hashes[first:last],
        documents.num_bytes[first:last],
        None if documents.learned is None else documents.learned[inside],
    )


def _joined(parts: Sequence[TokenisedDocuments]) -> TokenisedDocuments:
    """All of them; a mask that masks nothing is none: rows without one are learned as a whole."""
    whole = joined(parts)
    if whole.learned is not None and whole.learned.all():
        return replace(whole, learned=None)
    return whole
