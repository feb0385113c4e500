"""Which parts of the inputs are read: all of them where that is little, else some of every file.

A file that can be cut gives pieces from its whole length; of one that cannot, a compressed stream,
the beginning is read. Pieces come in an order at random, the same for the same seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import xxhash

from pipeline.sources.files import open_bytes
from pipeline.sources.protocol import Input, Reader, Slice

PIECE_BYTES = 4 << 20
EXPANSION = 5  # text compresses to a fifth
LEAST_HEAD_BYTES = 1 << 18  # stored, of a stream
MAX_STREAMS = 64  # of which the beginning is read


@dataclass(frozen=True, slots=True)
class Piece:
    """`[start, end)` of an input, and how many of its stored bytes that is.

    `head_bytes` says that no more than these of the file may be read: what it breaks off with then
    is no fault of the file.
    """

    slice: Slice
    stored_bytes: float
    head_bytes: int | None = None


def pieces_of(reader: Reader, files: Sequence[Input], text_bytes: int, seed: int) -> list[Piece]:
    """Pieces to be read in this order until there is enough text; of small inputs all.

    `text_bytes` is about how much that will be.
    """
    fine = _fine(reader)
    total = sum(file.size_bytes or 0 for file in files)
    is_all = total * EXPANSION <= text_bytes
    ordered = sorted(files, key=lambda file: _order(seed, file.relative))
    head_bytes = None if is_all else _head_bytes(files, text_bytes)
    first: list[Piece] = []
    later: list[Piece] = []
    for file in ordered:
        pieces = list(_of_file(fine, file, head_bytes))
        pieces.sort(key=lambda piece: _order(seed, file.relative, piece.slice.start))
        first += pieces[:1]
        later += pieces[1:]
    later.sort(key=lambda p: _order(seed, p.slice.input.relative, p.slice.start))
    return first + later


def _of_file(reader: Reader, file: Input, head_bytes: int | None) -> Iterator[Piece]:
    size = file.size_bytes or 0
    if head_bytes is not None and size > head_bytes and not reader.is_splittable(file):
        yield Piece(Slice(input=file), head_bytes, head_bytes)
        return
    slices = reader.split(file)
    for piece in slices:
        yield Piece(piece, max(1.0, size / len(slices)))


def _head_bytes(files: Sequence[Input], text_bytes: int) -> int:
    """Stored bytes of the beginning of each stream."""
    each = text_bytes // EXPANSION // max(1, min(len(files), MAX_STREAMS))
    return max(LEAST_HEAD_BYTES, each)


def head_of(piece: Piece, folder: Path) -> Slice:
    """The slice of a copy of the beginning of a stream, under the name of the file.

    So every reader reads it, and it is known how many stored bytes its rows are of.
    """
    file = piece.slice.input
    path = folder / xxhash.xxh3_64_hexdigest(file.relative.encode("utf-8", "surrogateescape"))
    with open_bytes(file) as handle:
        path.write_bytes(handle.read(piece.head_bytes or 0))
    copy = replace(file, path=str(path), size_bytes=piece.head_bytes, modified=None)
    return Slice(input=copy)


def _fine(reader: Reader) -> Reader:
    """The reader with smaller slices, where it splits at all."""
    if is_dataclass(reader) and not isinstance(reader, type) and hasattr(reader, "split_bytes"):
        fine: Reader = replace(reader, **{"split_bytes": PIECE_BYTES})
        return fine
    return reader


def _order(seed: int, *parts: object) -> str:
    name = "\0".join(str(part) for part in (seed, *parts))
    return str(xxhash.xxh3_64_hexdigest(name.encode("utf-8", "surrogateescape")))
