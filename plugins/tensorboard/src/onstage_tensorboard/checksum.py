"""CRC-32C of long data, many bytes at a time.

tensorboardX's own loop over the bytes holds the interpreter's lock, 30 ms for
an image of 400 kB, in which the training stands still. Here numpy goes through
all rows of the data at once, and the rows are joined afterwards.
"""

from __future__ import annotations

import math

import numpy as np
from tensorboardX import crc32c as bytewise  # type: ignore[import-untyped]  # it has no types

_SHORT = 2048
"""Bytes; below it the loop is as fast."""


def masked_crc32c(data: bytes) -> int:
    """Give the checksum of a TFRecord: CRC-32C, rotated and shifted.

    References
    ----------
    TensorFlow, ``tensorflow/core/lib/hash/crc32c.h``: the mask, and why.
    """
    crc = int(bytewise.crc32c(data)) if len(data) < _SHORT else crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli) of data of 4 bytes or more.

    The register is linear in the data, over GF(2): that of two rows is that of
    the first, moved on by the second's length, xor that of the second.
    """
    width = math.isqrt(len(data)) + 1
    rows = -(-len(data) // width)
    # Zeros in front change nothing once the register's start value of all ones
    # has been moved into the data's first four bytes.
    padded = np.zeros(rows * width, np.uint8)
    start = padded.size - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF
    # Behind the rows' registers, 32 more that see zeros alone: what becomes of each bit.
    register = np.zeros(rows + 32, np.uint32)
    register[rows:] = np.uint32(1) << np.arange(32, dtype=np.uint32)
    table = np.array(bytewise.CRC_TABLE, np.uint32)
    for column in padded.reshape(rows, width).T:
        low = register & 0xFF
        low[:rows] ^= column
        register = table[low] ^ (register >> 8)
    moved = [int(bit) for bit in register[rows:]]
    joined = 0
    for row in register[:rows].tolist():
        ahead = 0
        for place in range(32):
            if joined >> place & 1:
                ahead ^= moved[place]
        joined = ahead ^ row
    return joined ^ 0xFFFFFFFF
