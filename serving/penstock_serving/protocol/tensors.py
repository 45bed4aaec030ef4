"""The tensors of a v2 request (inference_rest.md, "Request Input"), their values in JSON or as raw bytes after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import MAX_NAME, Output
from penstock_serving.protocol import binary, outputs
from penstock_serving.protocol.errors import BadRequestError
from penstock_serving.protocol.values import cells_of

_DATATYPES = {datatype.value: datatype for datatype in Datatype}
_CONTENT_TYPES = frozenset({"np", "pd", "str", "datetime"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input of a request: its cells [n] (see `values`), row-major."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    cells: Matrix

    @property
    def rows(self) -> int:
        return self.shape[0]


class Tail:
    """The raw bytes after a request's JSON, taken in the order of its inputs."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._start = 0

    def take(self, size: int, where: str) -> memoryview:
        """The next `size` bytes; raises `BadRequestError` when there are fewer."""
        taken = self._content[self._start : self._start + size]
        if len(taken) != size:
            raise BadRequestError(f"{where}: binary_data_size is {size}, but only {len(taken)} bytes are left")
        self._start += size
        return taken

    def require_end(self) -> None:
        """Raise `BadRequestError` unless everything was taken."""
        left = len(self._content) - self._start
        if left:
            raise BadRequestError(f"{left} bytes follow the last binary input")


def decode(raw: object, position: int, tail: Tail | None) -> Tensor:
    """Read one input; raises `BadRequestError` for what the protocol or the tensor itself rules out.

    `tail` is None when the request is JSON alone.
    """
    if not isinstance(raw, dict):
        raise BadRequestError(f"inputs[{position}] is not an object")
    name = check_name(raw.get("name"), f"inputs[{position}].name")
    where = f"input {name!r}"
    declared = raw.get("datatype")
    shape = check_shape(raw.get("shape"), where)
    size = _binary_size(raw, where)
    if size is None:
        datatype = _DATATYPES.get(declared) if isinstance(declared, str) else None
        if datatype is None:
            raise BadRequestError(f"{where}: datatype is none of {', '.join(_DATATYPES)}")
        return Tensor(name, datatype, shape, cells_of(_flat(raw.get("data"), shape, where), datatype, where))
    if tail is None:
        raise BadRequestError(
            f"{where} has binary_data_size, but the header Inference-Header-Content-Length is missing"
        )
    if "data" in raw:
        raise BadRequestError(f"{where} has both data and binary_data_size")
    return from_bytes(name, declared, shape, tail.take(size, where))


def from_bytes(name: str, declared: object, shape: tuple[int, ...], content: binary.Bytes) -> Tensor:
    """An input whose values are raw bytes; raises `BadRequestError` unless they are exactly those of its shape."""
    where = f"input {name!r}"
    if not isinstance(declared, str) or (declared != Datatype.BYTES and declared not in binary.DTYPES):
        raise BadRequestError(f"{where}: datatype is none of {', '.join(binary.DTYPES)}, BYTES")
    datatype = Datatype.BYTES if declared == Datatype.BYTES else binary.DTYPES[declared][0]
    return Tensor(name, datatype, shape, binary.read(content, declared, volume(shape), where))


def check_name(name: object, where: str) -> str:
    """A tensor's name; raises `BadRequestError` unless it is a text of 1 to 128 printable characters."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadRequestError(f"{where} is not a text of 1 to {MAX_NAME} printable characters")
    return name


def check_shape(raw: object, where: str) -> tuple[int, ...]:
    """A shape, `[rows]` or `[rows, columns]`; raises `BadRequestError` for any other."""
    if not isinstance(raw, list) or not 1 <= len(raw) <= 2 or any(type(size) is not int or size < 0 for size in raw):
        raise BadRequestError(f"{where}: shape is not [rows] or [rows, columns]")
    if 0 in raw:
        raise BadRequestError(f"{where}: shape has no rows or no columns")
    return tuple(raw)


def volume(shape: tuple[int, ...]) -> int:
    """The number of values of a shape."""
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def parameters(raw: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The `parameters` of a request, an input or an output.

    Raises `BadRequestError` when they are no object, or would change what the values mean in a way not offered.
    """
    found = raw.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequestError(f"{where}parameters is not an object")
    content_type = found.get("content_type")
    if content_type is not None and (not isinstance(content_type, str) or content_type not in _CONTENT_TYPES):
        raise BadRequestError(f"{where}content_type is none of {', '.join(sorted(_CONTENT_TYPES))}")
    if "shared_memory_region" in found:
        raise BadRequestError(f"{where}shared memory is not offered: send the values")
    return found


def _binary_size(raw: Mapping[str, Any], where: str) -> int | None:
    size = parameters(raw, f"{where}: ").get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise BadRequestError(f"{where}: binary_data_size is not a whole number of bytes")
    return size


def _flat(data: object, shape: tuple[int, ...], where: str) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequestError(f"{where}: data is not a list")
    values: list[Any] = data
    if data and type(data[0]) is list:
        width = shape[1] if len(shape) == 2 else 0
        if len(data) != shape[0] or any(type(row) is not list or len(row) != width for row in data):
            raise BadRequestError(f"{where}: the nesting of data does not match shape {list(shape)}")
        values = list(chain.from_iterable(data))
    size = volume(shape)
    if len(values) != size:
        raise BadRequestError(f"{where}: data holds {len(values)} values, shape {list(shape)} asks for {size}")
    return values


def encode(output: Output, values: Any) -> dict[str, Any]:
    """One output of a response, in JSON, from what the model returned; raises as `outputs.checked` does."""
    return outputs.document(outputs.checked(output, values))
