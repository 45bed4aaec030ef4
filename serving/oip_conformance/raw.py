"""Raw tensor contents, as binary tensors over REST and `raw_*_contents` over gRPC have them: little-endian, row-major."""

import struct
from typing import Any

_FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def packed(datatype: str, values: list[Any]) -> bytes:
    """The bytes of flat values; None is a missing number, texts are written with their length."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in (value.encode() for value in values))
    values = [float("nan") if value is None else value for value in values]
    return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)


def unpacked(datatype: str, content: bytes) -> list[Any]:
    """The flat values of a tensor's bytes."""
    if datatype != "BYTES":
        return list(
            struct.unpack(f"<{len(content) // struct.calcsize(_FORMATS[datatype])}{_FORMATS[datatype]}", content)
        )
    values = []
    while content:
        end = 4 + struct.unpack_from("<I", content)[0]
        values.append(content[4:end].decode())
        content = content[end:]
    return values
