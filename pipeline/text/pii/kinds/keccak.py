"""Keccak-256, which Ethereum has instead of SHA3-256: the same but for its padding.

The Keccak reference 3.0, for a rate of 1,088 bits. `hashlib` has the standard's padding only.
"""

_MASK = (1 << 64) - 1
_NUM_ROUNDS, _RATE_BYTES, _DIGEST_BYTES = 24, 136, 32
# the rotations of rho and the order of pi, along pi's path of 24 lanes that begins at lane 1
_ROTATIONS = tuple((step + 1) * (step + 2) // 2 % 64 for step in range(24))
_PATH = (10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1)


def keccak256(message: bytes) -> bytes:
    """The 32 bytes of the digest."""
    padding = bytearray(_RATE_BYTES - len(message) % _RATE_BYTES)
    padding[0] |= 0x01
    padding[-1] |= 0x80
    padded = message + bytes(padding)
    lanes = [0] * 25
    for block in range(0, len(padded), _RATE_BYTES):
        for lane in range(_RATE_BYTES // 8):
            begin = block + 8 * lane
            lanes[lane] ^= int.from_bytes(padded[begin : begin + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes)[:_DIGEST_BYTES]


def _permute(lanes: list[int]) -> list[int]:
    for constant in _ROUND_CONSTANTS:
        parity = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        theta = [parity[x - 1] ^ _rotated(parity[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ theta[place % 5] for place, lane in enumerate(lanes)]
        moving = lanes[1]
        for place, rotation in zip(_PATH, _ROTATIONS, strict=True):
            moving, lanes[place] = lanes[place], _rotated(moving, rotation)
        lanes = [
            lanes[y + x] ^ (~lanes[y + (x + 1) % 5] & _MASK & lanes[y + (x + 2) % 5])
            for y in range(0, 25, 5)
            for x in range(5)
        ]
        lanes[0] ^= constant
    return lanes


def _rotated(lane: int, num_bits: int) -> int:
    return (lane << num_bits | lane >> (64 - num_bits)) & _MASK


def _round_constants() -> tuple[int, ...]:
    """Bits of a linear shift register (x^8 + x^6 + x^5 + x^4 + 1) at places 0, 1, 3, 7, ... 63."""
    constants, register = [], 1
    for _ in range(_NUM_ROUNDS):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


_ROUND_CONSTANTS = _round_constants()
