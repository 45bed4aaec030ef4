"""The binary form of tensors (Triton, docs/protocol/extension_binary_data.md): little-endian, row-major, no padding.

A truth value is one byte, 0 or 1. A text is its length as four bytes, then its UTF-8. A missing number is NaN; integers,
truth values and texts have no missing value in this form. FP16 exists in this form only; it is read as FP32, which holds
every FP16 exactly.
"""

import struct
from collections.abc import Sequence

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.protocol.errors import BadRequestError

Bytes = bytes | bytearray | memoryview

DTYPES: dict[str, tuple[Datatype, np.dtype[np.generic]]] = {
    "BOOL": (Datatype.BOOL, np.dtype("u1")),
    "UINT8": (Datatype.UINT8, np.dtype("u1")),
    "UINT16": (Datatype.UINT16, np.dtype("<u2")),
    "UINT32": (Datatype.UINT32, np.dtype("<u4")),
    "UINT64": (Datatype.UINT64, np.dtype("<u8")),
    "INT8": (Datatype.INT8, np.dtype("i1")),
    "INT16": (Datatype.INT16, np.dtype("<i2")),
    "INT32": (Datatype.INT32, np.dtype("<i4")),
    "INT64": (Datatype.INT64, np.dtype("<i8")),
    "FP16": (Datatype.FP32, np.dtype("<f2")),
    "FP32": (Datatype.FP32, np.dtype("<f4")),
    "FP64": (Datatype.FP64, np.dtype("<f8")),
}
"""Names on the wire of the datatypes of fixed size: the datatype they are checked as, and how their bytes are read."""

_WRITTEN: dict[Datatype, np.dtype[np.generic]] = {
    Datatype.BOOL: np.dtype("?"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
}
_LENGTH = struct.Struct("<I")


def read(content: Bytes, datatype: str, count: int, where: str) -> Matrix:
    """The cells [count] (see `values`) of raw bytes; `datatype` is a key of `DTYPES` or BYTES.

    Raises `BadRequestError` unless the bytes hold exactly that many values of the datatype.
    """
    if datatype == Datatype.BYTES:
        return _texts(content, count, where)
    dtype = DTYPES[datatype][1]
    if len(content) != count * dtype.itemsize:
        raise BadRequestError(
            f"{where} has {len(content)} bytes, {count} values of {datatype} have {count * dtype.itemsize}"
        )
    values = np.frombuffer(content, dtype=dtype)
    if datatype == Datatype.BOOL and count and values.max() > 1:
        raise BadRequestError(f"{where} declares BOOL but has bytes other than 0 and 1")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a missing value like any other
        return values.astype(np.float64)


def _texts(content: Bytes, count: int, where: str) -> Matrix:
    if len(content) < count * _LENGTH.size:
        raise BadRequestError(f"{where} has {len(content)} bytes, too few for {count} values of BYTES")
    view = memoryview(content)
    cells = np.empty(count, dtype=object)
    start, end = 0, len(view)
    for index in range(count):
        begin = start + _LENGTH.size
        stop = begin + _LENGTH.unpack_from(view, start)[0] if begin <= end else end + 1
        if stop > end:
            raise BadRequestError(f"{where} ends within element {index} of {count}")
        cells[index] = text(view[begin:stop], where)
        start = stop
    if start != end:
        raise BadRequestError(f"{where} has {end - start} bytes after its {count} elements")
    return cells


def text(content: Bytes, where: str) -> str:
    """One text; raises `BadRequestError` when it is not UTF-8."""
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{where} declares BYTES but holds text that is not UTF-8") from error


def write(array: Matrix, datatype: Datatype) -> bytes:
    """The raw bytes of an output's values; those of BYTES are texts."""
    if datatype is not Datatype.BYTES:
        return array.astype(_WRITTEN[datatype], copy=False).tobytes()
    encoded: Sequence[bytes] = [value.encode() for value in array.ravel().tolist()]
    return b"".join(part for content in encoded for part in (_LENGTH.pack(len(content)), content))
