"""Open Inference Protocol v2 over REST: inference requests and responses (inference_rest.md, "Inference").

A request names its columns in one of two ways: one input per column, shape [rows] or [rows, 1], in any order; or, for
models without text columns, a single two-dimensional input of all columns, taken by position. Values are JSON, or raw
bytes after the JSON (see `binary`). Where a field is optional, null is as good as leaving it out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from penstock_serving.model.datatype import INTEGERS, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Output, Signature
from penstock_serving.protocol import binary, matrix, ordinary, outputs, tensors
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError
from penstock_serving.protocol.outputs import OutputTensor
from penstock_serving.protocol.plan import plan
from penstock_serving.protocol.rules import Rule
from penstock_serving.protocol.tensors import Tail

MAX_ID = 256
_NO_OUTPUTS: frozenset[str] = frozenset()


def parse_json(body: binary.Bytes) -> Any:
    """The body as JSON; raises `BadRequestError` (also for NaN, infinities and nesting beyond 1024)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON (line {error.lineno} column {error.colno})") from error


def json_length(header: str | None) -> int | None:
    """The value of the header Inference-Header-Content-Length; None without it. Raises `BadRequestError`."""
    if header is None:
        return None
    if not header.isascii() or not header.isdecimal() or len(header) > 18:
        raise BadRequestError("the header Inference-Header-Content-Length is not a number of bytes")
    return int(header)


def decode_call(body: bytes, json_length: int | None, signature: Signature) -> Call:
    """Read and check an inference request, of which the first `json_length` bytes are JSON (None: all of it).

    Raises `BadRequestError` for what contradicts the protocol or itself, `ModelRefusalError` for what this model does
    not take.
    """
    tail = None
    if json_length is None:
        document = parse_json(body)
    elif json_length == 0:
        return _raw_call(body, signature)
    else:
        if json_length > len(body):
            raise BadRequestError(
                f"the header Inference-Header-Content-Length is {json_length}, the body has {len(body)} bytes"
            )
        view = memoryview(body)
        document, tail = parse_json(view[:json_length]), Tail(view[json_length:])
    if not isinstance(document, dict):
        raise BadRequestError("the body is not a JSON object")
    request_id = document.get("id")
    if request_id is None:
        request_id = ""
    if not isinstance(request_id, str) or len(request_id) > MAX_ID:
        raise BadRequestError(f"id is not a text of at most {MAX_ID} characters")
    raw = document.get("inputs")
    if not isinstance(raw, list) or not raw:
        raise BadRequestError("inputs is not a list of at least one tensor")
    checks = plan(signature)
    wanted, as_bytes = checks.default_outputs, _NO_OUTPUTS
    if "outputs" in document or "parameters" in document:
        wanted, as_bytes = _requested(document, signature)
    if tail is None:
        plain = ordinary.read(raw, checks)
        if plain is not None:
            return Call(plain, wanted, request_id, as_bytes)
    inputs = [tensors.decode(item, position, tail) for position, item in enumerate(raw)]
    if tail is not None:
        tail.require_end()
    return Call(matrix.assemble(inputs, signature), wanted, request_id, as_bytes)


def _raw_call(body: bytes, signature: Signature) -> Call:
    """A request without JSON: the values of the only input, as many rows as they are; the answer is raw, too."""
    column = signature.columns[0]
    dtype = binary.DTYPES.get(column.datatype)
    if len(signature.columns) > 1 or dtype is None:
        raise BadRequestError(
            "a request without JSON (Inference-Header-Content-Length: 0) is for models of one numeric input: describe "
            "the inputs in JSON before their bytes"
        )
    rows = len(body) // dtype[1].itemsize
    if not rows:
        raise BadRequestError("the body has no rows")
    tensor = tensors.from_bytes(column.name, column.datatype.value, (rows,), body)
    wanted = plan(signature).default_outputs
    return Call(matrix.assemble([tensor], signature), wanted, "", frozenset(wanted))


