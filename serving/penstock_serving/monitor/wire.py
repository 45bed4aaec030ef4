"""The datagrams from the model server to the monitor.

A record is one served row or one refused request. The server numbers its records from 0, dropped ones included; every
datagram carries the number of its first record, so the monitor knows exactly how many it did not see. A datagram
without records says how far the numbering is. Whatever numbers records by itself, as the server's Python and its native
front do, has a boot id of its own.

Layout, little-endian: magic `PSM1`, kind (1 byte), padding, columns (2 bytes), records (4 bytes), boot id
(8 bytes), number of the first record (8 bytes); then for rows `records` × (`columns` + 1) float64, the last of
each row being the prediction (its class's position, or its value, NaN when none was computed), a missing value NaN, an
unseen category −1; for refusals `records` × 2 int32, rule and column (−1 for none).
"""

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DATAGRAM = 64 << 10
HEADER = struct.Struct("<4sBxHIQQ")
_MAGIC = b"PSM1"


class Kind(IntEnum):
    """What a datagram carries."""

    ROWS = 1
    REFUSALS = 2
    POSITION = 3


_DTYPE: dict[Kind, str] = {Kind.ROWS: "<f8", Kind.REFUSALS: "<i4", Kind.POSITION: "<i4"}


class MalformedDatagramError(Exception):
    """Bytes that are no datagram of ours."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """Records [count, width] that follow one another, the number of the first, and the boot id."""

    kind: Kind
    boot: int
    first: int
    records: npt.NDArray[Any]

    @property
    def next(self) -> int:
        """The number after the last record."""
        return self.first + len(self.records)


def new_boot() -> int:
    """An id for a numbering of its own."""
    return int.from_bytes(os.urandom(8), "little") >> 1


def encode(datagram: Datagram) -> bytes:
    """The datagram's bytes."""
    count, width = datagram.records.shape
    columns = width - 1 if datagram.kind is Kind.ROWS else 0
    header = HEADER.pack(_MAGIC, datagram.kind, columns, count, datagram.boot, datagram.first)
    return header + datagram.records.astype(_DTYPE[datagram.kind]).tobytes()


def decode(content: bytes, columns: int) -> Datagram:
    """Read a datagram about a model of this many columns; raises `MalformedDatagramError`."""
    if len(content) < HEADER.size:
        raise MalformedDatagramError
    magic, number, told_columns, count, boot, first = HEADER.unpack_from(content)
    if magic != _MAGIC or number not in set(Kind):
        raise MalformedDatagramError
    kind = Kind(number)
    width = columns + 1 if kind is Kind.ROWS else 2
    dtype = np.dtype(_DTYPE[kind])
    expected = HEADER.size + count * width * dtype.itemsize
    if len(content) != expected or told_columns != (columns if kind is Kind.ROWS else 0):
        raise MalformedDatagramError
    records = np.frombuffer(content, dtype=dtype, offset=HEADER.size).reshape(count, width)
    return Datagram(kind, boot, first, records)
