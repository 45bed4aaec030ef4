"""Reading the operators of an ONNX model without the onnx package: just enough of its protocol buffers.

Field numbers are those of onnx.proto3; encoding: protobuf.dev, "Encoding". Contents of tensors are stepped over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_MODEL_GRAPH, _MODEL_OPSETS, _MODEL_METADATA, _MODEL_FUNCTIONS = 7, 8, 14, 25
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_NUMBER, _MESSAGE = 0, 2
# the whole numbers of an attribute (field 8, one by one): a forest has a hundred thousand, and nobody asks for them
_NOTHING = memoryview(b"")
_INTEGERS = 8
_ATTRIBUTE_INTEGERS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])+")


class MalformedError(ValueError):
    """The bytes are not what a protocol buffer of this kind can be."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model is made of: (domain, operator) of its nodes, opset versions by domain, and what is out of the plain.

    `peculiar` names what no compiled model has: functions, graphs within nodes, tensors kept in other files, sparse ones.
    """

    operators: frozenset[tuple[str, str]]
    opsets: dict[str, int]
    peculiar: frozenset[str]


def varint(content: memoryview, at: int) -> tuple[int, int]:
    """The number that stands at a position, and the position after it; raises `MalformedError`."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedError("a number is cut off or too long")


class Span(NamedTuple):
    """Where a field is: its number and wire type, where its key begins, where its value does, and where that ends."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def spans(content: memoryview) -> Iterator[Span]:
    """The fields of a message, the numbers of field 8 that follow one another as one; raises `MalformedError`."""
    at = 0
    while at < len(content):
        start = at
        if numbers := _ATTRIBUTE_INTEGERS.match(content, at):
            at = numbers.end()
            yield Span(_INTEGERS, _NUMBER, start, start, at)
            continue
        key, value = varint(content, at)
        match key & 7:
            case 0:
                _, at = varint(content, value)
            case 1:
                at = value + 8
            case 2:
                size, value = varint(content, value)
                at = value + size
            case 5:
                at = value + 4
            case _:
                raise MalformedError("a field is of an unknown wire type")
        if at > len(content):
            raise MalformedError("a field is cut off")
        yield Span(key >> 3, key & 7, start, value, at)


def fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: number, and value (numbers of fixed size and those of field 8 are stepped over)."""
    for number, wire_type, _, value, end in spans(content):
        if wire_type == _MESSAGE:
            yield number, content[value:end]
        elif wire_type == _NUMBER and number != _INTEGERS:
            yield number, varint(content, value)[0]


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise MalformedError("a number stands where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return bytes(_message(value)).decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a name is not UTF-8 text") from error


class _Reader:
    def __init__(self) -> None:
        self.operators: set[tuple[str, str]] = set()
        self.opsets: dict[str, int] = {}
        self.peculiar: set[str] = set()

    def model(self, content: memoryview) -> None:
        for number, value in fields(content):
            if number == _MODEL_GRAPH:
                self._graph(_message(value))
            elif number == _MODEL_OPSETS:
                self._opset(_message(value))
            elif number == _MODEL_FUNCTIONS:
                self.peculiar.add("functions")

    def _opset(self, content: memoryview) -> None:
        domain, version = "", 0
        for number, value in fields(content):
            if number == _OPSET_DOMAIN:
                domain = _text(value)
            elif number == _OPSET_VERSION and isinstance(value, int):
                version = value
        self.opsets[domain] = version

    def _graph(self, content: memoryview) -> None:
        for number, value in fields(content):
            if number == _GRAPH_NODE:
                self._node(_message(value))
            elif number == _GRAPH_INITIALIZER:
                self._tensor(_message(value))
            elif number == _GRAPH_SPARSE:
                self.peculiar.add("sparse tensors")

    def _node(self, content: memoryview) -> None:
        domain, operator = "", ""
        for number, value in fields(content):
            if number == _NODE_OPERATOR:
                operator = _text(value)
            elif number == _NODE_DOMAIN:
                domain = _text(value)
            elif number == _NODE_ATTRIBUTE:
                self._attribute(_message(value))
        self.operators.add((domain, operator))

    def _attribute(self, content: memoryview) -> None:
        for number, value in fields(content):
            if number in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                self.peculiar.add("graphs within nodes")
            elif number in {_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS}:
                self._tensor(_message(value))

    def _tensor(self, content: memoryview) -> None:
        for number, value in fields(content):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
                self.peculiar.add("tensors kept in other files")


def contents(model: bytes) -> Contents:
    """What an ONNX model is made of. Raises `MalformedError` for bytes that are none."""
    reader = _Reader()
    reader.model(memoryview(model))
    return Contents(frozenset(reader.operators), reader.opsets, frozenset(reader.peculiar))


def metadata(model: bytes) -> dict[str, str]:
    """What an ONNX model says of itself by key. Raises `MalformedError` for bytes that are none."""
    entries = [
        dict(fields(_message(value))) for number, value in fields(memoryview(model)) if number == _MODEL_METADATA
    ]
    return {_text(entry.get(_ENTRY_KEY, _NOTHING)): _text(entry.get(_ENTRY_VALUE, _NOTHING)) for entry in entries}
