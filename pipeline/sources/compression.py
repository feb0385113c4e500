"""gzip, zstd, bzip2 and xz, told by content, as bounded chunks of decompressed bytes.

Members and frames that follow one another in one file are read as one stream. Each decompressor
hands out what it has before it complains, so that the rows before a break are kept.

A file that expands too far is a bomb, and is left there: text compresses to a quarter or a tenth,
tables of repeated rows to a hundredth. `MAX_EXPANSION` counts at any place of the stream, what was
handed out against what was read so far; a small file may have `FREE_BYTES` whatever its size.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

CHUNK_BYTES = 1 << 20
# zstd has no limit on the output of one call, and 1 KB of its input can hold 32 MB.
ZSTD_INPUT_BYTES = 1 << 10
INPUT_BYTES = 1 << 16
BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")  # pi, and its root
MAGIC_BYTES = 10
MAX_EXPANSION = 200  # gzip's most is 1,032; bzip2, xz and zstd make 1 MB of 10 GB
FREE_BYTES = 1 << 28
MAX_WINDOW_BYTES = 1 << 31  # of zstd, what `--long=31` asks for; taken up as it is filled
XZ_MEMORY_BYTES = 1 << 29  # xz -9 needs 65 MB; a header can ask for 4 GB


class DamagedStream(Exception):  # noqa: N818  (not an error: a fact about a file, to be quarantined)
    """Nothing more can be decompressed; what was good has been handed out."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason  # a code of `schema.REASONS`
        self.detail = detail


class Decompressor(Protocol):
    """The interface that bz2 and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Readable(Protocol):
    """What bytes are read from: a file, or a part of one."""

    def read(self, size: int, /) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)  # 16 for the gzip header, 15 for the window
        self._pending = b""

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._pending

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        output = self._stream.decompress(self._pending + data, max_length)
        self._pending = self._stream.unconsumed_tail
        return output


class _Zstd:
    needs_input = True

    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return bytes(self._stream.decompress(data))


DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gz": _Gzip,
    "zst": _Zstd,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES),
}


def compression_of(head: bytes) -> str | None:
    """Which of gz, zst, bz2, xz the first `MAGIC_BYTES` of a file announce; None: plain."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gz"
    if head.startswith(b"\x28\xb5\x2f\xfd") or (
        head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F  # a skippable zstd frame
    ):
        return "zst"
    if head.startswith(b"BZh") and head[4:10] in BZIP2_BLOCKS:
        return "bz2"
    return "xz" if head.startswith(b"\xfd7zXZ\x00") else None


def chunks(handle: Readable, compression: str | None) -> Iterator[bytes]:
    """Decompressed bytes of `handle` from where it stands, in chunks of about 1 MB at most.

    Raises DamagedStream after the last good chunk, or the last that does not expand too far.
    """
    if compression is None:
        while chunk := handle.read(CHUNK_BYTES):
            yield chunk
        return
    new = DECOMPRESSORS[compression]
    input_bytes = ZSTD_INPUT_BYTES if compression == "zst" else INPUT_BYTES
    stream: Decompressor | None = None
    rest, num_read, num_bytes = b"", 0, 0
    while True:
        if not rest and (stream is None or stream.needs_input):
            rest = handle.read(input_bytes)
            num_read += len(rest)
            if not rest:
                break
        if stream is None:
            rest = rest.lstrip(b"\0")  # padding between members, as gzip and xz allow
            if not rest:
                continue
            stream = new()
        output = _step(stream, rest, compression, num_bytes)
        num_bytes += len(output)
        check_expansion(num_bytes, num_read, f"the {compression} data")
        rest = stream.unused_data if stream.eof else b""
        stream = None if stream.eof else stream
        # zstd gives 32 MB at once of a bomb: newlines, a row of eight numbers each if held.
        for start in range(0, len(output), CHUNK_BYTES):
            yield output[start : start + CHUNK_BYTES]
    if stream is not None:
        raise DamagedStream(
            "truncated", f"the {compression} data ends after {num_bytes} bytes of text"
        )


def check_expansion(num_bytes: int, num_read: int, what: str, share: float = 1.0) -> None:
    """Raises DamagedStream where so many bytes are too much of so few that were read.

    `share` is the part of `FREE_BYTES` that goes to them, where others read the rest of the file.
    """
    if num_bytes > share * FREE_BYTES + MAX_EXPANSION * num_read:
        raise DamagedStream(
            "expands_too_far",
            f"{what} has given {num_bytes:,} bytes for the first {num_read:,}, more than "
            f"{MAX_EXPANSION} for one; decompress the file yourself if this is meant",
        )


def _step(stream: Decompressor, data: bytes, compression: str, num_bytes: int) -> bytes:
    try:
        return stream.decompress(data, CHUNK_BYTES)
    # bz2 calls bad data an OSError
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError) as exc:
        reason = "corrupt" if num_bytes else "unreadable"
        raise DamagedStream(
            reason, f"the {compression} data is damaged after {num_bytes} bytes of text ({exc})"
        ) from exc
