"""The short way for ordinary requests: it takes one only where the long way would give the very same matrix.

It reads JSON values that need no conversion: one row of every column by name, or rows of FP64 by position. Whatever is
not quite so, a wrong request above all, it leaves to the long way, which says what is wrong.
"""

from typing import Any

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import MAX_NAME
from penstock_serving.protocol.plan import Plan
from penstock_serving.protocol.values import finish

_NUMBERS = frozenset({float, int})
_NUMBERS_OR_NULL = frozenset({float, int, type(None)})
_ABSENT: Any = object()
_ONE = [1]


def read(inputs: list[Any], plan: Plan) -> Matrix | None:
    """The model's matrix [rows, columns] of an ordinary request's `inputs`; None for any other."""
    if len(inputs) == 1 and plan.all_double:
        table = _table(inputs[0], plan)
        if table is not None:
            return table
    return _row(inputs, plan) if len(inputs) == len(plan.fields) else None


def _table(tensor: Any, plan: Plan) -> Matrix | None:
    if type(tensor) is not dict or len(tensor) != 4:
        return None
    name, shape, data = tensor.get("name"), tensor.get("shape"), tensor.get("data")
    if tensor.get("datatype") != "FP64" or type(shape) is not list or len(shape) != 2 or type(data) is not list:
        return None
    rows, width = shape
    if type(rows) is not int or type(width) is not int or width != len(plan.fields):
        return None
    if type(name) is not str or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        return None
    if rows == 1 and len(data) == 1 and type(data[0]) is list:
        data = data[0]
    if not data or len(data) != rows * width or (width == 1 and name in plan.fields):
        return None
    if not set(map(type, data)) <= (_NUMBERS_OR_NULL if plan.all_take_missing else _NUMBERS):
        return None
    return np.array(data, dtype=np.float64).reshape(rows, width)


def _row(inputs: list[Any], plan: Plan) -> Matrix | None:
    fields = plan.fields
    values = [_ABSENT] * len(fields)
    try:
        for tensor in inputs:
            if type(tensor) is not dict or len(tensor) != 4:
                return None
            position, datatype, kinds, span, words = fields[tensor["name"]]
            shape, data = tensor["shape"], tensor["data"]
            if type(data) is not list or len(data) != 1 or tensor["datatype"] != datatype:
                return None
            if shape != _ONE or type(shape[0]) is not int:
                return None
            value = data[0]
            if type(value) not in kinds:
                return None
            if value is not None:
                if span is not None and not span[0] <= value <= span[1]:
                    return None
                if words is not None and value not in words:
                    return None
            values[position] = value
    except (KeyError, TypeError):
        return None
    if _ABSENT in values:
        return None
    if plan.signature.is_numeric:
        return finish(np.array([values], dtype=np.float64), plan.signature)
    row = np.empty((1, len(values)), dtype=object)
    row[0] = [
        missing if value is None else value if convert is None else convert(value)
        for value, (convert, missing) in zip(values, plan.cells, strict=True)
    ]
    return row