def _requested(document: Mapping[str, Any], signature: Signature) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of the outputs to compute, and of those among them wanted as raw bytes."""
    parameters = tensors.parameters(document, "")
    by_default = _flag(parameters, "binary_data_output", "")
    raw = document.get("outputs")
    if raw is None or raw == []:
        wanted_by_default = plan(signature).default_outputs
        return wanted_by_default, frozenset(wanted_by_default) if by_default else _NO_OUTPUTS
    if not isinstance(raw, list):
        raise BadRequestError("outputs is not a list")
    wanted: dict[str, bool] = {}
    for position, item in enumerate(raw):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise BadRequestError(f"outputs[{position}] is not an object with a name")
        name, as_bytes = item["name"], by_default
        if "parameters" in item:
            own = tensors.parameters(item, f"outputs[{position}]: ")
            as_bytes = _flag(own, "binary_data", f"outputs[{position}]: ") if "binary_data" in own else by_default
            if own.get("classification"):
                raise BadRequestError(f"outputs[{position}]: classification is not offered: ask for predict_proba")
        if name in wanted:
            raise BadRequestError("outputs names an output twice")
        wanted[name] = as_bytes
    require_outputs(wanted, signature)
    return tuple(wanted), frozenset(name for name, as_bytes in wanted.items() if as_bytes)


def _flag(parameters: Mapping[str, Any], name: str, where: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequestError(f"{where}{name} is neither true nor false")
    return value


def require_outputs(wanted: Iterable[str], signature: Signature) -> None:
    """Raise `ModelRefusalError` unless the model has every output that is wanted."""
    if not signature.output.keys() >= set(wanted):
        raise ModelRefusalError(Rule.UNKNOWN_OUTPUT, f"outputs of this model are {', '.join(signature.output)}")


def response(
    model: str, call: Call, computed: Sequence[OutputTensor], identity: Mapping[str, str], version: str = ""
) -> Encoded:
    """The answer; `identity` (digest, revision) goes into its parameters. Without versions, `version` is empty."""
    document: dict[str, Any] = {"model_name": model}
    if version:
        document["model_version"] = version
    if call.request_id:
        document["id"] = call.request_id
    document["parameters"] = identity
    if not call.binary:
        document["outputs"] = [outputs.document(tensor) for tensor in computed]
        return Encoded(orjson.dumps(document))
    parts, described = [b""], []
    for tensor in computed:
        if tensor.name in call.binary:
            parts.append(binary.write(tensor.array, tensor.datatype))
            described.append(outputs.announcement(tensor, len(parts[-1])))
        else:
            described.append(outputs.document(tensor))
    document["outputs"] = described
    parts[0] = orjson.dumps(document)
    return Encoded(b"".join(parts), len(parts[0]))


class Template(NamedTuple):
    """The constant parts of `response` where one output is told in JSON: before the id's place, from there to the shape's
    first number, from after it to the first value, and from the last on."""

    before_id: bytes
    after_id: bytes
    before_values: bytes
    end: bytes


def template(model: str, output: Output, identity: Mapping[str, str], version: str) -> Template:
    """The parts of every answer that tells this output alone."""
    named = {"model_name": model} | ({"model_version": version} if version else {})
    tensor = {"name": output.name, "datatype": str(Datatype(output.datatype)), "shape": []}
    return Template(
        orjson.dumps(named)[:-1],
        b',"parameters":%b,"outputs":[%b' % (orjson.dumps(identity), orjson.dumps(tensor)[:-2]),
        (b",%d" % output.width if output.width else b"") + b'],"data":[',
        b"]}]}",
    )


def encode_request(rows: Matrix, signature: Signature, wanted: Sequence[str]) -> dict[str, Any]:
    """The request, one input per column, that asks for these rows [rows, columns]."""
    inputs = []
    for index, column in enumerate(signature.columns):
        values = [None if value is None or value != value else value for value in rows[:, index].tolist()]
        if column.datatype is Datatype.BOOL:
            values = [None if value is None else bool(value) for value in values]
        elif column.datatype in INTEGERS:
            values = [None if value is None else int(value) for value in values]
        inputs.append({"name": column.name, "datatype": column.datatype.value, "shape": [len(values)], "data": values})
    return {"inputs": inputs, "outputs": [{"name": name} for name in wanted]}
