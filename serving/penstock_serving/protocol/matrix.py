"""From a request's tensors to the model's matrix: one input per column by name, or one of all columns by position."""

from collections.abc import Mapping, Sequence

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.rules import Rule
from penstock_serving.protocol.tensors import Tensor
from penstock_serving.protocol.values import check_numbers, finish, join, require_datatype


def assemble(inputs: Sequence[Tensor], signature: Signature) -> Matrix:
    """The model's matrix [rows, columns].

    Raises `BadRequestError` for inputs that contradict each other, `ModelRefusalError` for what the model does not take.
    """
    if len(inputs) == 1 and len(inputs[0].shape) == 2 and _by_position(inputs[0], signature):
        return _table(inputs[0], signature)
    return _columns(inputs, signature)


def _by_position(tensor: Tensor, signature: Signature) -> bool:
    """Whether a lone two-dimensional input holds all columns, and is not one column by its name."""
    return tensor.shape[1] != 1 or tensor.name not in signature.position


def _table(tensor: Tensor, signature: Signature) -> Matrix:
    width = len(signature.columns)
    if tensor.shape[1] != width:
        raise ModelRefusalError(
            Rule.COLUMN_COUNT, f"input {tensor.name!r} has {tensor.shape[1]} columns, this model takes {width}"
        )
    if not signature.is_numeric:
        raise ModelRefusalError(
            Rule.DATATYPE, f"this model has text columns: send one input per column instead of {tensor.name!r}"
        )
    for position, column in enumerate(signature.columns):
        require_datatype(column, position, tensor.datatype)
    block = tensor.cells.reshape(tensor.shape)
    check_numbers(block, signature, 0)
    return finish(block, signature)


def _columns(inputs: Sequence[Tensor], signature: Signature) -> Matrix:
    by_name = {tensor.name: tensor for tensor in inputs}
    if len(by_name) != len(inputs):
        raise BadRequestError("inputs names a tensor twice")
    require_names(by_name, signature)
    rows = inputs[0].rows
    for position, column in enumerate(signature.columns):
        tensor = by_name[column.name]
        if len(tensor.shape) == 2 and tensor.shape[1] != 1:
            raise ModelRefusalError(
                Rule.COLUMN_COUNT, f"input {column.name!r} is one column: [rows] or [rows, 1]", position
            )
        if tensor.rows != rows:
            raise BadRequestError(f"input {column.name!r} has {tensor.rows} rows, input {inputs[0].name!r} has {rows}")
        require_datatype(column, position, tensor.datatype)
    return join([by_name[column.name].cells for column in signature.columns], signature)


def require_names(given: Mapping[str, object], signature: Signature) -> None:
    """Raise `ModelRefusalError` unless exactly the model's columns are given."""
    for position, column in enumerate(signature.columns):
        if column.name not in given:
            raise ModelRefusalError(Rule.MISSING_COLUMN, f"input {column.name!r} is missing", position)
    for name in given:
        if name not in signature.position:
            raise ModelRefusalError(Rule.UNKNOWN_COLUMN, f"input {name[:128]!r} is not a column of this model")
