"""The v1 protocol's `:predict`: `{"instances": [...]}` in, `{"predictions": [...]}` out.

An instance is a list of all columns by position, an object of all columns by name, or, for models of one column, the
value itself. v1 declares no datatypes, so a value of the wrong kind is the model's refusal.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Signature
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.matrix import require_names
from penstock_serving.protocol.outputs import OutputTensor
from penstock_serving.protocol.plan import plan
from penstock_serving.protocol.rules import Rule
from penstock_serving.protocol.v2 import parse_json
from penstock_serving.protocol.values import cells_of, is_kind, join


def decode_call(body: bytes, signature: Signature) -> Call:
    """Read and check a `:predict` request; raises as `v2.decode_call` does."""
    document = parse_json(body)
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list) or not instances:
        raise BadRequestError('the body is not {"instances": [...]} with at least one instance')
    if isinstance(instances[0], dict):
        rows = [_by_name(instance, number, signature) for number, instance in enumerate(instances)]
    else:
        rows = [_by_position(instance, number, signature) for number, instance in enumerate(instances)]
    columns = []
    for position, column in enumerate(signature.columns):
        values = [row[position] for row in rows]
        _require_kind(values, column, position)
        declared = Datatype.FP64 if column.datatype is Datatype.FP32 else column.datatype
        columns.append(cells_of(values, declared, f"input {column.name!r}"))
    return Call(join(columns, signature), plan(signature).default_outputs, "")


def _by_name(instance: object, number: int, signature: Signature) -> list[Any]:
    if not isinstance(instance, dict):
        raise BadRequestError(f"instances[{number}] is not an object as instances[0] is")
    require_names(instance, signature)
    return [instance[name] for name in signature.names]


def _by_position(instance: object, number: int, signature: Signature) -> list[Any]:
    width = len(signature.columns)
    values = instance if isinstance(instance, list) else [instance]
    if isinstance(instance, dict):
        raise BadRequestError(f"instances[{number}] is an object but instances[0] is not")
    if len(values) != width:
        raise ModelRefusalError(
            Rule.COLUMN_COUNT, f"instances[{number}] has {len(values)} values, this model takes {width}"
        )
    return values


def _require_kind(values: Sequence[Any], column: Column, position: int) -> None:
    if not is_kind(values, column.datatype):
        raise ModelRefusalError(Rule.DATATYPE, f"input {column.name!r} is {column.datatype.value}", position)


def response(outputs: Sequence[OutputTensor]) -> Encoded:
    """The answer from the default output."""
    return Encoded(orjson.dumps({"predictions": outputs[0].array.tolist()}))
