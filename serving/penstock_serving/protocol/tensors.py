"""The JSON form of tensors (Open Inference Protocol v2, inference_rest.md, "Request Input" and "Response Output")."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import MAX_NAME, Output
from penstock_serving.protocol.errors import BadRequestError, ModelFailureError
from penstock_serving.protocol.values import require_kind

_DATATYPES = {datatype.value: datatype for datatype in Datatype}
_NUMPY: dict[Datatype, str] = {Datatype.BOOL: "b", Datatype.INT64: "iu", Datatype.FP32: "f", Datatype.FP64: "f"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input of a request: its values flat, row-major."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    values: list[Any]

    @property
    def rows(self) -> int:
        return self.shape[0]


def decode(raw: object, position: int) -> Tensor:
    """Read one input; raises `BadRequestError` for what the protocol or the tensor itself rules out."""
    if not isinstance(raw, dict):
        raise BadRequestError(f"inputs[{position}] is not an object")
    name = raw.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadRequestError(f"inputs[{position}].name is not a text of 1 to {MAX_NAME} printable characters")
    where = f"input {name!r}"
    declared = raw.get("datatype")
    datatype = _DATATYPES.get(declared) if isinstance(declared, str) else None
    if datatype is None:
        raise BadRequestError(f"{where}: datatype is none of {', '.join(_DATATYPES)}")
    shape = _shape(raw.get("shape"), where)
    values = _flat(raw.get("data"), shape, where)
    require_kind(values, datatype, where)
    return Tensor(name, datatype, shape, values)


def _shape(raw: object, where: str) -> tuple[int, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= 2 or any(type(size) is not int or size < 0 for size in raw):
        raise BadRequestError(f"{where}: shape is not [rows] or [rows, columns]")
    if 0 in raw:
        raise BadRequestError(f"{where}: shape has no rows or no columns")
    return tuple(raw)


def _flat(data: object, shape: tuple[int, ...], where: str) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequestError(f"{where}: data is not a list")
    values: list[Any] = data
    if data and type(data[0]) is list:
        width = shape[1] if len(shape) == 2 else 0
        if len(data) != shape[0] or any(type(row) is not list or len(row) != width for row in data):
            raise BadRequestError(f"{where}: the nesting of data does not match shape {list(shape)}")
        values = list(chain.from_iterable(data))
    size = shape[0] * (shape[1] if len(shape) == 2 else 1)
    if len(values) != size:
        raise BadRequestError(f"{where}: data holds {len(values)} values, shape {list(shape)} asks for {size}")
    return values


def encode(output: Output, values: Any) -> dict[str, Any]:
    """One output of a response from what the model returned, shape [n] or [n, width].

    Raises `ModelFailureError` for another shape or type than the signature's, and for numbers that are not finite.
    """
    array: Matrix = np.asarray(values)
    wanted = (array.shape[0] if array.ndim else 0, *((output.width,) if output.width else ()))
    if array.shape != wanted:
        raise ModelFailureError(f"the model returned another shape for output {output.name!r} than its signature says")
    if output.datatype is Datatype.BYTES:
        data = array.ravel().tolist()
        if not all(isinstance(value, str) for value in data):
            raise ModelFailureError(f"the model returned something other than text in output {output.name!r}")
    else:
        if array.dtype.kind not in _NUMPY[output.datatype]:
            raise ModelFailureError(
                f"the model returned another datatype for output {output.name!r} than its signature says"
            )
        if output.datatype in {Datatype.FP32, Datatype.FP64} and not np.isfinite(array).all():
            raise ModelFailureError(f"the model returned a value that is not finite in output {output.name!r}")
        data = array.ravel().tolist()
    return {"name": output.name, "datatype": output.datatype.value, "shape": list(array.shape), "data": data}


def metadata(name: str, datatype: Datatype, width: int) -> Mapping[str, Any]:
    """A tensor's metadata; -1 stands for any number of rows."""
    return {"name": name, "datatype": datatype.value, "shape": [-1, width] if width else [-1]}
