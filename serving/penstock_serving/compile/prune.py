"""A compiled model cut down to one of its outputs, so that ONNX Runtime computes nothing else.

Done on the bytes, without the onnx package, which a serving pod does not import. Field numbers are those of onnx.proto3.
"""

from penstock_serving.compile.wire import MalformedError, fields, spans

_MODEL_GRAPH = 7
_GRAPH_OUTPUT = 12
_OUTPUT_NAME = 1


def pruned(model: bytes, output: str) -> bytes:
    """The model with this output alone. Raises `MalformedError` for bytes that are no model with such an output."""
    whole = memoryview(model)
    parts: list[bytes | memoryview] = []
    kept = 0
    for field in spans(whole):
        if field.number != _MODEL_GRAPH:
            parts.append(whole[field.start : field.end])
            continue
        graph = whole[field.value : field.end]
        within = [
            graph[one.start : one.end]
            for one in spans(graph)
            if one.number != _GRAPH_OUTPUT or _name(graph[one.value : one.end]) == output
        ]
        kept += sum(1 for piece in within if piece[0] >> 3 == _GRAPH_OUTPUT)
        content = b"".join(within)
        parts += [_key(_MODEL_GRAPH), _written(len(content)), content]
    if kept != 1:
        raise MalformedError(f"it has no output {output!r}")
    return b"".join(parts)


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
