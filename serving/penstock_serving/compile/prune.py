"""A compiled model cut down to one of its outputs, so that ONNX Runtime computes nothing else.

Done on the bytes, without the onnx package, which a serving pod does not import. Field numbers are those of onnx.proto3.
"""

from collections.abc import Iterator

from penstock_serving.compile.wire import MalformedError, fields, varint

_MODEL_GRAPH = 7
_GRAPH_OUTPUT = 12
_OUTPUT_NAME = 1


def pruned(model: bytes, output: str) -> bytes:
    """The model with this output alone. Raises `MalformedError` for bytes that are no model with such an output."""
    whole = memoryview(model)
    parts: list[bytes | memoryview] = []
    kept = 0
    for number, start, end in _spans(whole):
        if number != _MODEL_GRAPH:
            parts.append(whole[start:end])
            continue
        graph = _payload(whole[start:end])
        within = [
            graph[start:end]
            for number, start, end in _spans(graph)
            if number != _GRAPH_OUTPUT or _name(_payload(graph[start:end])) == output
        ]
        kept += sum(1 for piece in within if piece[0] >> 3 == _GRAPH_OUTPUT)
        content = b"".join(within)
        parts += [_key(_MODEL_GRAPH), _written(len(content)), content]
    if kept != 1:
        raise MalformedError(f"it has no output {output!r}")
    return b"".join(parts)


def _spans(content: memoryview) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and where its bytes start and end, key included."""
    at = 0
    while at < len(content):
        start = at
        key, at = varint(content, at)
        match key & 7:
            case 0:
                _, at = varint(content, at)
            case 1:
                at += 8
            case 2:
                size, at = varint(content, at)
                at += size
            case 5:
                at += 4
            case _:
                raise MalformedError("a field is of an unknown wire type")
        if at > len(content):
            raise MalformedError("a field is cut off")
        yield key >> 3, start, at


def _payload(field: memoryview) -> memoryview:
    """The content of a field that holds a message."""
    _, at = varint(field, 0)
    _, at = varint(field, at)
    return field[at:]


def _name(message: memoryview) -> str:
    for number, value in fields(message):
        if number == _OUTPUT_NAME and not isinstance(value, int):
            return bytes(value).decode(errors="replace")
    return ""


def _key(number: int) -> bytes:
    return _written(number << 3 | 2)


def _written(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
