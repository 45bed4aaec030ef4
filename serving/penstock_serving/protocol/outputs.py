"""What a model returned, checked against its signature, and the two forms in which it travels."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from penstock_serving.model.datatype import FLOATS, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Output
from penstock_serving.protocol.errors import ModelFailureError

_KINDS: dict[Datatype, str] = {Datatype.BOOL: "b", Datatype.INT64: "iu", Datatype.FP32: "f", Datatype.FP64: "f"}
_DTYPES: dict[Datatype, np.dtype[np.generic]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
}
_FEW = 32


class OutputTensor(NamedTuple):
    """One output of an answer: values [rows] or [rows, width], of the signature's datatype (texts as objects)."""

    name: str
    datatype: Datatype
    array: Matrix


class _Form(NamedTuple):
    """How an output's values must look; `dtype` is None for text."""

    datatype: Datatype
    kinds: str
    dtype: np.dtype[np.generic] | None
    is_float: bool


@functools.cache
def _form(datatype: str) -> _Form:
    found = Datatype(datatype)
    return _Form(found, _KINDS.get(found, ""), _DTYPES.get(found), found in FLOATS)


def checked(output: Output, values: Any) -> OutputTensor:
    """What the model returned for an output, shape [n] or [n, width].

    Raises `ModelFailureError` for another shape or type than the signature's, and for numbers that are not finite.
    """
    array: Matrix = np.asarray(values)
    shape, width = array.shape, output.width
    if len(shape) != (2 if width else 1) or (width and shape[1] != width):
        raise ModelFailureError(f"the model returned another shape for output {output.name!r} than its signature says")
    datatype, kinds, wanted, is_float = _form(str(output.datatype))
    if wanted is None:
        if not all(isinstance(value, str) for value in array.ravel().tolist()):
            raise ModelFailureError(f"the model returned something other than text in output {output.name!r}")
        return OutputTensor(output.name, datatype, array)
    if array.dtype.kind not in kinds:
        raise ModelFailureError(
            f"the model returned another datatype for output {output.name!r} than its signature says"
        )
    if array.dtype is not wanted and array.dtype != wanted:
        with np.errstate(over="ignore"):
            array = array.astype(wanted)
    if is_float and not _finite(array):
        raise ModelFailureError(f"the model returned a value that is not finite in output {output.name!r}")
    return OutputTensor(output.name, datatype, array)


def _finite(array: Matrix) -> bool:
    if array.size <= _FEW:
        return all(map(math.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())


def document(tensor: OutputTensor) -> dict[str, Any]:
    """An output in JSON (inference_rest.md, "Response Output"), its values flat."""
    name, datatype, array = tensor
    shape = array.shape
    data = array.tolist() if len(shape) == 1 else array.ravel().tolist()
    return {"name": name, "datatype": str(datatype), "shape": [*shape], "data": data}


def announcement(tensor: OutputTensor, size: int) -> Mapping[str, Any]:
    """An output in JSON whose values follow as `size` raw bytes."""
    return {
        "name": tensor.name,
        "datatype": str(tensor.datatype),
        "shape": list(tensor.array.shape),
        "parameters": {"binary_data_size": size},
    }
