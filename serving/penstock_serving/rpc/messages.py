"""Inference requests and answers as messages (inference_grpc.md): typed contents, or raw bytes as in `binary`.

Raw contents answer raw contents. A null cannot be told in either form; NaN is a missing number.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penstock_serving.model.datatype import INTEGER_RANGES, Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.protocol import binary, matrix, tensors
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import BadRequestError
from penstock_serving.protocol.outputs import OutputTensor
from penstock_serving.protocol.plan import plan
from penstock_serving.protocol.tensors import Tensor
from penstock_serving.protocol.v2 import MAX_ID, require_outputs

_FIELDS: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_NO_OUTPUTS: frozenset[str] = frozenset()


def decode_call(request: pb.ModelInferRequest, signature: Signature) -> Call:
    """Read and check an inference request; raises as `v2.decode_call` does.

    The outputs of a raw request are all wanted raw.
    """
    if len(request.id) > MAX_ID:
        raise BadRequestError(f"id is not a text of at most {MAX_ID} characters")
    if not request.inputs:
        raise BadRequestError("inputs is not a list of at least one tensor")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise BadRequestError(f"raw_input_contents has {len(raw)} entries, inputs has {len(request.inputs)}")
    tensors.parameters({"parameters": _plain(request.parameters)}, "")
    inputs = [_input(item, position, raw[position] if raw else None) for position, item in enumerate(request.inputs)]
    wanted = _requested(request, signature)
    return Call(matrix.assemble(inputs, signature), wanted, request.id, frozenset(wanted) if raw else _NO_OUTPUTS)


def _input(item: pb.ModelInferRequest.InferInputTensor, position: int, raw: bytes | None) -> Tensor:
    name = tensors.check_name(item.name, f"inputs[{position}].name")
    where = f"input {name!r}"
    shape = tensors.check_shape(list(item.shape), where)
    if item.parameters:
        tensors.parameters({"parameters": _plain(item.parameters)}, f"{where}: ")
    if raw is not None:
        if item.HasField("contents"):
            raise BadRequestError(f"{where} has contents, although the request has raw_input_contents")
        return tensors.from_bytes(name, item.datatype, shape, raw)
    field = _FIELDS.get(item.datatype)
    if field is None:
        raise BadRequestError(f"{where}: datatype is none of {', '.join(_FIELDS)}; FP16 is for raw_input_contents")
    given = [descriptor.name for descriptor, _ in item.contents.ListFields()]
    if given != [field]:
        raise BadRequestError(f"{where} declares {item.datatype}: its contents are {field}, and nothing else")
    values = getattr(item.contents, field)
    size = tensors.volume(shape)
    if len(values) != size:
        raise BadRequestError(f"{where}: {field} holds {len(values)} values, shape {list(shape)} asks for {size}")
    datatype = Datatype(item.datatype)
    return Tensor(name, datatype, shape, _cells(values, datatype, where))


def _cells(values: Sequence[Any], datatype: Datatype, where: str) -> Matrix:
    if datatype is Datatype.BYTES:
        texts = np.empty(len(values), dtype=object)
        texts[:] = [binary.text(value, where) for value in values]
        return texts
    cells = np.array(values, dtype=np.float64)
    bounds = INTEGER_RANGES.get(datatype)
    if bounds is not None and not (bounds[0] <= cells.min() and cells.max() <= bounds[1]):
        raise BadRequestError(f"{where} declares {datatype.value} but its data is out of that datatype's range")
    return cells


def _requested(request: pb.ModelInferRequest, signature: Signature) -> tuple[str, ...]:
    if not request.outputs:
        return plan(signature).default_outputs
    wanted = tuple(item.name for item in request.outputs)
    for position, item in enumerate(request.outputs):
        parameters = tensors.parameters({"parameters": _plain(item.parameters)}, f"outputs[{position}]: ")
        if parameters.get("classification"):
            raise BadRequestError(f"outputs[{position}]: classification is not offered: ask for predict_proba")
    if len(set(wanted)) != len(wanted):
        raise BadRequestError("outputs names an output twice")
    require_outputs(wanted, signature)
    return wanted


def _plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Parameters as plain values; None for one that holds none."""
    found = {}
    for name, value in parameters.items():
        choice = value.WhichOneof("parameter_choice")
        found[name] = getattr(value, choice) if choice else None
    return found


def encode_answer(
    model: str, version: str, call: Call, computed: Sequence[OutputTensor], identity: Mapping[str, str]
) -> pb.ModelInferResponse:
    """The answer; `identity` (digest, revision) goes into its parameters."""
    answer = pb.ModelInferResponse(model_name=model, model_version=version, id=call.request_id)
    for name, value in identity.items():
        answer.parameters[name].string_param = value
    for tensor in computed:
        output = answer.outputs.add(name=tensor.name, datatype=str(tensor.datatype), shape=tensor.array.shape)
        if call.binary:
            answer.raw_output_contents.append(binary.write(tensor.array, tensor.datatype))
            continue
        values = tensor.array.ravel().tolist()
        if tensor.datatype is Datatype.BYTES:
            values = [value.encode() for value in values]
        getattr(output.contents, _FIELDS[str(tensor.datatype)]).extend(values)
    return answer
