"""What the compressed buffers of Arrow IPC files say that they expand to, before they do.

Arrow allocates and fills what the first eight bytes of a compressed buffer ask for. They are found
by way of the messages' metadata, of which a few fields are read here (flatbuffers, little-endian:
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

DICTIONARY_BATCH, RECORD_BATCH = 2, 3  # of a Message's header
FILE_MAGIC = b"ARROW1"
FILE_START_BYTES = 8
CONTINUATION = 0xFFFFFFFF
MAX_METADATA_BYTES = 1 << 28


class _Table(NamedTuple):
    """A table of a flatbuffer."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, _read("<I", data, 0))

    def place(self, field: int) -> int | None:
        """Where a field stands, None where it has its default."""
        vtable = self.at - _read("<i", self.data, self.at)
        if 4 + 2 * field + 2 > _read("<H", self.data, vtable):
            return None
        offset = _read("<H", self.data, vtable + 4 + 2 * field)
        return self.at + offset if offset else None

    def number(self, field: int, layout: str) -> int:
        place = self.place(field)
        return 0 if place is None else _read(layout, self.data, place)

    def table(self, field: int) -> "_Table | None":
        place = self.place(field)
        return None if place is None else _Table(self.data, place + _read("<I", self.data, place))

    def structs(self, field: int, layout: str) -> Iterator[tuple[int, ...]]:
        """The elements of a vector of structs."""
        place = self.place(field)
        if place is not None:
            start = place + _read("<I", self.data, place)
            size = struct.calcsize(layout) * _read("<I", self.data, start)
            if start + 4 + size > len(self.data):
                raise ValueError("a vector ends outside of the metadata")
            yield from struct.iter_unpack(layout, self.data[start + 4 : start + 4 + size])


def _read(layout: str, data: bytes, at: int) -> int:
    if at < 0:  # which would count from the end
        raise ValueError("an offset leads out of the metadata")
    value: int
    (value,) = struct.unpack_from(layout, data, at)
    return value


def declared_bytes(handle: pa.NativeFile) -> Iterator[int]:
    """What the buffers of each message expand to, in the order that they are read in.

    Ends where the file is none that Arrow could read: its own reader says why.
    """
    try:
        places = _file_places(handle) if _is_file(handle) else _stream_places(handle)
        for at in places:
            yield _of_message(handle, at)[0]
    except (struct.error, ValueError, OSError):
        return


def _is_file(handle: pa.NativeFile) -> bool:
    return bool(_at(handle, 0, len(FILE_MAGIC)) == FILE_MAGIC)


def _at(handle: pa.NativeFile, at: int, num_bytes: int) -> bytes:
    if min(at, num_bytes) < 0 or at + num_bytes > handle.size():
        raise ValueError(f"{num_bytes} bytes at {at} are not in the file")
    handle.seek(at)
    return bytes(handle.read(num_bytes))


def _file_places(handle: pa.NativeFile) -> Iterator[int]:
    end = handle.size() - len(FILE_MAGIC) - 4
    num_bytes = _read("<i", _at(handle, end, 4), 0)
    footer = _Table.root(_at(handle, end - num_bytes, num_bytes))
    for field in (2, 3):  # dictionaries, recordBatches
        for offset, *_ in footer.structs(field, "<qi4xq"):
            yield offset


def _stream_places(handle: pa.NativeFile) -> Iterator[int]:
    at = 0
    while at < handle.size():
        yield at
        at = _of_message(handle, at)[1]


def _of_message(handle: pa.NativeFile, at: int) -> tuple[int, int]:
    """What the buffers of the message at this place expand to, and where the next message is."""
    head = _at(handle, at, 8)
    is_legacy = _read("<I", head, 0) != CONTINUATION
    num_bytes, start = _read("<i", head, 0 if is_legacy else 4), at + (4 if is_legacy else 8)
    if not 0 < num_bytes <= MAX_METADATA_BYTES:
        raise ValueError("no message, or the end of the stream")
    message = _Table.root(_at(handle, start, num_bytes))
    body = start + num_bytes
    kind, batch = message.number(1, "<B"), message.table(2)
    end = body + message.number(3, "<q")
    if end <= at:
        raise ValueError("a message that ends before it begins")
    if kind == DICTIONARY_BATCH and batch is not None:
        batch = batch.table(1)
    if kind not in (DICTIONARY_BATCH, RECORD_BATCH) or batch is None or batch.place(3) is None:
        return 0, end
    sizes = (
        _read("<q", _at(handle, body + offset, 8), 0)
        for offset, length in batch.structs(2, "<qq")
        if length >= 8
    )
    return sum(max(0, size) for size in sizes), end
