"""The beginning of a file, decompressed, and what it says of the whole."""

from dataclasses import dataclass

from pipeline.initialising.listing import File
from pipeline.sources.compression import DamagedStream, chunks
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.protocol import Input

HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """`data` is of the decompressed file, `stored_bytes` what was read of the stored one for it."""

    data: bytes
    compression: str | None
    stored_bytes: int
    is_whole: bool
    damage: str | None = None

    def share(self, file: File) -> float:
        """Of the file that this is, in 0..1."""
        return 1.0 if self.is_whole else min(1.0, self.stored_bytes / max(1, file.size_bytes))


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that are not blank of the first bytes of a file, and of all of it, about."""

    num_lines: float
    is_exact: bool


def count_lines(file: File, num_bytes: int) -> Lines:
    """Looks at up to `num_bytes` decompressed bytes, of which none are held."""
    counted, seen, is_whole, ends_open = 0, 0, True, False
    with open_bytes(_input(file)) as handle:
        try:
            for chunk in chunks(handle, compression(handle)):
                counted += chunk.count(b"\n")
                seen += len(chunk)
                ends_open = not chunk.endswith(b"\n")
                if seen >= num_bytes:
                    is_whole = handle.read(1) == b""
                    break
        except DamagedStream:
            is_whole = False
        stored_bytes = handle.tell()
    if is_whole:
        return Lines(counted + ends_open, is_exact=True)
    return Lines(counted * max(1.0, file.size_bytes / max(1, stored_bytes)), is_exact=False)


def _input(file: File) -> Input:
    return Input(path=str(file.path), relative=file.relative, size_bytes=file.size_bytes)


def read_head(file: File, num_bytes: int = HEAD_BYTES) -> Head:
    """Up to about `num_bytes` of decompressed bytes. Raises `SourceError` where it is gone."""
    parts: list[bytes] = []
    held, damage, is_whole = 0, None, True
    with open_bytes(_input(file)) as handle:
        kind = compression(handle)
        try:
            for chunk in chunks(handle, kind):
                parts.append(chunk)
                held += len(chunk)
                if held >= num_bytes:
                    is_whole = kind is None and held == file.size_bytes
                    break
        except DamagedStream as exc:
            damage = exc.detail
        stored_bytes = handle.tell()
    return Head(b"".join(parts), kind, stored_bytes, is_whole, damage)
