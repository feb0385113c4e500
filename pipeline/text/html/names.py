"""Names of elements as kernels look them up: FNV-1a of the lower-case name, 64 bits, signed.

A table holds each name at its hash modulo the table's size, the smallest in which no two share a
slot, so that one comparison decides.
"""

from itertools import count

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Unsigned, for signed overflow is undefined where kernels are compiled.
FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)

GT, LT, SLASH = ord(">"), ord("<"), ord("/")


def name_hash(name: str) -> int:
    """The hash of a name that is lower case already."""
    value = int(FNV_BASIS)
    for byte in name.encode():
        value = (value ^ byte) * int(FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value - (value >> 63 << 64)


def element_table(values: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(hash, value) of each name, at its hash modulo the length of both."""
    hashes = np.array([name_hash(name) for name in values], np.int64)
    size = next(n for n in count(len(hashes)) if len(np.unique(hashes % n)) == len(hashes))
    table, found = np.zeros(size, np.int64), np.zeros(size, np.int64)
    table[hashes % size], found[hashes % size] = hashes, list(values.values())
    return table, found


@njit(cache=True, nogil=True)
def is_space(byte):  # type: ignore[no-untyped-def]
    """White space of the HTML standard: a vertical tab is none, and so is part of a tag's name."""
    return byte == 32 or (9 <= byte <= 13 and byte != 11)


@njit(cache=True, nogil=True)
def starts_with(data, i, end, literal):  # type: ignore[no-untyped-def]
    """Whether `literal`, in lower case, stands at i; ASCII case is ignored."""
    if end - i < len(literal):
        return False
    for k in range(len(literal)):
        byte = data[i + k]
        if 65 <= byte <= 90:
            byte += 32
        if byte != literal[k]:
            return False
    return True


@njit(cache=True, nogil=True)
def after(data, i, end, literal):  # type: ignore[no-untyped-def]
    """Where the first `literal` at or after i ends; `end` if there is none."""
    while i < end and not starts_with(data, i, end, literal):
        i += 1
    return min(i + len(literal), end)


@njit(cache=True, nogil=True)
def tag_name(data, i, end):  # type: ignore[no-untyped-def]
    """(hash, where it ends) of the tag name at i, which goes on to white space, `/` or `>`."""
    value = FNV_BASIS
    while i < end:
        byte = data[i]
        if is_space(byte) or byte in (SLASH, GT):
            break
        if 65 <= byte <= 90:
            byte += 32
        value = (value ^ np.uint64(byte)) * FNV_PRIME
        i += 1
    return np.int64(value), i
