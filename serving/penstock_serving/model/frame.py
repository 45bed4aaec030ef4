"""From named columns to the matrix that a scikit-learn model takes, the same way in training and in serving.

The matrix is float64 when every column is a number or a truth value (float32 when every column is float32), and of
objects when one of them is text. A missing value is NaN in a numeric column and None in a text column.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from penstock_serving import contract
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError

Matrix = npt.NDArray[Any]


class Frame(Protocol):
    """Named columns of equal length: a dict of arrays, or a DataFrame."""

    def keys(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


def names(frame: Frame) -> tuple[str, ...]:
    """The names of a frame's columns, in order."""
    return tuple(str(name) for name in frame.keys())  # noqa: SIM118  (a DataFrame iterates over its keys as well)


def column_datatype(name: str, values: Matrix) -> Datatype:
    """The datatype of a column, read from its values; raises `BadModelError` where it has none."""
    if values.ndim != 1:
        raise _unusable(name, "it is not one-dimensional")
    match values.dtype.kind:
        case "b":
            return Datatype.BOOL
        case "i" | "u":
            return Datatype.INT64
        case "f":
            return Datatype.FP32 if values.dtype.itemsize <= 4 else Datatype.FP64
        case "U":
            return Datatype.BYTES
        case "O" if all(isinstance(value, str) or _is_missing(value) for value in values):
            return Datatype.BYTES
    raise _unusable(name, f"its values ({values.dtype}) are neither numbers, truth values nor text")


def _unusable(name: str, why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"column {name!r} cannot be served: {why}")


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _cells(values: Matrix, datatype: Datatype) -> Matrix:
    """A column's values as Python objects, for a matrix of objects."""
    cells = np.empty(len(values), dtype=object)
    nothing = None if datatype is Datatype.BYTES else np.nan
    kept = _KEPT.get(datatype, _as_it_is)
    cells[:] = [nothing if _is_missing(value) else kept(value) for value in values.tolist()]
    return cells


def _as_it_is(value: Any) -> Any:
    return value


# whole numbers and truth values with a missing one among them are kept as floats
_KEPT: dict[Datatype, Callable[[Any], Any]] = {Datatype.INT64: int, Datatype.BOOL: bool}


def assemble(columns: Sequence[Matrix], datatypes: Sequence[Datatype]) -> Matrix:
    """The model's matrix [rows, columns] from columns [rows] and their datatypes."""
    if Datatype.BYTES in datatypes:
        cells = [_cells(values, datatype) for values, datatype in zip(columns, datatypes, strict=True)]
        return np.stack(cells, axis=1)
    kind = np.float32 if set(datatypes) == {Datatype.FP32} else np.float64
    return np.stack([values.astype(kind) for values in columns], axis=1)


def matrix(frame: Frame) -> Matrix:
    """The matrix [rows, columns] that serving will hand to the model for this frame: fit the model on it.

    Raises `BadModelError` for columns of unequal length or of values that cannot be served.
    """
    columns = [np.asarray(frame[name]) for name in frame.keys()]  # noqa: SIM118
    datatypes = [column_datatype(name, values) for name, values in zip(names(frame), columns, strict=True)]
    if not columns or len({len(values) for values in columns}) != 1:
        raise BadModelError(contract.REASON_NOT_A_MODEL, "a frame has at least one column, all of the same length")
    return assemble(columns, datatypes)
