"""Thrift's compact protocol, as far as the structures of Parquet need it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any

MAX_DEPTH = 16  # of Parquet's own structures: 6
Fields = dict[int, Any]


class Compact:
    """Values one after the other, structs as dictionaries by the numbers of their fields.

    Raises ValueError or IndexError where the data are damaged or end too early. `at`: what comes
    after what was read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self, depth: int = 0) -> Fields:
        found: Fields = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            found[number] = self._value(head & 15, depth, in_field=True)
        return found

    def _value(self, kind: int, depth: int, *, in_field: bool = False) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if kind in (1, 2):
            return kind == 1 if in_field else self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._take(8)
        if kind == 8:
            return self._take(self._varint())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 11:
            return self._map(depth)
        if kind == 12:
            return self.fields(depth + 1)
        raise ValueError(f"there is no type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        num_values = head >> 4 if head >> 4 < 15 else self._varint()
        if num_values > len(self._data) - self.at:  # a value takes a byte at least
            raise ValueError("a list ends outside of it")
        return [self._value(head & 15, depth + 1) for _ in range(num_values)]

    def _map(self, depth: int) -> None:
        num_values = self._varint()
        kinds = self._byte() if num_values else 0
        for _ in range(min(num_values, len(self._data))):
            self._value(kinds >> 4, depth + 1)
            self._value(kinds & 15, depth + 1)

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _take(self, num_bytes: int) -> bytes:
        if num_bytes > len(self._data) - self.at:
            raise ValueError("a value ends outside of it")
        value = self._data[self.at : self.at + num_bytes]
        self.at += num_bytes
        return value

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number has too many bytes")
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
