"""Open Inference Protocol v2 over REST: requests, responses and metadata (inference_rest.md).

A request names its columns in one of two ways: one input per column, shape [rows] or [rows, 1], in any order; or, for
models without text columns, a single two-dimensional input of all columns, taken by position.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock_serving.model.datatype import INTEGERS, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.protocol import tensors
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.rules import Rule
from penstock_serving.protocol.tensors import Tensor
from penstock_serving.protocol.values import check_numbers, column_cells, finish, join, numbers, require_datatype

DEFAULT_OUTPUTS = ("predict",)
_MAX_ID = 256


def parse_json(body: bytes) -> Any:
    """The body as JSON; raises `BadRequestError` (also for NaN, infinities and nesting beyond 1024)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON (line {error.lineno} column {error.colno})") from error


def decode_call(body: bytes, signature: Signature) -> Call:
    """Read and check an inference request.

    Raises `BadRequestError` for what contradicts the protocol or itself, `ModelRefusalError` for what this model does
    not take.
    """
    document = parse_json(body)
    if not isinstance(document, dict):
        raise BadRequestError("the body is not a JSON object")
    request_id = document.get("id", "")
    if not isinstance(request_id, str) or len(request_id) > _MAX_ID:
        raise BadRequestError(f"id is not a text of at most {_MAX_ID} characters")
    raw = document.get("inputs")
    if not isinstance(raw, list) or not raw:
        raise BadRequestError("inputs is not a list of at least one tensor")
    _refuse_binary(document)
    outputs = _requested(document, signature)
    inputs = [tensors.decode(item, position) for position, item in enumerate(raw)]
    if len(inputs) == 1 and len(inputs[0].shape) == 2 and _by_position(inputs[0], signature):
        return Call(_matrix(inputs[0], signature), outputs, request_id)
    return Call(_columns(inputs, signature), outputs, request_id)


def _refuse_binary(document: Mapping[str, Any]) -> None:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequestError("parameters is not an object")
    if parameters.get("binary_data_output"):
        raise BadRequestError("binary tensors are not offered: ask for JSON (binary_data=False)")


def _requested(document: Mapping[str, Any], signature: Signature) -> tuple[str, ...]:
    raw = document.get("outputs")
    if raw is None or raw == []:
        return DEFAULT_OUTPUTS
    if not isinstance(raw, list):
        raise BadRequestError("outputs is not a list")
    names = []
    for position, item in enumerate(raw):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise BadRequestError(f"outputs[{position}] is not an object with a name")
        parameters = item.get("parameters", {})
        if isinstance(parameters, dict) and parameters.get("binary_data"):
            raise BadRequestError("binary tensors are not offered: ask for JSON (binary_data=False)")
        names.append(item["name"])
    if len(set(names)) != len(names):
        raise BadRequestError("outputs names an output twice")
    if not set(names) <= set(signature.output):
        raise ModelRefusalError(Rule.UNKNOWN_OUTPUT, f"outputs of this model are {', '.join(signature.output)}")
    return tuple(names)


def _by_position(tensor: Tensor, signature: Signature) -> bool:
    """Whether a lone two-dimensional input holds all columns, and is not one column by its name."""
    return tensor.shape[1] != 1 or tensor.name not in signature.position


def _matrix(tensor: Tensor, signature: Signature) -> Matrix:
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
    block = numbers(tensor.values, tensor.datatype, f"input {tensor.name!r}").reshape(tensor.shape)
    check_numbers(block, signature.columns, 0)
    return finish(block, signature)


def _columns(inputs: Sequence[Tensor], signature: Signature) -> Matrix:
    by_name = {tensor.name: tensor for tensor in inputs}
    if len(by_name) != len(inputs):
        raise BadRequestError("inputs names a tensor twice")
    require_names(by_name, signature)
    rows = inputs[0].rows
    columns = []
    for position, column in enumerate(signature.columns):
        tensor = by_name[column.name]
        if len(tensor.shape) == 2 and tensor.shape[1] != 1:
            raise ModelRefusalError(
                Rule.COLUMN_COUNT, f"input {column.name!r} is one column: [rows] or [rows, 1]", position
            )
        if tensor.rows != rows:
            raise BadRequestError(f"input {column.name!r} has {tensor.rows} rows, input {inputs[0].name!r} has {rows}")
        require_datatype(column, position, tensor.datatype)
        where = f"input {column.name!r}"
        columns.append(column_cells(tensor.values, tensor.datatype, column, position, where))
    return join(columns, signature)


def require_names(given: Mapping[str, object], signature: Signature) -> None:
    """Raise `ModelRefusalError` unless exactly the model's columns are given."""
    for position, column in enumerate(signature.columns):
        if column.name not in given:
            raise ModelRefusalError(Rule.MISSING_COLUMN, f"input {column.name!r} is missing", position)
    for name in given:
        if name not in signature.position:
            raise ModelRefusalError(Rule.UNKNOWN_COLUMN, f"input {name[:128]!r} is not a column of this model")


def response(model: str, call: Call, outputs: Sequence[Mapping[str, Any]], identity: Mapping[str, str]) -> bytes:
    """The answer's body; `identity` (digest, revision) goes into its parameters."""
    document: dict[str, Any] = {"model_name": model}
    if call.request_id:
        document["id"] = call.request_id
    document["parameters"] = identity
    document["outputs"] = outputs
    return orjson.dumps(document)


def model_metadata(model: str, signature: Signature, properties: Mapping[str, str]) -> dict[str, Any]:
    """The model's metadata: its columns as inputs, its outputs, and where it comes from."""
    return {
        "name": model,
        "platform": "sklearn_joblib",
        "inputs": [tensors.metadata(column.name, column.datatype, 0) for column in signature.columns],
        "outputs": [tensors.metadata(output.name, output.datatype, output.width) for output in signature.outputs],
        "properties": dict(properties),
    }


def encode_request(matrix: Matrix, signature: Signature, outputs: Sequence[str]) -> dict[str, Any]:
    """The request, one input per column, that asks for these rows."""
    inputs = []
    for index, column in enumerate(signature.columns):
        values = [None if value is None or value != value else value for value in matrix[:, index].tolist()]
        if column.datatype is Datatype.BOOL:
            values = [None if value is None else bool(value) for value in values]
        elif column.datatype in INTEGERS:
            values = [None if value is None else int(value) for value in values]
        inputs.append({"name": column.name, "datatype": column.datatype.value, "shape": [len(values)], "data": values})
    return {"inputs": inputs, "outputs": [{"name": name} for name in outputs]}
