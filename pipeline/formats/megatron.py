"""Megatron-LM's IndexedDataset: `PREFIX.bin` with token ids, `PREFIX.idx` with where they are.

The .bin is the ids of all sequences end to end. The .idx, little-endian, as Megatron-core's
`megatron/core/datasets/indexed_dataset.py` reads it:

    9 bytes   MMIDIDX and two NULs       uint64   version, 1
    uint8     code of the ids' type      uint64   number of sequences, S
                                         uint64   number of document boundaries, D + 1
    int32[S]      tokens of each sequence
    int64[S]      its first byte in the .bin
    int64[D + 1]  the first sequence of each document, and S

Sequences for a multimodal model carry int8[S] of modes behind that; they are not written, and left
aside when read. Here every document is one sequence.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from pipeline.errors import PrepareError, SourceError
from pipeline.tokens.kernels import gather

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
# 6 and 7 are floats, of features and not of tokens.
DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}
CODES = {name: code for code, name in DTYPES.items()}
MAX_SEQUENCE_TOKENS = (1 << 31) - 1
CHUNK_TOKENS = 1 << 22  # of documents that are read at once
CHUNK_DOCUMENTS = 1 << 16


def bin_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".idx")


class MegatronWriter:
    """Writes one dataset, each document one sequence; memory does not grow with documents.

    `close` writes the .idx, without which Megatron does not see the dataset.
    """

    def __init__(self, prefix: Path, dtype: np.dtype) -> None:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self._prefix = prefix
        self.dtype = dtype
        self._lengths_path = prefix.with_name(f".{prefix.name}.lengths")
        self._data = bin_path(prefix).open("wb")
        self._lengths = self._lengths_path.open("wb+")
        self.num_documents = 0
        self.num_tokens = 0

    def add(self, values: np.ndarray, lengths: np.ndarray) -> None:
        """Documents of these lengths, end to end in `values`, which has the writer's dtype."""
        if len(lengths) and int(lengths.max()) > MAX_SEQUENCE_TOKENS:
            raise PrepareError(
                f"{bin_path(self._prefix)}: got a document of {int(lengths.max()):,} tokens, want "
                f"at most {MAX_SEQUENCE_TOKENS:,}; set limits.max_document_bytes and prepare again"
            )
        self._data.write(np.ascontiguousarray(values).data)
        self._lengths.write(lengths.astype("<i4").data)
        self.num_documents += len(lengths)
        self.num_tokens += len(values)

    def fill(self, value: int, lengths: np.ndarray) -> None:
        """Documents of these lengths that hold nothing but `value`."""
        left = int(lengths.sum(dtype=np.int64))
        block = np.full(min(left, CHUNK_TOKENS), value, self.dtype)
        self.num_tokens += left
        self.num_documents += len(lengths)
        self._lengths.write(lengths.astype("<i4").data)
        while left:
            self._data.write(block[:left].data)
            left -= min(left, len(block))

    def document_lengths(self) -> Iterator[np.ndarray]:
        """Tokens of the documents so far, int32, a bounded number at a time."""
        yield from self._read_lengths()
        self._lengths.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Finish the .bin and write the .idx."""
        self._data.close()
        with idx_path(self._prefix).open("wb") as index:
            num_documents, code = self.num_documents, CODES[self.dtype.name]
            index.write(HEADER.pack(MAGIC, VERSION, code, num_documents, num_documents + 1))
            for lengths in self._read_lengths():
                index.write(lengths.data)
            first = 0
            for lengths in self._read_lengths():
                ends = first + np.cumsum(lengths, dtype="<i8") * self.dtype.itemsize
                index.write((ends - lengths * np.int64(self.dtype.itemsize)).data)
                first = int(ends[-1])
            for start in range(0, num_documents + 1, CHUNK_TOKENS):
                end = min(start + CHUNK_TOKENS, num_documents + 1)
                index.write(np.arange(start, end, dtype="<i8").data)
        self._lengths.close()
        self._lengths_path.unlink()

    def _read_lengths(self) -> Iterator[np.ndarray]:
        self._lengths.seek(0)
        while chunk := self._lengths.read(4 * CHUNK_TOKENS):
            yield np.frombuffer(chunk, "<i4")


class TokenChunk(NamedTuple):
    """Documents `first` and following: their ids, end to end, and offsets int64 (n + 1) from 0."""

    first: int
    values: np.ndarray
    offsets: np.ndarray


class MegatronReader:
    """Documents of a dataset through memory maps. Raises `SourceError` for what is not one."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        try:
            with idx_path(prefix).open("rb") as handle:
                code, num_sequences, num_boundaries = self._header(handle)
            index = np.asarray(np.memmap(idx_path(prefix), mode="r"))
            size = bin_path(prefix).stat().st_size
        except OSError as exc:
            raise SourceError(
                f"{prefix}: cannot be read ({exc.strerror}: {exc.filename}); want both "
                f"{prefix.name}.bin and {prefix.name}.idx"
            ) from exc
        self.dtype = np.dtype(DTYPES[code])
        at, wanted = HEADER.size, HEADER.size + 12 * num_sequences + 8 * num_boundaries
        if len(index) < wanted:
            self._refuse(f"it has {len(index):,} bytes and says that it has {wanted:,}")
        self._lengths = index[at : at + 4 * num_sequences].view("<i4")
        at += 4 * num_sequences
        self._pointers = index[at : at + 8 * num_sequences].view("<i8")
        at += 8 * num_sequences
        self._boundaries = index[at : at + 8 * num_boundaries].view("<i8")
        self.num_documents = max(num_boundaries - 1, 0)
        self._check_boundaries()
        self.num_tokens = self._count_tokens()
        self._values = np.zeros(0, self.dtype)
        if size:
            whole = size - size % self.dtype.itemsize
            self._values = np.asarray(np.memmap(bin_path(prefix), mode="r"))[:whole].view(
                self.dtype
            )
        # So what is read is as large as what is held, however often an index names the same ids.
        if self.num_tokens > len(self._values):
            self._refuse(
                f"its sequences have {self.num_tokens:,} tokens, {bin_path(prefix).name} holds "
                f"{len(self._values):,}"
            )

    def _check_boundaries(self) -> None:
        """Documents take all sequences in: what is in none would be lost."""
        num_sequences, bounds = len(self._lengths), self._boundaries
        first, last = (int(bounds[0]), int(bounds[-1])) if len(bounds) else (0, 0)
        if (first, last) != (0, num_sequences):
            self._refuse(
                f"its documents are the sequences from {first:,} to {last:,}, and it has "
                f"{num_sequences:,}, so not runs of its sequences that take all of them in"
            )

    def _count_tokens(self) -> int:
        if len(self._lengths) and int(self._lengths.min()) < 0:
            self._refuse("a sequence has less than 0 tokens")
        return int(self._lengths.sum(dtype=np.int64))

    def _header(self, handle: IO[bytes]) -> tuple[int, int, int]:
        head = handle.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            self._refuse("it does not begin with MMIDIDX")
        _, version, code, num_sequences, num_boundaries = HEADER.unpack(head)
        if version != VERSION:
            self._refuse(f"its version is {version}, want {VERSION}")
        if code not in DTYPES:
            self._refuse(f"its type has the code {code}, want one of {sorted(DTYPES)}")
        return code, num_sequences, num_boundaries

    def _refuse(self, reason: str) -> None:
        raise SourceError(
            f"{idx_path(self.prefix)}: not an index of Megatron-LM that can be read: {reason}; "
            "make the dataset again, or copy both of its files anew"
        )

    def chunks(self) -> Iterator[TokenChunk]:
        """All documents in order, about `CHUNK_TOKENS` tokens at a time, or one longer document."""
        for first in range(0, self.num_documents, CHUNK_DOCUMENTS):
            last = min(first + CHUNK_DOCUMENTS, self.num_documents)
            bounds = np.array(self._boundaries[first : last + 1])
            if (bounds[1:] < bounds[:-1]).any() or bounds[-1] > len(self._lengths):
                self._refuse(f"documents {first:,} to {last:,} are not runs of its sequences")
            yield from self._window(first, bounds)

    def _window(self, first: int, bounds: np.ndarray) -> Iterator[TokenChunk]:
        lengths = self._lengths[bounds[0] : bounds[-1]].astype(np.int64)
        # The documents' ends in tokens, from those of their sequences.
        ends = np.concatenate([[0], np.cumsum(lengths)])[bounds - bounds[0]]
        document = 0
        while document + 1 < len(bounds):
            limit = ends[document] + CHUNK_TOKENS
            last = max(int(np.searchsorted(ends, limit, side="right")) - 1, document + 1)
            values = self._sequences(bounds[document], bounds[last])
            yield TokenChunk(first + document, values, ends[document : last + 1] - ends[document])
            document = last

    def _sequences(self, first: int, last: int) -> np.ndarray:
        """The ids of sequences `first:last`, end to end."""
        lengths = self._lengths[first:last].astype(np.int64)
        starts, rest = np.divmod(self._pointers[first:last], self.dtype.itemsize)
        # A sum of the two could be above 2^63.
        held = (starts >= 0) & (starts <= len(self._values) - lengths) & (rest == 0)
        if not held.all():
            raise SourceError(
                f"{bin_path(self.prefix)}: sequence {first + int(np.argmin(held)):,} is not whole "
                f"in its {len(self._values):,} ids; copy both files of the dataset anew"
            )
        out: np.ndarray = np.empty(int(lengths.sum()), self.dtype)
        gather(self._values, starts, lengths, np.array([0, len(lengths)]), out.reshape(1, -1))
        return out
