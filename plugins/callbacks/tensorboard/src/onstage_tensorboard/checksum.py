"""CRC-32C, hundreds of bytes at a time.

A loop over the bytes of an image, as tensorboardX has it, takes 30 ms and holds
the interpreter's lock: the training stands still.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from onstage.model import Array

_POLYNOMIAL = 0x82F63B78
_ROW = 512
_PLACES = np.arange(_ROW)[::-1]
_ROWS_AT_ONCE = 1024
_SHORT = 256
"""Bytes; up to here the loop is as fast."""


def masked_crc32c(data: bytes) -> int:
    """Give the checksum of a TFRecord: CRC-32C, rotated and shifted.

    References
    ----------
    TensorFlow, ``tensorflow/core/lib/hash/crc32c.h``: the mask, and why.
    """
    crc: int = masked(crc32c(data))
    return crc


def masked(crc: Any) -> Any:
    """Rotate and shift a checksum, or an array (uint32) of them."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli) of data.

    References
    ----------
    RFC 3720, section 12.1.
    """
    if len(data) > _SHORT:
        return _by_rows(data)
    last, register = _lists()[0], 0xFFFFFFFF
    for byte in data:
        register = last[(register ^ byte) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


def crc32c_of_rows(table: Array) -> Array:
    """Give the CRC-32C of each row: ``(n, length)`` uint8 to ``(n,)`` uint32; length is 4 at least."""
    register = np.full(len(table), 0xFFFFFFFF, "<u4")
    begin, end = 0, (table.shape[1] - 4) % (_ROW - 4) + 4
    while begin < table.shape[1]:
        block = table[:, begin:end].copy()
        block[:, :4] ^= register.view(np.uint8).reshape(-1, 4)
        register = _share_of(block).astype("<u4")
        begin, end = end, end + _ROW - 4
    return ~register


def _share_of(rows: Array) -> Array:
    """Xor the shares that all bytes of a row have in the register at its end.

    The register is linear in the data, over GF(2), and a byte's share depends
    on its distance from the end alone.
    """
    shares: Array = np.bitwise_xor.reduce(_shares()[_PLACES[-rows.shape[1] :], rows], axis=1)
    return shares


def _by_rows(data: bytes) -> int:
    rows = -(-len(data) // _ROW)
    # Zeros in front change nothing, once the register's start value, all ones,
    # is put into the data's first four bytes.
    padded = np.zeros(rows * _ROW, np.uint8)
    start = padded.size - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF
    table = padded.reshape(rows, _ROW)
    register = 0
    # What came before moves on by a row, as its four bytes would in front of zeros.
    first, second, third, fourth = _lists()[:-5:-1]
    for at in range(0, rows, _ROWS_AT_ONCE):
        for row in _share_of(table[at : at + _ROWS_AT_ONCE]).tolist():
            register = (
                first[register & 0xFF]
                ^ second[register >> 8 & 0xFF]
                ^ third[register >> 16 & 0xFF]
                ^ fourth[register >> 24]
                ^ row
            )
    return register ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _shares() -> Array:
    """Give the share of each byte in the register, by its distance from the end."""
    last = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = np.where(last & 1, np.uint32(_POLYNOMIAL), np.uint32(0)) ^ last >> np.uint32(1)
    shares = np.empty((_ROW, 256), np.uint32)
    shares[0] = last
    for distance in range(1, _ROW):
        before = shares[distance - 1]
        shares[distance] = last[before & 0xFF] ^ before >> 8
    return shares


@lru_cache(maxsize=1)
def _lists() -> list[list[int]]:
    lists: list[list[int]] = _shares().tolist()
    return lists
