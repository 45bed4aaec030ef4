"""Named pieces of bytes on a pipe: a line of JSON with names and sizes, then the bytes. Plain data, never pickles."""

import json
from collections.abc import Mapping
from typing import IO

Parts = Mapping[str, bytes]
_LONGEST_HEADER = 1 << 16


class MalformedPartsError(Exception):
    """What came through the pipe is not of this form, or larger than allowed."""


def write_parts(stream: IO[bytes], parts: Parts) -> None:
    """Write the parts and flush."""
    sizes = {name: len(content) for name, content in parts.items()}
    stream.write(json.dumps(sizes).encode() + b"\n")
    for content in parts.values():
        stream.write(content)
    stream.flush()


def read_parts(stream: IO[bytes], most_bytes: int) -> dict[str, bytes]:
    """Read the parts; raises `MalformedPartsError`, reading no more than `most_bytes` of content."""
    header = stream.readline(_LONGEST_HEADER)
    try:
        sizes = json.loads(header)
    except ValueError as error:
        raise MalformedPartsError("no header") from error
    if not isinstance(sizes, dict) or not all(type(size) is int and size >= 0 for size in sizes.values()):
        raise MalformedPartsError("the header is not of names and sizes")
    if sum(sizes.values()) > most_bytes:
        raise MalformedPartsError(f"more than {most_bytes} bytes")
    parts = {}
    for name, size in sizes.items():
        parts[name] = stream.read(size)
        if len(parts[name]) != size:
            raise MalformedPartsError(f"{name[:60]!r} broke off")
    return parts
